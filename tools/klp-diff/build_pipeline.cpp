// Phases in order, each making values for the next; only the workspace, the link and the last write touch files.
#include "build_pipeline.h"

#include <algorithm>
#include <future>
#include <map>
#include <memory>
#include <optional>

#include <fmt/ranges.h>

#include "caller_units.h"
#include "diff/author_marks.h"
#include "diff/emit.h"
#include "diff/engine.h"
#include "elf/compile_units.h"
#include "elf/klp_finalize.h"
#include "kernel/index.h"
#include "kernel/module_link.h"
#include "kernel/target.h"
#include "loader_kernel.h"
#include "missing_symbols.h"
#include "pair_source.h"
#include "report_fill.h"
#include "shipped_types.h"
#include "support/files.h"
#include "support/log.h"
#include "support/progress.h"
#include "support/run.h"
#include "verify/plan_check.h"

namespace klp::tools {
namespace {

constexpr size_t kMaxModuleName = 55;  // MODULE_NAME_LEN - 1

std::string module_name(const BuildOptions& options, const std::string& default_name) {
  if (!options.name.empty()) {
    const bool good = options.name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string::npos &&
                      options.name.size() <= kMaxModuleName;
    if (!good)
      throw Error(fmt::format("'{}' cannot be a module's name", options.name),
                  "use a-z, 0-9 and _, at most 55 characters", ExitStatus::usage);
    return options.name;
  }
  std::string name = "livepatch_";
  for (const char c : default_name) {
    name += std::isalnum(static_cast<unsigned char>(c)) != 0 ? static_cast<char>(std::tolower(c)) : '_';
  }
  return name.substr(0, kMaxModuleName);
}

/// The shipped binaries, read at first use.
class Shipped {
 public:
  explicit Shipped(const kernel::Kernel& kernel)
      : kernel_(kernel),
        vmlinux_object_(elf::ElfObject::read(kernel.vmlinux, elf::ElfObject::Want::symbols_only)),
        vmlinux_(vmlinux_object_),
        exports_(elf::read_symvers(kernel.symvers)) {}

  const elf::SymbolIndex& vmlinux() const { return vmlinux_; }
  const elf::Exports& exports() const { return exports_; }

  bool is_assembly(const std::string& object, std::string_view function) {
    const elf::SymbolIndex& index = of(object);
    const elf::Symbol* symbol = index.maybe_global(function);
    if (symbol == nullptr || !symbol->is_defined()) return false;
    return sources_.try_emplace(object, index.object()).first->second.source_of(*symbol).ends_with(".S");
  }

  const elf::SymbolIndex& of(const std::string& object) {
    if (object == "vmlinux") return vmlinux_;
    auto& slot = modules_[object];
    if (slot == nullptr) {
      const auto path = kernel::find_module(kernel_, object);
      if (!path)
        throw Error(fmt::format("the kernel's module {} is not in {}", object, kernel_.modules.string()),
                    "fetch the kernel again, or give --modules");
      slot = std::make_unique<Module>(elf::ElfObject::read(*path, elf::ElfObject::Want::allocated));
    }
    return slot->index;
  }

 private:
  struct Module {
    explicit Module(elf::ElfObject read) : object(std::move(read)), index(object) {}
    elf::ElfObject object;
    elf::SymbolIndex index;
  };
  const kernel::Kernel& kernel_;
  elf::ElfObject vmlinux_object_;
  elf::SymbolIndex vmlinux_;
  elf::Exports exports_;
  std::map<std::string, std::unique_ptr<Module>> modules_;
  std::map<std::string, elf::CompileUnits> sources_;  ///< by object
};

/// The objects of a pair are read when they are needed: two trees may differ in thousands.
struct ObjectPair {
  const UnitPair* files;
  std::optional<elf::ElfObject> original, patched, as_shipped;
  std::set<std::string, std::less<>> added;

