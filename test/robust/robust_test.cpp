// Whatever is in an object file: klp-diff ends with a result or with an Error, in little time and memory.
//
// One process mutates objects (mutate.h) and sends them through the engine (engine_run.h) within limits (guard.h);
// a finding of ASan or UBSan ends it and names the mutation. 2,000 mutations, 100,000 with KLP_TEST_ALL.
//   KLP_ROBUST_SEED=N   other mutations than in CI
//   KLP_ROBUST_COUNT=N  another number of them
//   KLP_ROBUST_ONLY=N   only mutation N: the one that a failure named
#include <fmt/format.h>
#include <sys/resource.h>
#include <catch2/catch.hpp>

#include <cstdlib>
#include <filesystem>
#include <map>

#include "diff/emit.h"
#include "diff/engine.h"
#include "elf/symvers.h"
#include "guard.h"
#include "kernel/index.h"
#include "mutate.h"
#include "seeds.h"
#include "support/files.h"
#include "support/run.h"

namespace klp::test {
namespace {

uint64_t number_from(const char* variable, uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text != nullptr ? std::strtoull(text, nullptr, 0) : otherwise;
}

/// What all runs of a test cost, and how they ended.
class Tally {
 public:
  /// Runs `body` in the limits; a failure of the test names `label`.
  void add(const RunLabel& label, const std::function<std::string()>& body) {
    std::string outcome;
    try {
      const Cost cost = guarded(label, [&] { outcome = body(); });
      if (cost.seconds > slowest_) slowest_ = cost.seconds, slowest_label_ = label.what;
      if (cost.peak_bytes > largest_) largest_ = cost.peak_bytes, largest_label_ = label.what;
      if (cost.peak_bytes > kMaxBytes) fail(label, fmt::format("allocates {} bytes", cost.peak_bytes));
      if (cost.seconds > kMaxSeconds) fail(label, fmt::format("takes {:.1f} s", cost.seconds));
    } catch (const std::exception& other) {
      fail(label, fmt::format("throws what is no Error: {}", other.what()));
    }
    ++runs_;
    const std::string kind = outcome.substr(0, outcome.find('\n'));
    ++outcomes_[kind == "ok" || kind == "refused" || kind == "unchanged" ? kind : "Error"];
  }

  void print(const std::string& title) const {
    rusage use{};
    getrusage(RUSAGE_SELF, &use);
    fmt::print("{}: {} runs:", title, runs_);
    for (const auto& [outcome, count] : outcomes_) fmt::print(" {} {},", count, outcome);
    fmt::print(" resident {} MiB at most\n", use.ru_maxrss / 1024);
    fmt::print("  longest {:.2f} s: {}\n  most memory {:.1f} MiB: {}\n", slowest_, slowest_label_,
               static_cast<double>(largest_) / (1 << 20), largest_label_);
  }
  size_t count(const std::string& outcome) const {
    const auto found = outcomes_.find(outcome);
    return found == outcomes_.end() ? 0 : found->second;
  }

 private:
  static void fail(const RunLabel& label, const std::string& why) {
    FAIL_CHECK(label.what << "\n" << why << "\n" << keep_inputs(label));
  }

