#include "diff/section_use.h"

#include <algorithm>
#include <array>
#include <iterator>

#include "support/error.h"

namespace klp::diff {
bool is_known_section(std::string_view name) {
  // _kprobe_blacklist and _error_injection_whitelist name functions for debugging tools; the originals stay listed.
  static constexpr std::string_view kPrefixes[] = {// clang-format off
      ".data", ".rodata", ".bss", ".init", ".exit", ".note", ".eh_frame", ".modinfo", ".discard", ".gnu.linkonce", ".kpatch.",
      "__ksymtab", "___ksymtab", "__kcrctab", ".export_symbol", "__param", ".initcall", ".con_initcall",
      "__dyndbg", "__verbose", ".printk_index", "__tracepoints", "__bpf_raw_tp_map", "_ftrace_events", ".altinstr_aux",
      "_kprobe_blacklist", "_error_injection_whitelist"};
  // clang-format on
  return std::any_of(std::begin(kPrefixes), std::end(kPrefixes),
                     [&](std::string_view prefix) { return name.starts_with(prefix); });
}

bool is_export_section(std::string_view name) {
  return name.starts_with("___ksymtab") || name.starts_with("__ksymtab+") || name.starts_with("__ksymtab_gpl") ||
         name == "__ksymtab";
}

bool is_read_at_start(std::string_view name) {
  static constexpr std::array<std::string_view, 4> kNames = {"__param", "__tracepoints", "_ftrace_events", "__modver"};
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

bool is_init_section(std::string_view name) {
  return name.starts_with(".init");
}

bool is_exit_section(std::string_view name) {
  return name.starts_with(".exit");
}

std::string own_section_name(const Piece& piece) {
  if (piece.kind == PieceKind::function && !piece.section->name.starts_with(".text."))
    return fmt::format(".text.{}", piece.name());
  return std::string(piece.section->name);
}

}  // namespace klp::diff
