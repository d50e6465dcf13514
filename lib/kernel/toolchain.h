// Compilers that are not the host's: a kernel's own gcc and binutils, unpacked from Debian packages into a directory.
//
// Such programs need their own shared libraries (libbfd, libopcodes), and the compiler must find its own assembler, not
// the host's. So each is started by a two-line script in CACHE/starters; a kernel's `compiler` is then the path of such
// a script, and the binutils are beside it under their full names (x86_64-linux-gnu-ld). Compilers for ppc64le have
// starters too: they name the assembler that completes calls.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "kernel/apt.h"
#include "kernel/config.h"
#include "kernel/target.h"

namespace klp::kernel {

/// The starter of `program` ("gcc-10") for the packages that are unpacked in `root` (root/usr/bin/gcc-10). Makes the
/// starters when they are missing. Error "compiler-mismatch: ..." when `root` has no such program, naming the packages
/// to unpack.
std::filesystem::path toolchain_compiler(const std::filesystem::path& root, const std::string& program);

/// The starter of the compiler for `target` that is installed as `prefix` + its name
/// ("/opt/x/bin/powerpc64le-linux-gnu-"
/// + "gcc-12"; empty: the target's triplet), with binutils of the same prefix. The compiler may have been called
/// "gcc-12" or "powerpc64le-linux-gnu-gcc-12" when it built the kernel. Not installed: that name, for check_compiler()
/// to complain of.
std::string cross_compiler(const Target& target, const Compiler& compiler, const std::string& prefix);

/// What cross_compiler() starts, without the assembler that completes calls: as it compiled the kernel.
std::string compiler_as_shipped(const std::string& cross_compiler);

/// The make variables by which kbuild takes the binutils that belong to `compiler`; none for a compiler of the host.
std::vector<std::string> toolchain_variables(const std::string& compiler, const Target& target);

/// Where fetch keeps the toolchain of `compiler`: CACHE/toolchains/gcc-10_10.2.1-6. Empty when the config's text does
/// not name a Debian package.
std::filesystem::path toolchain_directory(const Compiler& compiler);

/// True when the compiler that the host finds by its name is the one that built the kernel.
bool host_has_compiler(const Compiler& compiler);

/// The packages that make up the compiler and the binutils of its suite; none when the package lists do not have that
/// version of the compiler.
std::vector<PackageVersion> toolchain_packages(const Apt& apt, const Compiler& compiler);

/// The compiler to be used for a kernel that was built by `compiler`: of `chosen_root` when given, the host's when it
/// is the same one, else of the directory that fetch fills, if it is there; else the host's name, for check_compiler()
/// to complain of.
std::string choose_compiler(const Compiler& compiler, const std::filesystem::path& chosen_root);

}  // namespace klp::kernel
