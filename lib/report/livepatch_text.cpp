// Text of `klp-diff inspect`: sections in a fixed order, each with a count in its title, so that two modules can be
// compared with diff.
#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "report/livepatch_report.h"
#include "report/text_layout.h"

namespace klp::report {
namespace {

using elf::LivepatchContent;

class LivepatchWriter {
 public:
  LivepatchWriter(const LivepatchContent& content, bool color, bool all_sites)
      : content_(content), paint_(color), all_sites_(all_sites) {}

  std::string write() {
    write_head();
    write_faults();
    write_replaced();
    write_callbacks();
    write_carried();
    write_klp_relocations();
    write_imports();
    write_tables();
    write_late_entries();
    return std::move(out_);
  }

 private:
  void title(std::string_view text) { out_ += fmt::format("\n{}\n", paint_(Ink::strong, text)); }

  static std::string without_end(std::string text) {
    while (text.ends_with(' ')) text.pop_back();
    return text;
  }

  void write_head() {
    out_ += paint_(Ink::good, "livepatch " + content_.name) + "\n";
    out_ += fmt::format("  file      {}, {} bytes\n", content_.file, with_thousands(content_.file_size));
    out_ += fmt::format("  kernel    {}\n",
                        content_.vermagic.empty() ? "not said (no vermagic)" : without_end(content_.vermagic));
    out_ += fmt::format("  made by   {}\n", to_string(content_.maker));
    for (const auto& [key, value] : content_.modinfo) {
      if (key == "name" || key == "vermagic" || value.empty()) continue;
      out_ += wrapped(fmt::format("  {} ", padded(key, 9)), value);
    }
  }

  void write_faults() {
    if (content_.faults.empty()) return;
    title(fmt::format("faults ({})", content_.faults.size()));
    for (const std::string& fault : content_.faults) out_ += wrapped(paint_(Ink::bad, "  - "), fault);
  }

  void write_replaced() {
    if (!content_.functions_known) {
      title("replaced functions: not known");
      out_ += "  the module's tables are laid out in a way that is not known, or made when it is loaded\n";
      return;
    }
    title(fmt::format("replaced functions ({})", content_.replaced.size()));
    for (const elf::ReplacedFunction& f : content_.replaced) {
      std::string name = fmt::format("{}:{}", f.object, f.name);
      if (f.sympos != 0) name += fmt::format(",{}", f.sympos);
      out_ += fmt::format("  {} by {}, {} bytes\n", padded(name, 40), f.new_function, f.new_size);
    }
  }

  void write_late_entries() {
    if (content_.late_entries.empty()) return;
    title(fmt::format("entries that would be read too early ({})", content_.late_entries.size()));
    for (const elf::LateEntry& e : content_.late_entries) {
      out_ += fmt::format("  {}:{}+{:#x} {}, key {}\n", e.object, e.function, e.offset, e.table, e.key);
      out_ += wrapped("    ", e.treatment);
    }
  }

  /// Few livepatches have them: no empty list for the others.
  void write_callbacks() {
    if (!content_.callbacks.empty()) title(fmt::format("callbacks ({})", content_.callbacks.size()));
    for (const elf::LivepatchCallback& c : content_.callbacks)
      out_ += fmt::format("  {} {}\n", padded(fmt::format("{}:{}", c.object, c.kind), 40), c.function);
    if (!content_.states.empty()) title(fmt::format("system states ({})", content_.states.size()));
    for (const elf::LivepatchState& s : content_.states) out_ += fmt::format("  {} version {}\n", s.id, s.version);
  }

  void write_carried() {
    std::vector<const elf::CarriedSymbol*> functions;
    for (const auto& f : content_.functions) {
      if (f.replaces.empty()) functions.push_back(&f);
    }
    title(fmt::format("further functions ({})", functions.size()));
    for (const auto* f : functions)
      out_ += fmt::format("  {} {}, {} bytes\n", padded(f->name, 40), f->section, f->size);
    title(fmt::format("data ({})", content_.data.size()));
    for (const auto& d : content_.data) {
      out_ +=
          fmt::format("  {} {}, {} bytes{}\n", padded(d.name, 40), d.section, d.size, d.read_only ? ", read-only" : "");
    }
  }

  static std::string symbol_text(const elf::KlpSite& site) {
    std::string text = site.symbol_object.empty() ? site.symbol : fmt::format("{}:{}", site.symbol_object, site.symbol);
    if (site.sympos != 0) text += fmt::format(",{}", site.sympos);
    return text;
  }

  void write_klp_relocations() {
    title(fmt::format("klp relocations ({})", content_.klp_relocation_count()));
    for (const elf::KlpSection& section : content_.klp_sections) {
      out_ += fmt::format("  {}, applied when {} is loaded: {}\n", section.name,
                          section.object == "vmlinux" ? "the patch" : section.object, section.sites.size());
      if (all_sites_)
        write_sites(section);
      else
        write_symbols(section);
    }
  }

  void write_sites(const elf::KlpSection& section) {
    for (const elf::KlpSite& site : section.sites) {
      const std::string where = site.inside.empty() ? fmt::format("{}+{:#x}", site.section, site.offset)
                                                    : fmt::format("{}+{:#x}", site.inside, site.inside_offset);
      const std::string addend = site.addend == 0  ? ""
                                 : site.addend < 0 ? fmt::format(" - {:#x}", -static_cast<uint64_t>(site.addend))
                                                   : fmt::format(" + {:#x}", site.addend);
      out_ += fmt::format("    {} {} {}{}\n", padded(where, 38), padded(site.type, 18), symbol_text(site), addend);
    }
  }

  void write_symbols(const elf::KlpSection& section) {
    std::map<std::string, uint64_t> uses;
    for (const elf::KlpSite& site : section.sites) ++uses[symbol_text(site)];
    for (const auto& [symbol, count] : uses) {
      out_ += fmt::format("    {}{}\n", symbol, count > 1 ? fmt::format("  x {}", count) : "");
    }
  }

  void write_imports() {
    title(fmt::format("symbols resolved by the kernel's exports ({})", content_.imports.size()));
    for (const elf::ImportedSymbol& import : content_.imports) {
      std::string line = fmt::format("  {} {}", padded(import.name, 40),
                                     import.crc ? fmt::format("crc {:#010x}", *import.crc) : "no crc");
      if (import.weak) line += ", weak";
      out_ += line + "\n";
    }
  }

  void write_tables() {
    title(fmt::format("kernel tables ({})", content_.tables.size()));
    for (const elf::SpecialTable& table : content_.tables) {
      const std::string entries =
          table.entries == 0 ? "entries of unknown size" : counted(table.entries, "entry", "entries");
      out_ += fmt::format("  {} {}, {} bytes\n", padded(table.name, 40), entries, table.bytes);
    }
  }

  const LivepatchContent& content_;
  Paint paint_;
  bool all_sites_;
  std::string out_;
};

}  // namespace

std::string livepatch_text(const LivepatchContent& content, bool color, bool all_sites) {
  return LivepatchWriter(content, color, all_sites).write();
}

}  // namespace klp::report
