// Names and constants of the kernel's livepatch ELF format (Documentation/livepatch/module-elf-format.rst,
// Linux 5.10-7.3), and of the form in which klp relocations travel through the linker.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace klp::elf {

inline constexpr uint64_t kShfRelaLivepatch = 0x00100000;
inline constexpr uint16_t kShnLivepatch = 0xff20;

/// A reference that the livepatch core resolves: symbol `symbol` of `symbol_object`, the `sympos`-th of its name (0:
/// unique), applied when `patched_object` is loaded.
struct KlpReference {
  std::string patched_object;
  std::string symbol_object;
  std::string symbol;
  uint64_t sympos = 0;
};

/// The symbol's name on its way through ld -r and modpost: ".klp.ref.PATCHED.OBJECT.symbol,POS" (weak, undefined).
/// Module names have no dots, so it splits again. Neither ld nor modpost of 5.10-6.12 looks into such names. objtool
/// must see those of functions that do not return (tools/objtool/noreturns.h): for a symbol of vmlinux the relocations
/// may be against a weak undefined symbol of its own name, if the travel symbol is there as well.
std::string travel_name(const KlpReference& reference);
std::optional<KlpReference> parse_travel_name(std::string_view name);

/// The final symbol name ".klp.sym.OBJECT.symbol,POS" (kernel/livepatch/core.c: klp_resolve_symbols).
std::string klp_symbol_name(const KlpReference& reference);
/// Parses a final name; patched_object stays empty. Nothing when the kernel's scan would refuse it.
std::optional<KlpReference> parse_klp_symbol_name(std::string_view name);

/// ".klp.rela.OBJECT.SECTION"; the section keeps its own leading dot.
std::string klp_rela_name(std::string_view object, std::string_view section);
/// The object name of such a section name; nothing when it is none.
std::optional<std::string> klp_rela_object(std::string_view section_name);

/// Section of the flat table of replaced functions and the layout of its entries (lib/runtime reads it): pointers to
/// the object's name (null: vmlinux), the old function's name, the new function, then sympos; 8 bytes each.
inline constexpr std::string_view kFuncsSection = ".klp_diff.funcs";
inline constexpr uint64_t kFuncsEntrySize = 32;

/// Functions that the livepatch core calls around the patching of an object; the values are those of lib/runtime.
enum class CallbackKind : uint64_t { pre_patch = 0, post_patch = 1, pre_unpatch = 2, post_unpatch = 3 };
inline constexpr std::array<CallbackKind, 4> kCallbackKinds = {CallbackKind::pre_patch, CallbackKind::post_patch,
                                                               CallbackKind::pre_unpatch, CallbackKind::post_unpatch};
/// The name of the member of the kernel's struct klp_callbacks.
std::string_view to_string(CallbackKind kind);

/// The table of callbacks: pointers to the object's name (null: vmlinux) and the function, then the kind; 8 bytes each.
inline constexpr std::string_view kCallbacksSection = ".klp_diff.callbacks";
inline constexpr uint64_t kCallbacksEntrySize = 24;

/// System states, in a patched object (KLP_DIFF_STATE) as in a module: id and version, 8 bytes each.
inline constexpr std::string_view kStatesSection = ".klp_diff.states";
inline constexpr uint64_t kStatesEntrySize = 16;

/// Run-time constants: pointers to the place in the code and to the variable, then the bytes to write and those of the
/// variable; 8 bytes each.
inline constexpr std::string_view kConstantsSection = ".klp_diff.constants";
inline constexpr uint64_t kConstantsEntrySize = 32;

/// What became of table entries that the livepatch core would complete too late; for readers of the module, the kernel
/// does not load it (modpost lets sections be unloaded whose names begin so). Six strings each, with their NULs: patched
/// object, function, offset in it, table, key, treatment.
inline constexpr std::string_view kLateSection = ".comment.klp_diff_late";

/// The functions of lib/runtime with klp references of their own, which are in no plan: the one that writes run-time
/// constants is linked where there are any; the one that clears references into a patched module when that goes, or is
/// refused, where there are such references and the kernel leaves them. Which ones these are is in the sections
/// .klp.rela.MODULE.*.
inline constexpr std::string_view kConstantsWriter = "klp_diff_write_constants";
inline constexpr std::string_view kSitesClearer = "klp_diff_clear_sites";

/// What lib/runtime defines for the code of patches.
inline constexpr std::string_view kRuntimePatch = "klp_diff_patch";

}  // namespace klp::elf
