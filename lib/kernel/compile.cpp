// Compiling units, original and patched, in parallel.
//
// The original is compiled in the kernel's own tree with its outputs elsewhere, the patched one in the shadow with line
// marks, and in the one without when the marks do not compile. After each compilation every file that it read is held
// against the touched ones by its real path: a link that leads back into the unpatched tree would be a missed change.
#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

#include "kernel/assembler.h"
#include "kernel/compiler_warnings.h"
#include "kernel/module_link.h"
#include "kernel/original_cache.h"
#include "kernel/prepare.h"
#include "kernel/replay.h"
#include "kernel/target.h"
#include "kernel/toolchain.h"
#include "kernel/workspace_state.h"
#include "support/log.h"
#include "support/progress.h"
#include "support/run.h"

namespace klp::kernel {
namespace {

/// Calls `task(i)` for each i < count from `jobs` threads. The first Error stops the rest and is thrown here.
template <typename Task>
void for_each_parallel(size_t count, unsigned jobs, Task task) {
  std::atomic<size_t> next{0};
  std::exception_ptr problem;
  std::mutex mutex;
  const auto work = [&] {
    for (size_t i = next++; i < count; i = next++) {
      try {
        task(i);
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (!problem) problem = std::current_exception();
        next = count;
      }
    }
  };
  std::vector<std::thread> threads;
  if (jobs == 0) jobs = std::max(1U, std::thread::hardware_concurrency());
  for (size_t i = 1; i < std::min<size_t>(jobs, count); ++i) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
  if (problem) std::rethrow_exception(problem);
}

struct Outcome {
  CompiledUnit unit;
  std::string errors;                 ///< of the patched source without marks; empty: compiled
  std::string messages;               ///< of the compilation that made the patched object
  std::vector<std::string> warnings;  ///< that the original does not give
};

}  // namespace

/// Options with which the patched side finds the headers for patch authors (lib/runtime). Ours come first: klp-diff
/// does not read what a kernel's own linux/livepatch_helpers.h makes. A patch that brings a file of such a name means
/// its own. The original is compiled without, so neither its identity nor its place in the cache depends on them.
std::vector<std::string> author_headers(const std::set<std::string>& touched) {
  const fs::path ours = runtime_directory() / "include";
  bool own = false;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(ours)) {
    const fs::path name = entry.path().filename();
    own = own || std::any_of(touched.begin(), touched.end(),
                             [&](const std::string& path) { return fs::path(path).filename() == name; });
  }
  const std::string after = (runtime_directory() / "include_after").string();
  return {own ? "-idirafter" : "-I", ours.string(), "-idirafter", after};
}

/// One run of Workspace::compile.
class Compilation {
 public:
  Compilation(Workspace::State& state, const CompileOptions& options)
      : state_(state),
        options_(options),
        cache_(state.kernel, options.launcher),
        differs_(!target_named(state.kernel.arch).code_flags.empty()),
        as_shipped_cache_(state.kernel, options.launcher,
                          differs_ ? compiler_as_shipped(state.kernel.compiler) : state.kernel.compiler),
        author_headers_(author_headers(state.touched_paths)) {}

  std::vector<Outcome> compile(const std::vector<const Unit*>& units) {
    std::vector<Outcome> outcomes(units.size());
    for (size_t i = 0; i < units.size(); ++i) outcomes[i].unit.unit = units[i];
    prepare_trees(units);
    Progress progress("compiling", 2 * units.size());
    // All patched units first: they are never cached, so they are what takes time.
    for_each_parallel(2 * units.size(), options_.jobs, [&](size_t i) {
      Outcome& outcome = outcomes[i % units.size()];
      if (i < units.size()) {
        compile_patched(outcome);
      } else {
        compile_original(outcome.unit);
        if (differs_) compile_as_shipped(outcome.unit);
      }
      progress.advance(outcome.unit.unit->source);
    });
    retry_with_generated_files(outcomes);
    for_each_parallel(outcomes.size(), options_.jobs, [&](size_t i) { compare_warnings(outcomes[i]); });
    return outcomes;
  }

  void preprocess(const std::vector<const Unit*>& units, const Workspace::SeePreprocessed& see) {
    prepare_trees(units);
    Progress progress("preprocessing", units.size());
    for_each_parallel(units.size(), options_.jobs, [&](size_t i) {
      const fs::path place = state_.directory / "preprocessed" / units[i]->unit;
      Outcome outcome;
      outcome.unit.unit = units[i];
      outcome.unit.patched = place.string() + ".patched";
      const fs::path original = place.string() + ".original";
      bool good = replay(*units[i], state_.source, state_.source, original, {}, ReplayOutput::preprocessed,
                         state_.kernel.compiler)
                      .good;
      good = good && (compile_in(state_.marked, outcome, ReplayOutput::preprocessed).good ||
                      compile_in(state_.patched, outcome, ReplayOutput::preprocessed).good);
      see(i, good ? read_file(original) : "", good ? read_file(outcome.unit.patched) : "");
      std::error_code error;
      fs::remove(original, error);
      fs::remove(outcome.unit.patched, error);
      progress.advance(units[i]->source);
    });
  }