  void read() {
    if (!original) original = elf::ElfObject::read(files->original);
    if (!patched) patched = elf::ElfObject::read(files->patched);
    if (!as_shipped && !files->as_shipped.empty()) as_shipped = elf::ElfObject::read(files->as_shipped);
  }
  void forget() {
    as_shipped.reset();
    original.reset();
    patched.reset();
  }
};

/// Objects of an O= tree name their sources by absolute paths; the report has them relative to the kernel's root.
void shorten_paths(const std::string& source, diff::UnitResult& result) {
  std::string root;
  for (const diff::FunctionReport& f : result.functions) {
    if (f.file.ends_with("/" + source)) root = f.file.substr(0, f.file.size() - source.size());
  }
  for (diff::FunctionReport& f : result.functions) {
    if (!root.empty() && f.file.starts_with(root)) f.file.erase(0, root.size());
  }
}

/// Globals that the units of one change owe each other: how many define them anew, how many refer to them.
struct SharedNames {
  std::map<std::string, size_t, std::less<>> added, undefined;
  std::set<std::string, std::less<>> defined;  ///< by any of them, new or not
  std::set<std::string, std::less<>> unit_names;

  void fill(const ObjectPair& pair, diff::UnitInput& input) const {
    input.defined_in_build = &defined;
    input.units_in_build = &unit_names;
    for (const auto& [name, units] : added) {
      if (units > pair.added.count(name)) input.provided.insert(name);
    }
    for (const elf::Symbol& symbol : pair.patched->symbols()) {
      if (!symbol.is_local() && !symbol.is_undefined() && undefined.count(symbol.name) != 0)
        input.wanted.emplace(symbol.name);
    }
  }
};

constexpr size_t kKeptPairs = 64;  // so many stay in memory between the two times that each is looked at

class Build {
 public:
  explicit Build(const BuildOptions& options)
      : options_(options), source_(make_pair_source(options)), name_(module_name(options, source_->name())) {
    check_accept(options_.accept);
    result_.report.command = "build";
    result_.report.version = KLP_VERSION;
  }

  BuildResult run() {
    clock_.begin("kernel");
    check_output();
    source_->read_input();
    kernel_ = kernel::open_kernel(options_.kernel);
    result_.report.kernel = report_kernel(kernel_);
    shipped_types_ = std::make_unique<ShippedTypes>(kernel_);
    const kernel::KernelIndex index = kernel::KernelIndex::open(kernel_);

    TempDir directory(options_.work_dir.empty() ? fs::temp_directory_path() : options_.work_dir, "klp-diff");
    if (options_.keep) keep(directory);
    fs::create_directories(directory.path() / "module");
    // Programs that are ended on the way (patch, the compiler) do not all remove their own temporary files.
    const fs::path scratch = fs::absolute(directory.path()) / "scratch";
    fs::create_directories(scratch);
    setenv("TMPDIR", scratch.c_str(), 1);

    auto shipped = std::async(std::launch::async, [this] { return std::make_unique<Shipped>(kernel_); });
    auto runtime = std::async(std::launch::async, [this] { return kernel::runtime_objects(kernel_); });
    std::vector<UnitPair> pairs;
    if (!source_->find_pairs(kernel_, index, directory.path(), clock_, pairs, findings_))
      return finish(report::Outcome::refused);
    const std::unique_ptr<Shipped> binaries = shipped.get();
    leaves_references_ = kernel::leaves_references(binaries->vmlinux());
    if (source_->reaches_further()) look_further(pairs, index, *binaries);
    clock_.begin("diff");
    analyse_units(pairs, index, *binaries);
    // Checkpoint: everything that speaks against the patch is known.
    for (const std::string& unused : findings_.accept(options_.accept))
      log("build").warn("--accept {}: nothing to accept", unused);
    if (options_.split) refuse_shared_code();
    name_definitions(source_->patched_source(directory.path()), findings_);
    if (findings_.has_refusal()) return finish(report::Outcome::refused);
    if (plans_.empty()) {
      findings_.add({Severity::note, "unchanged", "", "", "",
                     fmt::format("the {} code and no data of any unit of this kernel",
                                 options_.patched_tree.empty() ? "patch changes no" : "trees differ in no"),
                     ""});
      return finish(report::Outcome::unchanged);
    }
    if (options_.plan) return finish(report::Outcome::ok);
    runtime.get();
    write_modules(directory.path() / "module");
    return finish(report::Outcome::ok);
  }

