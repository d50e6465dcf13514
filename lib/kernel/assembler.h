// An assembler in front of the real one, which changes gcc's assembly on the way (tools/klp-as).
//
// gcc runs the `as` of a directory that is given by -B: here a script in CACHE/starters, with a copy of klp-as beside
// it.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "kernel/index.h"
#include "kernel/kernel.h"

namespace klp::kernel {

/// The program that `compiler` runs for "cc1" or "as"; nothing when there is none.
std::optional<std::filesystem::path> program_of_compiler(const std::string& compiler, const std::string& name);

/// Writes `file`, an executable script, unless it is there with this text.
void make_starter(const std::filesystem::path& file, const std::string& script);

/// Makes directory/as: `assembler`, its input changed as `change` says (klp-as: "call-nops", "long-branches"). The
/// script holds the digests of both programs: it stands for them where a compiled original is said to be up to date
/// (original_cache.h). Error when klp-as is not where it belongs: beside our program, or in ../libexec/klp-diff.
void make_assembler_starter(const std::filesystem::path& directory, const std::filesystem::path& assembler,
                            const std::string& change);

/// The compiler's option, a shell word, for units of modules: it names the assembler that gives static branches sites
/// of five bytes (arch/x86_64/long_branches.h). Empty where the kernel's architecture has no use for it.
std::string long_branch_option(const Kernel& kernel);

/// The unit as a livepatch needs it: with that option in its command where it belongs to a module.
Unit with_long_branches(const Unit& unit, const Kernel& kernel);

}  // namespace klp::kernel
