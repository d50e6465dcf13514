// The workspace's two shadows, and which units a patch reaches.
//
// A touched .c file reaches the units whose text it is part of. A touched header reaches every unit that includes it,
// unless the change is one that no compiler sees; as long as the units that include it cannot be proven unaffected,
// reaching any unit that is not compiled anyway is a refusal.
#include "kernel/workspace.h"

#include <algorithm>
#include <sstream>

#include "kernel/apply_patch.h"
#include "kernel/c_text.h"
#include "kernel/line_marks.h"
#include "kernel/workspace_state.h"

namespace klp::kernel {
namespace {

Finding refusal(std::string code, const std::string& file, std::string message, std::string hint) {
  return {Severity::refusal, std::move(code), {}, file, {}, std::move(message), std::move(hint)};
}

std::string file_name(const std::string& path) {
  return fs::path(path).filename().string();
}

/// The CONFIG_ symbol that the directory's Makefile builds `source` under; empty when none is found.
std::string config_symbol_of(const fs::path& tree, const std::string& source) {
  const fs::path makefile = (tree / source).parent_path() / "Makefile";
  std::error_code error;
  if (!fs::is_regular_file(makefile, error)) return {};
  const std::string object = fs::path(source).stem().string() + ".o";
  std::istringstream in(read_file(makefile));
  for (std::string line; std::getline(in, line);) {
    const size_t at = line.find(object), config = line.find("$(CONFIG_");
    if (at == std::string::npos || config == std::string::npos || config > at) continue;
    const char before = line[at - 1];
    if (before == ' ' || before == '\t' || before == '=')
      return line.substr(config + 2, line.find(')', config) - config - 2);
  }
  return {};
}

Finding not_built(const fs::path& tree, const TouchedFile& file) {
  const std::string symbol = config_symbol_of(tree, file.path);
  if (file.change == FileChange::added) {
    return refusal("not-built", file.path, file.path + " is a new file that no unit of this kernel compiles",
                   "put its code into an existing file, or #include it from a file that the patch touches");
  }
  return refusal(
      "not-built", file.path, file.path + " is not compiled in this kernel's configuration",
      symbol.empty()
          ? "check that the patch is meant for this kernel; without this file there is nothing to patch here"
          : fmt::format("it is built only with {}, which is not set here: this kernel does not have the code", symbol));
}

}  // namespace

Workspace::State::State(const Kernel& the_kernel, const KernelIndex& the_index, fs::path the_directory)
    : kernel(the_kernel),
      index(the_index),
      source(fs::canonical(the_kernel.source)),
      directory(fs::canonical(the_directory)),
      patched(source, directory / "patched"),
      marked(source, directory / "marked") {}

Workspace::Workspace(const Kernel& kernel, const KernelIndex& index, fs::path directory)
    : state_(std::make_unique<State>(kernel, index, std::move(directory))) {}
Workspace::~Workspace() = default;
Workspace::Workspace(Workspace&&) noexcept = default;

const fs::path& Workspace::patched_tree() const {
  return state_->patched.root();
}

std::vector<TouchedFile> Workspace::apply(const std::vector<fs::path>& patches, Findings& findings) {
  std::vector<TouchedFile> touched = apply_patches(patches, state_->source, state_->patched, findings);
  for (const TouchedFile& file : touched) {
    state_->touched_paths.insert(file.path);
    state_->touched_paths.insert(file.old_path);
    if (file.old_path != file.path) state_->marked.remove(file.old_path);
    if (file.change == FileChange::removed) {
      state_->marked.remove(file.path);
    } else {
      const std::string text = read_file(state_->patched.root() / file.path);
      state_->marked.write(file.path, file.change == FileChange::added ? text : add_line_marks(text, file.hunks));
    }
  }
  return touched;
}

namespace {

/// Collects what the touched files reach.
class Reach {
 public:
  Reach(const KernelIndex& index, const fs::path& source, const fs::path& patched,
        const std::vector<TouchedFile>& touched, Findings& findings)
      : index_(index), source_(source), patched_(patched), touched_(touched), findings_(findings) {}