 private:
  /// Includes are looked up beside the source first, so its directory is real from the start.
  void prepare_trees(const std::vector<const Unit*>& units) {
    for (const Unit* unit : units) {
      const std::string directory = fs::path(unit->source).parent_path().string();
      state_.patched.make_real_directory(directory);
      state_.marked.make_real_directory(directory);
    }
  }

  ReplayResult replay_original(const Unit& unit, const fs::path& object) const {
    return replay(unit, state_.source, state_.source, object, {}, ReplayOutput::object,
                  compiler_words(options_.launcher, state_.kernel.compiler));
  }

  void compile_original(CompiledUnit& compiled) {
    const Unit unit = with_long_branches(*compiled.unit, state_.kernel);
    if (options_.use_cache) {
      if (const auto kept = cache_.find(unit)) {
        compiled.original = *kept;
        compiled.original_cached = true;
        return;
      }
    }
    compiled.original = state_.directory / "original" / unit.unit;
    ReplayResult result = replay_original(unit, compiled.original);
    if (!result.good) {
      make_in_kernel_tree(unit, result.output);
      result = replay_original(unit, compiled.original);
    }
    if (!result.good) {
      throw Error(fmt::format("the unpatched {} does not compile:\n{}", unit.source, first_errors(result.output)),
                  "the kernel's source or configuration is not what it was built from; fetch or prepare it again");
    }
    if (options_.use_cache) compiled.original = cache_.store(unit, compiled.original, result.dependencies);
  }

  /// What compile_original() had to make for it is there now.
  void compile_as_shipped(CompiledUnit& compiled) {
    Unit unit = *compiled.unit;
    unit.command = command_as_shipped(state_.kernel, unit.command);
    if (options_.use_cache) {
      if (const auto kept = as_shipped_cache_.find(unit)) {
        compiled.as_shipped = *kept;
        return;
      }
    }
    compiled.as_shipped = state_.directory / "as-shipped" / unit.unit;
    const ReplayResult result =
        replay(unit, state_.source, state_.source, compiled.as_shipped, {}, ReplayOutput::object,
               compiler_words(options_.launcher, compiler_as_shipped(state_.kernel.compiler)));
    check(result.good, "the unpatched {} does not compile as the kernel has it:\n{}", unit.source,
          first_errors(result.output));
    if (options_.use_cache)
      compiled.as_shipped = as_shipped_cache_.store(unit, compiled.as_shipped, result.dependencies);
  }

  /// Some units need a file that only kbuild's own rules generate (lib/crc32table.h, *.asn1.h). make knows which; its
  /// other products are the same as the ones from the preparation.
  void make_in_kernel_tree(const Unit& unit, const std::string& messages) {
    log("compile").info("{} does not compile as it is; letting make generate what it needs: {}", unit.unit,
                        first_errors(messages, 1));
    fs::create_directories(state_.kernel.cache);
    const FileLock lock(state_.kernel.cache / "source.lock");
    std::vector<std::string> command = kbuild_command(state_.kernel);
    command.push_back(unit.unit);
    RunOptions options;
    options.environment = {{"KCONFIG_NOSILENTUPDATE", "1"}};  // make fails rather than change the config
    const RunResult result = run(command, options);
    if (result.status != 0) log("compile").warn("make {}: {}", unit.unit, first_errors(result.output, 3));
    generated_ = true;
  }

  void compile_patched(Outcome& outcome) {
    const Unit& unit = *outcome.unit.unit;
    outcome.errors.clear();
    outcome.unit.patched = state_.directory / "objects" / unit.unit;
    const ReplayResult marked = compile_in(state_.marked, outcome);
    outcome.unit.line_marks = marked.good;
    outcome.messages = marked.output;
    if (marked.good) return;
    const ReplayResult plain = compile_in(state_.patched, outcome);
    (plain.good ? outcome.messages : outcome.errors) = plain.output;
  }

  /// The cache keeps no messages, so a unit with warnings, which is rare, is compiled once more.
  void compare_warnings(Outcome& outcome) const {
    if (!outcome.errors.empty() || new_warnings(outcome.messages, "").empty()) return;
    const Unit unit = with_long_branches(*outcome.unit.unit, state_.kernel);
    const fs::path object = state_.directory / "warnings" / unit.unit;
    outcome.warnings = new_warnings(outcome.messages, replay_original(unit, object).output);
  }