  size_t runs_ = 0;
  std::map<std::string, size_t> outcomes_;
  double slowest_ = 0;
  size_t largest_ = 0;
  std::string slowest_label_, largest_label_;
};

/// The seeds of the engine with the real unit, if there is a kernel.
std::vector<Seed> all_object_seeds() {
  std::vector<Seed> seeds = object_seeds();
  const auto real = kernel_seeds();
  if (real.empty()) WARN("not run: mutations of a real unit, no kernel is fetched");
  seeds.insert(seeds.end(), real.begin(), real.end());
  return seeds;
}

/// Mutation `number` of a series: the same whatever ran before it.
void run_mutation(uint64_t series, uint64_t number, const std::vector<Seed>& seeds, Tally& tally) {
  Random random(series * 1'000'003 + number);
  const std::string place = fmt::format("mutation {} (KLP_ROBUST_SEED={}) of ", number, series);
  if (random.below(8) == 0) {
    const Seed& seed = module_seeds()[random.below(module_seeds().size())];
    const Mutation m = mutate(seed.original, random);
    const std::string what = place + seed.name + ": " + m.what;
    return tally.add({what, m.bytes, {}}, [&] { return run_module(m.bytes); });
  }
  const Seed& seed = seeds[random.below(seeds.size())];
  // Equal faults on both sides get furthest.
  const uint64_t sides = random.below(6);
  const Mutation m = mutate(sides == 0 ? seed.original : seed.patched, random);
  const Bytes original = sides == 0 || sides >= 3 ? m.bytes
                         : sides == 1             ? mutate(seed.original, random).bytes
                                                  : seed.original;
  const Bytes& patched = sides == 0 ? seed.patched : m.bytes;
  static constexpr const char* kSides[] = {"original", "both, differently", "patched", "both", "both", "both"};
  const std::string what = fmt::format("{}{} ({}): {}", place, seed.name, kSides[sides], m.what);
  tally.add({what, original, patched}, [&] { return run_extract(original, patched); });
}

/// The object alone at an address of the kernel, what it lacks being nowhere.
Bytes linked(const Bytes& object) {
  const TempDir work(fs::temp_directory_path(), "klp-robust-linked");
  const fs::path input = work.path() / "object.o", output = work.path() / "image";
  write_file_atomically(input, {reinterpret_cast<const char*>(object.data()), object.size()});
  run_checked({"ld", "-o", output.string(), "-Ttext-segment=0xffffffff81000000", "-e", "0",
               "--unresolved-symbols=ignore-all", "-z", "noseparate-code", input.string()});
  const std::string text = read_file(output);
  const auto* data = reinterpret_cast<const std::byte*>(text.data());
  return {data, data + text.size()};
}

}  // namespace

TEST_CASE("the seeds themselves are good") {
  Tally tally;
  for (const Seed& seed : all_object_seeds()) {
    INFO(seed.name);
    CHECK(run_parse(seed.original) == "ok");
    CHECK(run_extract(seed.original, seed.original) == "unchanged");
    CHECK(run_extract(seed.original, seed.patched) == "ok");
  }
  for (const Seed& seed : module_seeds()) {
    INFO(seed.name);
    CHECK(run_module(seed.original) == "ok");
  }
}

TEST_CASE("objects truncated at every 64th byte") {
  Tally tally;
  for (const Seed& seed : all_object_seeds()) {
    // Every length is parsed; a truncated object that still parses goes through the engine.
    for (size_t size = 0; size < seed.patched.size(); size += 64) {
      const Bytes cut(seed.patched.begin(), seed.patched.begin() + static_cast<std::ptrdiff_t>(size));
      const std::string what = fmt::format("{} cut to {} bytes", seed.name, size);
      std::string outcome;
      tally.add({what, cut, {}}, [&] { return outcome = run_parse(cut); });
      CHECK(outcome != "ok");
      tally.add({what, cut, seed.patched}, [&] { return run_extract(cut, seed.patched); });
      tally.add({what, seed.original, cut}, [&] { return run_extract(seed.original, cut); });
    }
  }
  for (const Seed& seed : module_seeds()) {
    for (size_t size = 0; size < seed.original.size(); size += 64) {
      const Bytes cut(seed.original.begin(), seed.original.begin() + static_cast<std::ptrdiff_t>(size));
      tally.add({fmt::format("{} cut to {} bytes", seed.name, size), cut, {}}, [&] { return run_module(cut); });
    }
  }
  tally.print("truncated");
  CHECK(tally.count("ok") == 0);
}

TEST_CASE("mutated objects") {
  const uint64_t series = number_from("KLP_ROBUST_SEED", 20261121);
  const bool all = std::getenv("KLP_TEST_ALL") != nullptr;
  const uint64_t count = number_from("KLP_ROBUST_COUNT", all ? 100'000 : 2'000);
  const uint64_t only = number_from("KLP_ROBUST_ONLY", UINT64_MAX);
  fmt::print("{} mutations, KLP_ROBUST_SEED={}\n", count, series);
  const auto seeds = all_object_seeds();
  Tally tally;
  for (uint64_t i = 0; i < count; ++i) {
    if (only == UINT64_MAX || only == i) run_mutation(series, i, seeds, tally);
  }
  tally.print("mutated");
  if (only != UINT64_MAX) return;
  // Mutations that all end at the first check would prove nothing.
  CHECK(tally.count("ok") + tally.count("refused") + tally.count("unchanged") > count / 10);
  CHECK(tally.count("Error") > count / 10);
  rusage use{};
  getrusage(RUSAGE_SELF, &use);
  CHECK(use.ru_maxrss < 512 * 1024);
}

// Linked ones as well: their code is decoded at addresses that the file only claims.
TEST_CASE("mutated binaries compared") {
  const uint64_t series = number_from("KLP_ROBUST_SEED", 20261122);
  const uint64_t count = number_from("KLP_ROBUST_COUNT", std::getenv("KLP_TEST_ALL") != nullptr ? 20'000 : 1'000);
  const uint64_t only = number_from("KLP_ROBUST_ONLY", UINT64_MAX);
  std::vector<Seed> seeds = object_seeds();
  for (size_t i = 0, objects = seeds.size(); i < objects; ++i)
    seeds.push_back({seeds[i].name + " linked", linked(seeds[i].original), linked(seeds[i].patched)});
  Tally tally;
  for (uint64_t i = 0; i < count; ++i) {
    if (only != UINT64_MAX && only != i) continue;
    Random random(series * 1'000'003 + i);
    const Seed& seed = seeds[random.below(seeds.size())];
    const Mutation m = mutate(seed.patched, random);
    const Bytes& before = random.below(2) == 0 ? seed.original : m.bytes;
    const std::string what = fmt::format("comparison {} (KLP_ROBUST_SEED={}) of {}: {}", i, series, seed.name, m.what);
    tally.add({what, before, m.bytes}, [&] { return run_compare(before, m.bytes); });
  }
  tally.print("compared");
  if (only == UINT64_MAX) CHECK(tally.count("ok") > count / 10);
}

TEST_CASE("the fuzzer's corpus") {
  Tally tally;
  size_t files = 0;
  for (const char* target : {"parse", "extract", "module"}) {
    const fs::path folder = fs::path(KLP_FUZZ_CORPUS) / target;
    if (!fs::exists(folder)) continue;
    for (const auto& entry : fs::directory_iterator(folder)) {
      const std::string text = read_file(entry.path());
      const auto* data = reinterpret_cast<const std::byte*>(text.data());
      const Bytes bytes(data, data + text.size());
      std::string outcome;
      tally.add({entry.path().string(), bytes, {}}, [&] {
        const std::string_view kind(target);
        return outcome = kind == "parse" ? run_parse(bytes) : kind == "module" ? run_module(bytes) : run_joined(bytes);
      });
      fmt::print("  {}/{}: {}\n", target, entry.path().filename().string(), outcome);
      ++files;
    }
  }
  tally.print("corpus");
  CHECK(files >= 20);
}

// Last: the kernel's symbols stay in memory.
TEST_CASE("a real pair, held against the shipped kernel") {
  const auto real = kernel_seeds();
  if (real.empty()) {
    WARN("not run: a real pair, no kernel is fetched");
    return;
  }
  const kernel::Kernel kernel = test_kernel();
  const auto vmlinux = elf::ElfObject::read(kernel.vmlinux, elf::ElfObject::Want::symbols_only);
  const elf::SymbolIndex symbols(vmlinux);
  const elf::Exports exports = elf::read_symvers(kernel.symvers);
  const auto original = elf::ElfObject::parse("original.o", real[0].original);
  const auto patched = elf::ElfObject::parse("patched.o", real[0].patched);
  diff::UnitInput input;
  input.original = &original;
  input.patched = &patched;
  input.unit = real[0].name;
  input.shipped = input.vmlinux = &symbols;
  input.exports = &exports;
  input.table_sizes.structs = kernel::KernelIndex::open(kernel).struct_sizes();
  const diff::UnitResult result = diff::analyse(input);
  CHECK_FALSE(result.findings.has_refusal());
  CHECK(result.identity.different == 0);
  REQUIRE(result.functions.size() == 1);
  CHECK(result.functions[0].name == "meminfo_proc_show");
  CHECK_NOTHROW(elf::ElfObject::parse("written", diff::emit(result.plan).serialize()));
}

}  // namespace klp::test