 private:
  void keep(TempDir& directory) {
    directory.keep();
    fmt::print(stderr, "working directory: {}\n", directory.path().string());
  }

  /// A missing directory is better known before the work than after it.
  void check_output() const {
    const fs::path parent = options_.output.parent_path();
    if (parent.empty() || fs::is_directory(parent)) return;
    throw Error(fmt::format("-o {}: {} is not a directory", options_.output.string(), parent.string()),
                "make the directory first, or choose another one");
  }

  static void check_accept(const std::vector<std::string>& specs) {
    for (const std::string& spec : specs) {
      if (is_acceptable_code(spec.substr(0, spec.find(':')))) continue;
      throw Error(fmt::format("--accept {}: this refusal is not the author's to judge", spec),
                  "those that are: init-code, exit-code, changed-data, changed-layout, changed-prototype",
                  ExitStatus::usage);
    }
  }

  /// Thousands of units may include a header. Those that the patch touches come first: what they refuse, whoever else
  /// includes it, makes looking at the rest idle.
  void look_further(std::vector<UnitPair>& pairs, const kernel::KernelIndex& index, Shipped& binaries) {
    clock_.begin("diff");
    dependants_covered_ = true;
    CallerUnits callers(index, options_.max_caller_units);
    Findings so_far = findings_;
    for (const Analysed& analysed : analyse_all(pairs, index, binaries, callers)) so_far.add(analysed.result.findings);
    so_far.accept(options_.accept);
    if (so_far.has_refusal()) {
      dependants_covered_ = false;
      findings_.add({Severity::note, "header-reach", "", "", "",
                     "the other units that include the touched headers were not looked at: the patch is refused anyway",
                     ""});
      return;
    }
    source_->add_reached(clock_, pairs, findings_);
    // One of them that cannot be compiled, or was not, is a refusal.
    dependants_covered_ = !findings_.has_refusal();
  }

  void analyse_units(std::vector<UnitPair>& files, const kernel::KernelIndex& index, Shipped& binaries) {
    CallerUnits callers(index, options_.max_caller_units);
    std::vector<Analysed> results;
    for (bool again = true; again;) {
      results = analyse_all(files, index, binaries, callers);
      std::vector<const kernel::Unit*> joining;
      again = callers.take(results, joining, findings_);
      if (joining.empty()) continue;
      clock_.begin("compile");
      Findings of_compiling;
      source_->add_pairs(joining, files, of_compiling);
      findings_.add(callers.with_cause(of_compiling, results));
      clock_.begin("diff");
      std::stable_sort(files.begin(), files.end(),
                       [](const UnitPair& a, const UnitPair& b) { return a.unit->unit < b.unit->unit; });
      if (findings_.has_refusal()) break;
    }
    if (!findings_.has_refusal()) callers.check_found(results, findings_);
    for (Analysed& analysed : results) {
      const auto pair =
          std::find_if(files.begin(), files.end(), [&](const UnitPair& p) { return p.unit == analysed.unit; });
      take_result(*pair, analysed);
    }
    findings_.add(diff::conflicts(plans_));
  }

  std::vector<Analysed> analyse_all(const std::vector<UnitPair>& files, const kernel::KernelIndex& index,
                                    Shipped& binaries, CallerUnits& callers) {
    std::vector<ObjectPair> pairs;
    SharedNames shared;
    for (const UnitPair& unit : files) {
      throw_if_interrupted();
      ObjectPair pair{&unit, {}, {}, {}, {}};
      pair.read();
      pair.added = diff::new_globals(*pair.original, *pair.patched);
      for (const std::string& name : pair.added) ++shared.added[name];
      for (const std::string& name : diff::undefined_names(*pair.patched)) ++shared.undefined[name];
      shared.unit_names.insert(unit.unit->unit);
      for (const elf::Symbol& symbol : pair.patched->symbols()) {
        if (symbol.is_defined() && !symbol.is_local()) shared.defined.emplace(symbol.name);
      }
      if (files.size() > kKeptPairs) pair.forget();
      pairs.push_back(std::move(pair));
    }
    std::vector<Analysed> results;
    for (ObjectPair& pair : pairs) {
      pair.read();
      for (const std::string& object : pair.files->unit->objects)
        results.push_back(analyse_unit(pair, shared, object, index, binaries, callers));
      if (files.size() > kKeptPairs) pair.forget();
    }
    return results;
  }

