// GNU patch does the work, for its handling of fuzz, offsets and renames. It gets only the pieces about kernel code, so
// a hunk of MAINTAINERS that does not fit stops nobody. What really changed is then read from the two files by diff:
// the numbers in a patch are wishes.
#include "kernel/apply_patch.h"

#include <algorithm>
#include <sstream>

#include "kernel/apt.h"
#include "support/run.h"

namespace klp::kernel {
namespace {

bool is_kernel_code(const std::string& path) {
  const PathKind kind = kind_of_path(path);
  return kind == PathKind::source || kind == PathKind::header;
}

Finding patch_finding(Severity severity, std::string code, const std::string& file, std::string message,
                      std::string hint) {
  return {severity, std::move(code), {}, file, {}, std::move(message), std::move(hint)};
}

std::string normalised(const std::string& path) {
  return fs::path(path).lexically_normal().string();
}

bool is_applied_already(const fs::path& root, const std::string& text) {
  RunOptions options;
  options.directory = root;
  options.input = text;
  return run({"patch", "-p1", "-u", "-R", "--force", "--dry-run", "-r", "-"}, options).status == 0;
}

/// Lines that begin with a blank are shown as they are, not wrapped.
std::string indented(const std::string& text) {
  std::istringstream in(text);
  std::string result;
  for (std::string line; std::getline(in, line);) result += "  " + line + "\n";
  return result;
}

/// Turns what GNU patch says into findings. Its lines about a file follow the one that names it.
class PatchOutput {
 public:
  PatchOutput(const fs::path& patch, ShadowTree& tree, Findings& findings)
      : patch_(patch), tree_(tree), findings_(findings) {}

  void read(const std::string& output) {
    std::istringstream in(output);
    for (std::string line; std::getline(in, line);) {
      if (line.starts_with("patching file ") || line.starts_with("checking file ")) {
        end_file();
        file_ = line.substr(14, line.find(" (", 14) - 14);
      } else if (line.starts_with("Hunk ") && line.find(" succeeded ") != std::string::npos) {
        moved_.push_back(line);
      } else if (line.find("FAILED") != std::string::npos || line.find("failed") != std::string::npos) {
        failed_.push_back(line);
      } else if (line.find("already exists") != std::string::npos ||
                 line.find("can't find file") != std::string::npos ||
                 line.find("No file to patch") != std::string::npos) {
        failed_.push_back(line);
      }
    }
    end_file();
  }

  bool any_failure() const { return any_failure_; }

 private:
  void end_file() {
    const std::string from = patch_.filename().string();
    if (!failed_.empty()) {
      any_failure_ = true;
      std::string message = fmt::format("{} does not apply to {}: {}", from,
                                        file_.empty() ? "this kernel's source" : file_, failed_.front());
      const fs::path rejects = tree_.root() / (file_ + ".rej");
      std::error_code error;
      if (!file_.empty() && fs::is_regular_file(rejects, error)) message += "\n" + indented(read_file(rejects));
      findings_.add(patch_finding(Severity::refusal, "patch-does-not-apply", file_, message,
                                  "bring the patch to this kernel's source version first"));
    } else if (!moved_.empty()) {
      std::string message = from + ":";
      for (const std::string& line : moved_) message.append(" ").append(line);
      findings_.add(patch_finding(Severity::note, "patch-fuzz", file_, message, {}));
    }
    moved_.clear();
    failed_.clear();
  }

  fs::path patch_;
  ShadowTree& tree_;
  Findings& findings_;
  std::string file_;
  std::vector<std::string> moved_, failed_;
  bool any_failure_ = false;
};

void run_patch(const fs::path& patch, const std::string& text, ShadowTree& tree, Findings& findings) {
  const bool applied_already = is_applied_already(tree.root(), text);
  RunOptions options;
  options.directory = tree.root();
  options.input = text;
  // Never asks (--force), writes no backups; -u: what only looks like an ed script stays text.
  const RunResult result = run({"patch", "-p1", "-u", "--force", "--no-backup-if-mismatch"}, options);
  if (result.status != 0) check_disk_space("applying " + patch.string(), result.output, tree.root());
  if (result.status != 0 && applied_already) {
    findings.add(
        patch_finding(Severity::refusal, "patch-does-not-apply", patch.filename().string(),
                      patch.filename().string() + " does not apply: this kernel's source already has its changes",
                      "nothing needs to be patched; check the kernel's version"));
    return;
  }
  PatchOutput output(patch, tree, findings);
  output.read(result.output);
  if (result.status == 0 || output.any_failure()) return;
  findings.add(patch_finding(Severity::refusal, "patch-does-not-apply", patch.filename().string(),
                             patch.filename().string() + " does not apply:\n" + result.output,
                             "bring the patch to this kernel's source version first"));
}

std::vector<Hunk> diff_hunks(const fs::path& before, const fs::path& after, const std::string& path) {
  const RunResult result =
      run({"diff", "-a", "-U3", "--label", "a/" + path, "--label", "b/" + path, before.string(), after.string()});
  check(result.status <= 1, "diff {} {}: {}", before.string(), after.string(), result.output);
  if (result.status == 0) return {};
  std::vector<TouchedFile> files = parse_patch(result.output, "diff of " + path);
  check(files.size() == 1, "diff of {} has {} parts", path, files.size());
  return std::move(files.front().hunks);
}

/// Fills in what became of `file`; false when nothing did in the end.
bool read_off(const fs::path& source, const ShadowTree& tree, TouchedFile& file) {
  std::error_code error;
  const fs::path old_file = source / file.old_path, new_file = tree.root() / file.path;
  const bool had = fs::is_regular_file(old_file, error), has = fs::is_regular_file(new_file, error);
  if (!had && !has) return false;
  if (!had) file.change = FileChange::added;
  if (had && !has) file.change = FileChange::removed;
  if (had && has && file.change != FileChange::renamed) file.change = FileChange::modified;
  file.hunks = diff_hunks(had ? old_file : "/dev/null", has ? new_file : "/dev/null", file.path);
  return !file.hunks.empty() || file.change != FileChange::modified;
}

void add_touched(const TouchedFile& from_patch, std::vector<TouchedFile>& touched) {
  TouchedFile file = from_patch;
  // A copy's source is not touched; the copy is a new file.
  if (file.change != FileChange::renamed) file.old_path = file.path;
  const auto same =
      std::find_if(touched.begin(), touched.end(), [&](const TouchedFile& t) { return t.path == file.path; });
  if (same == touched.end()) touched.push_back(std::move(file));
}

}  // namespace

std::vector<TouchedFile> apply_patches(const std::vector<fs::path>& patches, const fs::path& source, ShadowTree& tree,
                                       Findings& findings) {
  std::vector<TouchedFile> touched;
  Findings of_patches;
  for (const fs::path& patch : patches) {
    std::string text;
    for (TouchedFile& file : read_patches({patch})) {
      file.path = normalised(file.path);
      file.old_path = normalised(file.old_path);
      if (!is_kernel_code(file.path)) continue;
      tree.make_real_file(file.old_path);
      tree.make_real_file(file.path);
      text += file.text;
      add_touched(file, touched);
    }
    if (!text.empty()) run_patch(patch, text, tree, of_patches);
    if (of_patches.has_refusal()) break;
  }
  findings.add(of_patches);
  std::erase_if(touched, [&](TouchedFile& file) { return !read_off(source, tree, file); });
  return touched;
}

}  // namespace klp::kernel
