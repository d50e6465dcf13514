// Compiled once a process; the compiler is the one that kernels of Debian 12 are made with, so that DWARF and code look
// like theirs.
#include "seeds.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "elf/klp_finalize.h"
#include "kernel/index.h"
#include "kernel/replay.h"
#include "support/files.h"
#include "support/run.h"

namespace klp::test {
namespace {

Bytes bytes_of(std::string_view text) {
  const auto* data = reinterpret_cast<const std::byte*>(text.data());
  return {data, data + text.size()};
}

Bytes compile(const fs::path& work, const std::string& source, const std::vector<std::string>& more) {
  const fs::path object = work / "seed.o";
  std::vector<std::string> command = {"gcc-12",
                                      "-w",
                                      "-O2",
                                      "-fno-pic",
                                      "-mcmodel=kernel",
                                      "-mno-red-zone",
                                      "-fcf-protection=none",
                                      "-fno-asynchronous-unwind-tables",
                                      "-ffunction-sections",
                                      "-fdata-sections",
                                      "-fno-common",
                                      "-c",
                                      std::string(KLP_SEED_SOURCES) + "/" + source,
                                      "-o",
                                      object.string()};
  command.insert(command.end(), more.begin(), more.end());
  run_checked(command);
  return bytes_of(read_file(object));
}

}  // namespace

const std::vector<Seed>& object_seeds() {
  static const std::vector<Seed> seeds = [] {
    const TempDir work(fs::temp_directory_path(), "klp-seeds");
    std::vector<Seed> result;
    for (const auto& [source, debug] :
         {std::pair{"tables.c", "-g"}, {"data.c", "-g"}, {"data.c", "-gdwarf-4"}, {"many.c", "-g"}}) {
      const std::vector<std::string> flags = {debug, "-pg", "-mfentry", "-mrecord-mcount"};
      Seed seed{std::string(source) + " " + debug, compile(work.path(), source, flags), {}};
      auto changed = flags;
      changed.emplace_back("-DPATCHED");
      seed.patched = compile(work.path(), source, changed);
      result.push_back(std::move(seed));
    }
    return result;
  }();
  return seeds;
}

const std::vector<Seed>& module_seeds() {
  static const std::vector<Seed> seeds = [] {
    const TempDir work(fs::temp_directory_path(), "klp-seeds");
    std::vector<Seed> result;
    for (const char* maker : {"-DKLP_DIFF", "-DKPATCH", "-DBY_HAND"}) {
      const Bytes linked = compile(work.path(), "module.c", {maker});
      const Bytes finished = elf::finalized(elf::ElfObject::parse("module.ko", linked)).serialize();
      result.push_back({std::string("module.c ") + maker, linked, {}});
      result.push_back({std::string("module.c finished ") + maker, finished, {}});
    }
    return result;
  }();
  return seeds;
}

kernel::Kernel test_kernel() {
  const char* name = std::getenv("KLP_TEST_KERNEL");
  return kernel::open_kernel({name != nullptr ? name : "debian:6.1-cloud-amd64", {}, {}, {}, {}, {}, {}, {}, {}});
}

std::vector<Seed> kernel_seeds() {
  const auto known = kernel::list_kernels();
  if (std::none_of(known.begin(), known.end(), [](const auto& k) { return k.complete; })) return {};
  const kernel::Kernel kernel = test_kernel();
  const kernel::KernelIndex index = kernel::KernelIndex::open(kernel);
  const TempDir work(fs::temp_directory_path(), "klp-seeds");
  const fs::path object = work.path() / "unit.o";
  const kernel::ReplayResult compiled =
      kernel::replay(index.units().at("fs/proc/meminfo.o"), kernel.source, kernel.source, object);
  check(compiled.good, "{}", compiled.output);
  std::string text = read_file(object);
  Seed seed{"fs/proc/meminfo.o", bytes_of(text), {}};
  const size_t string = text.find("MemTotal:");
  check(string != std::string::npos, "fs/proc/meminfo.o has no string MemTotal:");
  text.replace(string, 8, "MEMTOTAL");
  seed.patched = bytes_of(text);
  return {std::move(seed)};
}

}  // namespace klp::test