  ReplayResult compile_in(ShadowTree& tree, const Outcome& outcome, ReplayOutput output = ReplayOutput::object) {
    constexpr int kRounds = 50;  // each makes at least one more directory real
    const Unit unit = with_long_branches(*outcome.unit.unit, state_.kernel);
    for (int round = 0; round < kRounds; ++round) {
      throw_if_interrupted();
      std::shared_lock shared(state_.trees);
      const std::string launcher = output == ReplayOutput::object ? options_.launcher : std::string();
      ReplayResult result = replay(unit, tree.root(), state_.source, outcome.unit.patched, author_headers_, output,
                                   compiler_words(launcher, state_.kernel.compiler));
      const std::vector<std::string> missed = missed_changes(tree, result.dependencies);
      shared.unlock();
      if (missed.empty()) return result;
      const std::unique_lock alone(state_.trees);
      for (const std::string& path : missed) tree.make_real_on_the_way(path);
    }
    fail("{} still reads an unpatched file of {}", unit.unit, state_.source.string());
  }

  /// The dependencies that are touched files, but were read from the kernel's own tree.
  std::vector<std::string> missed_changes(const ShadowTree& tree, const std::vector<std::string>& dependencies) const {
    std::vector<std::string> missed;
    for (const std::string& path : dependencies) {
      if (!may_be_touched(path)) continue;
      std::error_code error;
      const fs::path real = fs::canonical(tree.root() / path, error);
      if (error) continue;
      const std::string relative = real.lexically_relative(state_.source).string();
      if (state_.touched_paths.count(relative) != 0) missed.push_back(path);
    }
    return missed;
  }

  bool may_be_touched(const std::string& path) const {
    const std::string name = path.substr(path.rfind('/') + 1);
    return std::any_of(state_.touched_paths.begin(), state_.touched_paths.end(),
                       [&](const std::string& touched) { return touched.ends_with(name); });
  }

  /// Files that make generated for the originals while the patched units were compiled are linked into the shadows now.
  void retry_with_generated_files(std::vector<Outcome>& outcomes) {
    if (!generated_) return;
    state_.patched.refresh();
    state_.marked.refresh();
    std::vector<Outcome*> again;
    for (Outcome& outcome : outcomes) {
      if (!outcome.errors.empty() || !outcome.unit.line_marks) again.push_back(&outcome);
    }
    for_each_parallel(again.size(), options_.jobs, [&](size_t i) { compile_patched(*again[i]); });
  }

  Workspace::State& state_;
  const CompileOptions& options_;
  OriginalCache cache_;
  bool differs_;  ///< code for a module is compiled otherwise than the kernel's own
  OriginalCache as_shipped_cache_;
  std::vector<std::string> author_headers_;
  std::atomic<bool> generated_{false};
};

void Workspace::preprocess(const std::vector<const Unit*>& units, const CompileOptions& options,
                           const SeePreprocessed& see) {
  if (!units.empty()) Compilation(*state_, options).preprocess(units, see);
}

std::vector<CompiledUnit> Workspace::compile(const std::vector<const Unit*>& units,
                                             const std::vector<TouchedFile>& touched, const CompileOptions& options,
                                             Findings& findings) {
  std::vector<CompiledUnit> result;
  if (units.empty()) return result;
  for (const Outcome& outcome : Compilation(*state_, options).compile(units)) {
    const Unit& unit = *outcome.unit.unit;
    const bool by_patch =
        std::any_of(touched.begin(), touched.end(), [](const TouchedFile& file) { return !file.hunks.empty(); });
    if (!outcome.errors.empty()) {
      findings.add({Severity::refusal,
                    "does-not-compile",
                    {},
                    unit.unit,
                    {},
                    fmt::format("the patched {} does not compile:\n{}", unit.source, first_errors(outcome.errors)),
                    "correct the patch for this kernel's version and configuration"});
      continue;
    }
    if (by_patch && !outcome.unit.line_marks) {
      findings.add(
          {Severity::note,
           "line-marks",
           {},
           unit.unit,
           {},
           fmt::format(
               "{} compiles only without line marks: functions that hold their line's number look changed below a hunk",
               unit.source),
           {}});
    }
    if (!outcome.warnings.empty()) {
      findings.add({Severity::warning,
                    "compiler-warning",
                    {},
                    unit.unit,
                    {},
                    fmt::format("{}", fmt::join(outcome.warnings, "\n")),
                    "look at each: the original compiles without"});
    }
    result.push_back(outcome.unit);
  }
  return result;
}

}  // namespace klp::kernel