  std::vector<const Unit*> units() {
    for (const TouchedFile& file : touched_) {
      if (kind_of_path(file.path) == PathKind::source) add_source(file);
    }
    for (const TouchedFile& file : touched_) {
      if (kind_of_path(file.path) == PathKind::header) check_header(file);
    }
    std::vector<const Unit*> result;
    for (const auto& [name, unit] : compiled_) result.push_back(unit);
    return result;
  }

 private:
  void add_source(const TouchedFile& file) {
    const bool gone = file.change == FileChange::removed || file.change == FileChange::renamed;
    const std::vector<std::string> names = index_.units_compiling(file.old_path);
    if (gone && !names.empty()) {
      findings_.add(refusal(
          "build-rules", file.old_path,
          fmt::format("the patch removes or renames {}, which {} is still compiled from", file.old_path, names.front()),
          "keep the file, and change only the code in it"));
      return;
    }
    for (const std::string& name : names) add_unit(file, name);
    if (names.empty() && file.change != FileChange::removed && !included_by_touched(file))
      findings_.add(not_built(source_, file));
  }

  void add_unit(const TouchedFile& file, const std::string& name) {
    const fs::path source = fs::path(name).replace_extension(".c");
    if (!name.ends_with(".o")) {
      findings_.add(refusal("build-rules", file.path,
                            fmt::format("{} is generated from {}, and other code from it", name, file.path),
                            "leave this file out of the patch, and make the fix in the C code that it leads to"));
    } else if (kind_of_path(source.string()) == PathKind::special_image) {
      // Boot code and the EFI stub have run; what still runs (vdso) or will (purgatory) cannot be redirected.
      if (source.string().find("/boot/") != std::string::npos || source.string().find("/libstub/") != std::string::npos)
        return;
      findings_.add(refusal(
          "special-image", file.path,
          fmt::format("{} is compiled into {} too, which is not part of the running kernel's code", file.path, name),
          "only a reboot into a fixed kernel changes that image"));
    } else if (const auto found = index_.units().find(name); found != index_.units().end()) {
      compiled_[name] = &found->second;
    }
  }

  /// A new file is compiled when a touched file includes it; its name is enough to tell.
  bool included_by_touched(const TouchedFile& file) const {
    if (file.change != FileChange::added && file.change != FileChange::renamed) return false;
    for (const TouchedFile& other : touched_) {
      if (other.path == file.path || other.change == FileChange::removed) continue;
      std::istringstream in(without_comments(read_file(patched_ / other.path)));
      for (std::string line; std::getline(in, line);) {
        if (line.starts_with('#') && line.find("include") != std::string::npos &&
            line.find(file_name(file.path)) != std::string::npos)
          return true;
      }
    }
    return false;
  }

  bool compiler_sees(const TouchedFile& file) const {
    if (file.change != FileChange::modified) return true;
    return without_comments(read_file(source_ / file.path)) != without_comments(read_file(patched_ / file.path));
  }

  void check_header(const TouchedFile& file) {
    if (file.change != FileChange::modified || !compiler_sees(file)) return;
    // A file that is no .c may be the text of a unit all the same (#include "x.inc").
    if (!index_.units_including(file.old_path).empty() || !index_.units_compiling(file.old_path).empty()) return;
    findings_.add(refusal("not-built", file.path, "no unit of this kernel's configuration includes " + file.path,
                          "check that the patch is meant for this kernel, or leave this file out of it"));
  }

  const KernelIndex& index_;
  const fs::path& source_;
  const fs::path& patched_;
  const std::vector<TouchedFile>& touched_;
  Findings& findings_;
  std::map<std::string, const Unit*> compiled_;
};

}  // namespace

const KernelIndex& Workspace::index() const {
  return state_->index;
}
fs::path Workspace::source_tree() const {
  return state_->source;
}

std::vector<const Unit*> Workspace::units_to_compile(const std::vector<TouchedFile>& touched,
                                                     Findings& findings) const {
  return Reach(state_->index, state_->source, state_->patched.root(), touched, findings).units();
}

}  // namespace klp::kernel
