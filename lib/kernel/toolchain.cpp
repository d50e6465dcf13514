// gcc finds cc1 and its headers beside itself, wherever it was unpacked, but the assembler by PATH: -B names a
// directory with the short names. Programs of kbuild for the host (objtool, fixdep) are still built by the host's own
// gcc, because an old linker cannot read a newer libc.
#include "kernel/toolchain.h"

#include <regex>
#include <set>

#include "kernel/assembler.h"
#include "kernel/kernel.h"
#include "kernel/store.h"
#include "support/error.h"
#include "support/files.h"
#include "support/run.h"

namespace klp::kernel {
namespace {

constexpr std::string_view kTriplet = "x86_64-linux-gnu-";

/// What kbuild calls by CROSS_COMPILE (Makefile, 5.10-6.12), and `as` for what is assembled without the compiler.
constexpr const char* kBinutils[] = {"ld", "ar", "nm", "objcopy", "objdump", "readelf", "strip", "as"};

bool is_compiler(const std::string& name) {
  static const std::regex driver("(x86_64-linux-gnu-)?gcc-[0-9]+");
  return std::regex_match(name, driver);
}

std::string starter_script(const fs::path& root, const fs::path& starters, const std::string& name) {
  const fs::path libraries = root / "usr/lib/x86_64-linux-gnu";
  // Behind the arguments: one of them may name an assembler that stands in front of this one.
  const std::string option = is_compiler(name) ? fmt::format(" -B'{}/short/'", starters.string()) : "";
  return fmt::format("#!/bin/sh\nLD_LIBRARY_PATH='{}' exec '{}' \"$@\"{}\n", libraries.string(),
                     (root / "usr/bin" / name).string(), option);
}

/// Scripts for all programs of `root`, and the short names of the binutils for the compiler.
void make_starters(const fs::path& root, const fs::path& starters) {
  make_directories(starters / "short");
  for (const auto& entry : fs::directory_iterator(root / "usr/bin")) {
    const std::string name = entry.path().filename().string();
    if (!fs::is_regular_file(entry.path())) continue;  // also what a link leads to nowhere
    const std::string script = starter_script(root, starters, name);
    make_starter(starters / name, script);
    if (name.starts_with(kTriplet) && !is_compiler(name))
      make_starter(starters / "short" / name.substr(kTriplet.size()), script);
  }
}

/// "gcc-10 (Debian 10.2.1-6) 10.2.1" -> "10.2.1-6".
std::string debian_version(const Compiler& compiler) {
  static const std::regex inside(R"(\(Debian ([A-Za-z0-9.+~:-]+)\))");
  std::smatch match;
  return std::regex_search(compiler.text, match, inside) ? match[1].str() : std::string();
}

/// What the programs need of a compiler's or the binutils' dependencies; libc and libz every system has.
bool is_part(const std::string& package) {
  static const std::regex parts(
      "(gcc|cpp)-[0-9]+(-x86-64-linux-gnu)?|libgcc-[0-9]+-dev|binutils|binutils-x86-64-linux-gnu|"
      "libbinutils|libctf(-nobfd)?[0-9]+|libgprofng[0-9]+|libsframe[0-9]+|libjansson4|libisl[0-9]+|libmpc[0-9]+|libmpfr"
      "[0-9]+|libgmp[0-9]+");
  return std::regex_match(package, parts);
}

struct Dependency {
  std::string package, relation, version;  ///< relation "=" or ">=", or empty
};

/// The entries of a Depends field; of alternatives the first.
std::vector<Dependency> dependencies(const std::string& field) {
  static const std::regex entry(R"((?:^|,)\s*([a-z0-9.+-]+)(?::any)?(?:\s*\((>?=) ([^)]+)\))?)");
  std::vector<Dependency> result;
  for (std::sregex_iterator it(field.begin(), field.end(), entry), end; it != end; ++it)
    result.push_back({(*it)[1].str(), (*it)[2].str(), (*it)[3].str()});
  return result;
}

/// The oldest version that will do: several suites' lists are read together, and the compiler was built and used with
/// the binutils of its own.
std::optional<PackageVersion> find_part(const Apt& apt, const Dependency& wanted) {
  std::optional<PackageVersion> best;
  for (const PackageVersion& candidate : apt.versions(wanted.package)) {  // newest first
    if (wanted.relation == "=" && candidate.version != wanted.version) continue;
    if (wanted.relation == ">=" && natural_less(candidate.version, wanted.version)) continue;
    best = candidate;
  }
  return best;
}

}  // namespace

fs::path toolchain_compiler(const fs::path& root, const std::string& program) {
  std::error_code error;
  const fs::path real = fs::canonical(root, error);
  if (error || !fs::is_regular_file(real / "usr/bin" / program, error)) {
    throw Error(fmt::format("compiler-mismatch: {} has no usr/bin/{}", root.string(), program),
                fmt::format("unpack into it, with dpkg-deb -x, the packages {0}, cpp-{1}, libgcc-{1}-dev, "
                            "binutils-x86-64-linux-gnu, libbinutils and libctf0 of the distribution that built the "
                            "kernel; `klp-diff kernel fetch` does so by itself when --toolchain-root is left out",
                            program, program.substr(program.rfind('-') + 1)));
  }
  const fs::path starters = cache_root() / "starters" / sha256_hex(real.string()).substr(0, 16);
  make_starters(real, starters);
  return starters / program;
}

std::string cross_compiler(const Target& target, const Compiler& compiler, const std::string& prefix) {
  std::string base = compiler.program;
  if (base.starts_with(target.triplet)) base.erase(0, target.triplet.size());
  const std::string start = prefix.empty() ? std::string(target.triplet) : prefix, program = start + base;
  const auto found = find_program(program);
  if (!found) return program;
  const fs::path starters = cache_root() / "starters" / sha256_hex(found->string()).substr(0, 16);
  const std::string triplet(target.triplet);
  for (const char* name : kBinutils) {
    const auto tool = find_program(start + name);
    if (!tool)
      throw Error(fmt::format("{} is missing, which belongs to the compiler {}", start + name, found->string()),
                  fmt::format("apt-get install binutils-{}", triplet.substr(0, triplet.size() - 1)));
    make_directories(starters);
    make_starter(starters / (triplet + name), fmt::format("#!/bin/sh\nexec '{}' \"$@\"\n", tool->string()));
    if (std::string_view(name) == "as") make_assembler_starter(starters / "short", *tool, "call-nops");
  }
  make_starter(starters / program.substr(program.rfind('/') + 1),
               fmt::format("#!/bin/sh\nexec '{}' -B'{}/short/' \"$@\"\n", found->string(), starters.string()));
  const std::string compiler_path = (starters / program.substr(program.rfind('/') + 1)).string();
  make_directories(fs::path(compiler_as_shipped(compiler_path)).parent_path());
  make_starter(compiler_as_shipped(compiler_path), fmt::format("#!/bin/sh\nexec '{}' \"$@\"\n", found->string()));
  return compiler_path;
}

std::string compiler_as_shipped(const std::string& cross_compiler) {
  const fs::path path(cross_compiler);
  return (path.parent_path() / "as-shipped" / path.filename()).string();
}

std::vector<std::string> toolchain_variables(const std::string& compiler, const Target& target) {
  const fs::path path(compiler);
  if (!path.has_parent_path()) return {};
  return {"CROSS_COMPILE=" + (path.parent_path() / target.triplet).string()};
}

fs::path toolchain_directory(const Compiler& compiler) {
  const std::string version = debian_version(compiler);
  if (version.empty()) return {};
  return cache_root() / "toolchains" / fmt::format("{}_{}", compiler.program, version);
}

bool host_has_compiler(const Compiler& compiler) {
  if (!find_program(compiler.program)) return false;
  RunOptions options;
  options.merge_output = false;
  const RunResult result = run({compiler.program, "--version"}, options);
  return result.status == 0 && result.output.substr(0, result.output.find('\n')) == compiler.text;
}

std::vector<PackageVersion> toolchain_packages(const Apt& apt, const Compiler& compiler) {
  std::vector<PackageVersion> result;
  // x86_64-linux-gnu-gcc-14 is in a package of its own, gcc-14-x86-64-linux-gnu.
  const bool full_name = compiler.program.starts_with(kTriplet);
  const std::string package =
      full_name ? compiler.program.substr(kTriplet.size()) + "-x86-64-linux-gnu" : compiler.program;
  const std::string version = debian_version(compiler);
  if (version.empty()) return result;
  std::vector<Dependency> wanted = {{package, "=", version}};
  std::set<std::string> seen;
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (!is_part(wanted[i].package) || !seen.insert(wanted[i].package).second) continue;
    const auto found = find_part(apt, wanted[i]);
    if (!found && i == 0) return {};
    if (!found) continue;
    for (const Dependency& dependency : dependencies(found->depends)) wanted.push_back(dependency);
    result.push_back(*found);
  }
  return result;
}

std::string choose_compiler(const Compiler& compiler, const fs::path& chosen_root) {
  if (!chosen_root.empty()) return toolchain_compiler(chosen_root, compiler.program).string();
  if (host_has_compiler(compiler)) return compiler.program;
  const fs::path kept = toolchain_directory(compiler);
  std::error_code error;
  if (!kept.empty() && fs::is_directory(kept / "usr/bin", error))
    return toolchain_compiler(kept, compiler.program).string();
  return compiler.program;
}

}  // namespace klp::kernel
