// What the paths of a patch say before anything is compiled.
//
// The first rule that fits decides, so the order matters: a self test's Makefile is ignored, and the Makefile of the
// boot code is a build rule, not boot code.
#include <algorithm>
#include <array>

#include "kernel/patch_set.h"

namespace klp::kernel {
namespace {

bool under(std::string_view path, std::string_view directory) {
  return path.starts_with(directory) && path.size() > directory.size() && path[directory.size()] == '/';
}

bool has_component(std::string_view path, std::string_view component) {
  while (true) {
    const size_t slash = path.find('/');
    if (path.substr(0, slash) == component) return true;
    if (slash == std::string_view::npos) return false;
    path.remove_prefix(slash + 1);
  }
}

bool is_ignored(std::string_view path, std::string_view name) {
  constexpr std::array<std::string_view, 4> kDirectories = {"Documentation", "LICENSES", "samples", "debian"};
  // Of tools/, these are part of a kernel build; the rest are programs and tests of user space.
  constexpr std::array<std::string_view, 7> kBuildTools = {
      "tools/objtool", "tools/lib",     "tools/include",           "tools/build",
      "tools/arch",    "tools/scripts", "tools/bpf/resolve_btfids"};
  constexpr std::array<std::string_view, 7> kNames = {"MAINTAINERS", "CREDITS",       "COPYING", ".mailmap",
                                                      ".gitignore",  ".clang-format", "README"};
  constexpr std::array<std::string_view, 4> kEndings = {".rst", ".md", ".yaml", ".dts"};
  const auto contains_path = [&](auto directory) { return under(path, directory); };
  if (under(path, "tools")) return std::none_of(kBuildTools.begin(), kBuildTools.end(), contains_path);
  return std::any_of(kDirectories.begin(), kDirectories.end(), contains_path) ||
         std::find(kNames.begin(), kNames.end(), name) != kNames.end() ||
         std::any_of(kEndings.begin(), kEndings.end(), [&](auto e) { return name.ends_with(e); });
}

bool is_build_rule(std::string_view path, std::string_view name) {
  constexpr std::array<std::string_view, 4> kStarts = {"Makefile", "Kbuild", "Kconfig", ".config"};
  constexpr std::array<std::string_view, 16> kEndings = {".lds", ".lds.S", ".lds.h", ".sh",    ".pl",   ".awk",
                                                         ".tbl", ".py",    ".uc",    ".mk",    ".asn1", ".map",
                                                         ".sed", ".uni",   ".txt",   ".config"};
  const auto is_or_begins = [&](auto start) {
    return name == start || (name.starts_with(start) && name[start.size()] == '.');
  };
  if (std::any_of(kStarts.begin(), kStarts.end(), is_or_begins)) return true;
  // Headers in scripts/ are for build programs; tools/ holds programs that run at build time (objtool) or in user
  // space.
  return under(path, "scripts") || under(path, "tools") || under(path, "usr") || under(path, "arch/x86/tools") ||
         std::any_of(kEndings.begin(), kEndings.end(), [&](auto e) { return name.ends_with(e); });
}

bool is_special_image(std::string_view path, std::string_view name) {
  // What sets the images up is ordinary kernel code beside them.
  constexpr std::array<std::string_view, 3> kSetup = {"vma.c", "extable.c", "vdso32-setup.c"};
  if (under(path, "drivers/firmware/efi/libstub") || under(path, "lib/vdso")) return true;
  if (!path.starts_with("arch/") || has_component(path, "include")) return false;
  if (has_component(path, "realmode")) return has_component(path, "rm");
  if (has_component(path, "boot") || has_component(path, "purgatory")) return true;
  const bool vdso = has_component(path, "vdso") || has_component(path, "vdso32") || has_component(path, "vdso64");
  return vdso && std::find(kSetup.begin(), kSetup.end(), name) == kSetup.end();
}

Finding finding_for(PathKind kind, const TouchedFile& file) {
  Finding finding{.severity = Severity::refusal,
                  .code = {},
                  .object = {},
                  .unit = file.path,
                  .symbol = {},
                  .message = {},
                  .hint = {}};
  if (kind == PathKind::build_rules) {
    finding.code = "build-rules";
    finding.message =
        file.path + " is a build rule or a file that the build generates code from; rules of a patch are never run";
    finding.hint = "leave this file out of the patch, and make the fix in the C code that it leads to";
  } else if (kind == PathKind::assembly) {
    finding.code = "asm-source";
    finding.message = file.path + " is assembly: its code has no function that the kernel could redirect";
    finding.hint = "make the fix in a C function that calls this code, or reboot into a fixed kernel";
  } else {
    finding.code = "special-image";
    finding.message =
        file.path + " is not part of the running kernel's code (boot, realmode, vdso, EFI stub or purgatory image)";
    finding.hint =
        "leave this file out if the rest of the fix stands without it; else only a reboot into a fixed kernel helps";
  }
  return finding;
}

}  // namespace

PathKind kind_of_path(std::string_view path) {
  const size_t slash = path.rfind('/');
  const std::string_view name = slash == std::string_view::npos ? path : path.substr(slash + 1);
  if (is_ignored(path, name)) return PathKind::ignored;
  if (is_build_rule(path, name)) return PathKind::build_rules;
  if (is_special_image(path, name)) return PathKind::special_image;
  if (name.ends_with(".S") || name.ends_with(".s")) return PathKind::assembly;
  return name.ends_with(".c") || name.ends_with(".rs") ? PathKind::source : PathKind::header;
}

void check_paths(const std::vector<TouchedFile>& files, Findings& findings) {
  std::vector<std::string> seen;
  for (const TouchedFile& file : files) {
    const PathKind kind = kind_of_path(file.path);
    if (kind == PathKind::source || kind == PathKind::header || kind == PathKind::ignored) continue;
    if (std::find(seen.begin(), seen.end(), file.path) != seen.end()) continue;
    seen.push_back(file.path);
    findings.add(finding_for(kind, file));
  }
}

}  // namespace klp::kernel