  Analysed analyse_unit(const ObjectPair& pair, const SharedNames& shared, const std::string& object,
                        const kernel::KernelIndex& index, Shipped& binaries, CallerUnits& callers) {
    throw_if_interrupted();
    diff::UnitInput input;
    input.original = &*pair.original;
    input.patched = &*pair.patched;
    input.unit = pair.files->unit->unit;
    input.object = object;
    input.shipped = &binaries.of(object);
    input.vmlinux = &binaries.vmlinux();
    input.exports = &binaries.exports();
    input.table_sizes.structs = index.struct_sizes();
    input.dependants_covered = dependants_covered_;
    input.as_shipped = pair.as_shipped ? &*pair.as_shipped : nullptr;
    const bool comparable = kernel::target_named(kernel_.arch).code_flags.empty() || pair.as_shipped.has_value();
    input.check_identity = comparable;
    input.shipped_types = [this](const std::string& of) { return shipped_types_->of(of); };
    input.is_assembly = [&binaries](const std::string& of, std::string_view name) {
      return binaries.is_assembly(of, name);
    };
    shared.fill(pair, input);
    callers.fill(*pair.files->unit, object, input);
    const SourceChanges source = source_->source_changes(*pair.files->unit);
    input.source = &source;
    return {pair.files->unit, object, diff::analyse(input)};
  }

  void take_result(const UnitPair& pair, Analysed& analysed) {
    diff::UnitResult& result = analysed.result;
    findings_.add(result.findings);
    shorten_paths(pair.unit->source, result);
    if (options_.keep) result_.units.push_back({pair.unit->unit, analysed.object, pair.patched});
    if (result.changed || !result.findings.empty() || source_->reports_unchanged()) {
      report::ReportUnit unit = report_unit(pair.unit->unit, analysed.object, result);
      unit.notes.insert(unit.notes.end(), pair.notes.begin(), pair.notes.end());
      note_what_was_compared(kernel_, !pair.as_shipped.empty(), unit);
      result_.report.units.push_back(std::move(unit));
    }
    // What the author accepts does not keep the rest of the unit out of the module.
    Findings judged = result.findings;
    judged.accept(options_.accept);
    if (!result.plan.unit.empty() && !judged.has_refusal()) plans_.push_back(std::move(result.plan));
  }

  /// A module to be: all plans, or those of one object.
  struct Part {
    std::string name;
    std::vector<diff::PatchObject> plans;
    fs::path file;  ///< once it is made
  };

  std::vector<Part> parts() const {
    if (!options_.split) return {{name_, plans_, {}}};
    std::vector<Part> result;
    for (const diff::PatchObject& plan : plans_) {
      const std::string name = name_ + "_" + plan.object;
      auto part = std::find_if(result.begin(), result.end(), [&](const Part& p) { return p.name == name; });
      if (part == result.end()) part = result.insert(result.end(), {name, {}, {}});
      part->plans.push_back(plan);
    }
    return result;
  }

  /// All are made before the first is delivered.
  void write_modules(const fs::path& directory) {
    std::vector<Part> modules = parts();
    for (Part& part : modules) {
      clock_.begin("link");
      const fs::path own = options_.split ? directory / part.name : directory;
      fs::create_directories(own);
      write_module(own, part);
    }
    for (const Part& part : modules) deliver(part);
  }

  void write_module(const fs::path& directory, Part& part) {
    const Progress progress("linking " + part.name);
    const std::vector<diff::PatchObject>& plans = part.plans;
    kernel::ModuleLink link;
    link.name = part.name;
    link.replace = options_.replace;
    link.pinned = std::any_of(plans.begin(), plans.end(), [](const diff::PatchObject& plan) { return plan.escapes; });
    link.constants =
        std::any_of(plans.begin(), plans.end(), [](const diff::PatchObject& plan) { return !plan.constants.empty(); });
    link.late_references = std::any_of(plans.begin(), plans.end(), diff::has_late_references);
    link.may_refuse_modules = std::any_of(plans.begin(), plans.end(), diff::may_refuse_module);
    link.kernel_leaves_references = leaves_references_;
    link.directory = directory;
    add_modinfo(plans, link);
    for (const diff::PatchObject& plan : plans) {
      link.dead_branches.insert(plan.dead_branches.begin(), plan.dead_branches.end());
      check(plan.object != part.name, "the module cannot have the name of the module it patches: {}", part.name);
      std::string file =
          plan.unit.substr(0, plan.unit.rfind('.')) + (plan.object == "vmlinux" ? "" : "@" + plan.object);
      std::replace_if(
          file.begin(), file.end(), [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, '_');
      link.objects.push_back(directory / fmt::format("patch_{}.o", file));
      diff::emit(plan).write(link.objects.back());
    }
    const fs::path linked = kernel::link_module(kernel_, link);
    part.file = directory / (part.name + ".final.ko");
    elf::finalize_klp(linked, part.file);
    clock_.begin("verify");
    verify::check_against_plan(elf::ElfObject::read(part.file), plans);
    check_loadable(kernel_, part.file);
  }

  void add_modinfo(const std::vector<diff::PatchObject>& plans, kernel::ModuleLink& link) const {
    link.modinfo.emplace("klp_diff", KLP_VERSION);
    link.modinfo.insert(source_->origin());
    std::string accepted;
    for (const std::string& spec : options_.accept) accepted += (accepted.empty() ? "" : ",") + spec;
    if (!accepted.empty()) link.modinfo.emplace("klp_diff_accepted", accepted);
    if (link.pinned) link.modinfo.emplace("klp_diff_pinned", "1");
    std::set<std::string> namespaces;
    for (const diff::PatchObject& plan : plans) namespaces.insert(plan.namespaces.begin(), plan.namespaces.end());
    for (const std::string& name : namespaces) link.modinfo.emplace("import_ns", name);
  }

  void deliver(const Part& part) {
    fs::path target = options_.output.empty() ? fs::path(part.name + ".ko") : options_.output;
    if (fs::is_directory(target)) target /= part.name + ".ko";
    throw_if_interrupted();
    const std::string content = read_file(part.file);
    write_file_atomically(target, content);
    const report::ReportModule module{part.name, target.string(), content.size(), sha256_hex(content)};
    if (!result_.report.module)
      result_.report.module = module;
    else
      result_.report.further_modules.push_back(module);
  }

  /// What one object's code needs of another's new code is in the same module, or nowhere.
  void refuse_shared_code() {
    for (const diff::PatchObject& user : plans_) {
      for (const diff::PatchObject& owner : plans_) {
        if (user.object == owner.object) continue;
        for (const std::string& name : diff::shared_names(user, owner)) {
          findings_.add({Severity::refusal, "new-dependency", user.object, user.unit, name,
                         fmt::format("is new in {} of {}, and a module for {} alone has no access to it", owner.unit,
                                     owner.object, user.object),
                         "build one module for all, without --split"});
        }
      }
    }
  }

  BuildResult finish(report::Outcome outcome) {
    result_.report.header_reach = source_->header_reach();
    result_.report.outcome = outcome;
    result_.report.findings = findings_.sorted();
    if (options_.plan && outcome == report::Outcome::ok) {
      for (const diff::PatchObject& plan : plans_) result_.plan += diff::dump(plan);
    }
    if (options_.keep) result_.plans = std::move(plans_);
    result_.report.timing_ms = clock_.finish();
    return std::move(result_);
  }

  const BuildOptions& options_;
  std::unique_ptr<PairSource> source_;
  std::string name_;
  kernel::Kernel kernel_;
  std::unique_ptr<ShippedTypes> shipped_types_;
  bool dependants_covered_ = false, leaves_references_ = false;
  Findings findings_;
  std::vector<diff::PatchObject> plans_;
  BuildResult result_;
  report::PhaseClock clock_;
};

}  // namespace

BuildResult run_build(const BuildOptions& options) {
  return Build(options).run();
}

}  // namespace klp::tools
