// Reading a livepatch module into plain data. Everything here is what the file says; whether a kernel would take the
// module is another question. Faults are collected on the way where they are seen anyway.
#include "elf/livepatch_content.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>
#include <string_view>

#include "elf/klp_abi.h"
#include "elf/relocation_name.h"
#include "support/bytes.h"
#include "support/error.h"

namespace klp::elf {
namespace {

/// Tables that the kernel walks. A size of 0: it differs between kernels and is told from the relocations.
struct KnownTable {
  std::string_view name;
  uint64_t entry_size;
};
constexpr std::array<KnownTable, 21> kTables = {{
    {".altinstructions", 0}, {".parainstructions", 16}, {"__jump_table", 16},  {".static_call_sites", 8},
    {"__ex_table", 12},      {"__bug_table", 0},        {".orc_unwind_ip", 4}, {".smp_locks", 4},
    {".retpoline_sites", 4}, {".return_sites", 4},      {".call_sites", 4},    {".ibt_endbr_seal", 4},
    {".cfi_sites", 4},       {"__mcount_loc", 8},       {"__tracepoints", 0},  {"__tracepoints_ptrs", 4},
    {"__dyndbg", 56},        {"__verbose", 56},         {".printk_index", 8},  {"__patchable_function_entries", 8},
    {".kcfi_traps", 4},
}};

/// Entry layouts of .altinstructions (Linux 5.10, 6.3, 6.12) and __bug_table (5.10, 7.3): size, and where entries have
/// relocations.
struct Layout {
  std::string_view table;
  uint64_t size;
  std::vector<uint64_t> fields;
};
const std::vector<Layout>& layouts() {
  static const std::vector<Layout> all = {{".altinstructions", 12, {0, 4}},
                                          {".altinstructions", 13, {0, 4}},
                                          {".altinstructions", 14, {0, 4}},
                                          {"__bug_table", 12, {0, 4}},
                                          {"__bug_table", 16, {0, 4, 8}}};
  return all;
}

/// True when each entry has its first field relocated and no relocation lies elsewhere than in `fields`.
bool fits(const Section& section, const Layout& layout) {
  if (section.size % layout.size != 0) return false;
  uint64_t firsts = 0;
  for (const Relocation& relocation : section.relocations) {
    const uint64_t field = relocation.offset % layout.size;
    if (std::find(layout.fields.begin(), layout.fields.end(), field) == layout.fields.end()) return false;
    if (field == 0) ++firsts;
  }
  return firsts == section.size / layout.size;
}

uint64_t entry_count(const Section& section, uint64_t entry_size) {
  // The last entry of .parainstructions is not padded.
  if (entry_size != 0) return (section.size + entry_size - 1) / entry_size;
  for (const Layout& layout : layouts()) {
    if (layout.table == section.name && fits(section, layout)) return section.size / layout.size;
  }
  return 0;
}

std::vector<std::pair<std::string, std::string>> read_modinfo(const ElfObject& module) {
  std::vector<std::pair<std::string, std::string>> result;
  const Section* section = module.maybe_section(".modinfo");
  if (section == nullptr) return result;
  with_context("section .modinfo", [&] {
    for (uint64_t at = 0; at < section->data.size();) {
      const std::string_view entry = read_c_string(section->data, at);
      at += entry.size() + 1;
      if (entry.empty()) continue;  // padding between merged pieces
      const size_t equals = std::min(entry.find('='), entry.size());
      result.emplace_back(entry.substr(0, equals),
                          equals < entry.size() ? entry.substr(equals + 1) : std::string_view());
    }
  });
  return result;
}

std::string maybe_value(const LivepatchContent& content, std::string_view key) {
  for (const auto& [name, value] : content.modinfo) {
    if (name == key) return value;
  }
  return {};
}

/// struct modversion_info { unsigned long crc; char name[64 - 8]; } (include/linux/module.h, 5.10-6.12).
std::map<std::string, uint32_t, std::less<>> read_versions(const ElfObject& module) {
  std::map<std::string, uint32_t, std::less<>> crcs;
  const Section* section = module.maybe_section("__versions");
  if (section == nullptr || section->size % 64 != 0) return crcs;
  for (uint64_t at = 0; at < section->data.size(); at += 64) {
    const auto field = slice(section->data, at + 8, 56);
    const std::string_view text(reinterpret_cast<const char*>(field.data()), field.size());
    crcs.emplace(text.substr(0, text.find('\0')), static_cast<uint32_t>(read_le<uint64_t>(section->data, at)));
  }
  return crcs;
}

/// The function or data object around an offset.
const Symbol* maybe_symbol_around(const Section& section, uint64_t offset) {
  const Symbol* best = nullptr;
  for (const Symbol* symbol : section.symbols) {
    if (symbol->value > offset) break;
    if ((symbol->is_function() || symbol->is_object()) && offset < symbol->value + symbol->size) best = symbol;
  }
  return best;
}

class Reader {
 public:
  explicit Reader(const ElfObject& module) : module_(module) {}

  LivepatchContent read() {
    content_.file = module_.name();
    content_.file_size = module_.bytes().size();
    content_.machine = module_.machine();
    read_identity();
    if (auto functions = replaced_functions(module_, content_.maker)) {
      content_.functions_known = true;
      content_.replaced = std::move(*functions);
    }
    read_callbacks(module_, content_);
    for (const Section& section : module_.sections()) read_section(section);
    read_symbols();
    read_late_entries();
    return std::move(content_);
  }

 private:
  void read_identity() {
    check(module_.type() == 1, "not a kernel module: it is linked, not relocatable");
    content_.modinfo = read_modinfo(module_);
    check(!content_.modinfo.empty() && module_.maybe_section(".gnu.linkonce.this_module") != nullptr,
          "not a kernel module: it has no .modinfo or no .gnu.linkonce.this_module");
    content_.name = maybe_value(content_, "name");
    content_.vermagic = maybe_value(content_, "vermagic");
    const bool livepatch = std::any_of(content_.modinfo.begin(), content_.modinfo.end(),
                                       [](const auto& e) { return e.first == "livepatch"; });
    if (!livepatch) {
      throw Error(fmt::format("the module{}{} is not a livepatch: its .modinfo has no livepatch=",
                              content_.name.empty() ? "" : " ", content_.name));
    }
  }

  void read_late_entries() {
    const Section* section = module_.maybe_section(kLateSection);
    if (section == nullptr) return;
    std::vector<std::string> fields;
    for (uint64_t at = 0; at < section->data.size(); at += fields.back().size() + 1)
      fields.emplace_back(read_c_string(section->data, at));
    constexpr size_t kFields = 6;
    if (fields.size() % kFields != 0) content_.faults.push_back(fmt::format("{} has no whole entries", kLateSection));
    for (size_t i = 0; i + kFields <= fields.size(); i += kFields) {
      const uint64_t offset = std::strtoull(fields[i + 2].c_str(), nullptr, 10);
      content_.late_entries.push_back({fields[i], fields[i + 1], offset, fields[i + 3], fields[i + 4], fields[i + 5]});
    }
  }

  void read_section(const Section& section) {
    if (section.type == kShtRela && (section.flags & kShfRelaLivepatch) != 0) read_klp_section(section);
    if (section.type == kShtRela && (section.flags & kShfRelaLivepatch) == 0 &&
        section.name.starts_with(".klp.rela.")) {
      content_.faults.push_back(fmt::format(
          "section {} lacks the flag SHF_RELA_LIVEPATCH: the kernel takes it for an ordinary one", section.name));
    }
    for (const KnownTable& known : kTables) {
      if (known.name == section.name && section.size > 0) {
        content_.tables.push_back({std::string(section.name), section.size, entry_count(section, known.entry_size)});
      }
    }
  }

  void read_klp_section(const Section& rela) {
    KlpSection result;
    result.name = rela.name;
    const auto object = klp_rela_object(rela.name);
    if (!object)
      content_.faults.push_back(fmt::format("section {}: the kernel cannot read an object's name from it", rela.name));
    result.object = object.value_or("");
    if ((rela.flags & kShfAlloc) == 0)
      content_.faults.push_back(fmt::format("section {} lacks the flag SHF_ALLOC", rela.name));
    check(rela.info > 0 && rela.info < module_.sections().size(),
          "section {}: relocates section {}, which does not exist", rela.name, rela.info);
    const Section& target = module_.sections()[rela.info];
    for (uint64_t at = 0; at + 24 <= rela.data.size(); at += 24) {
      result.sites.push_back(read_site(rela, target, at));
    }
    content_.klp_sections.push_back(std::move(result));
  }

  // One Elf64_Rela: offset, symbol << 32 | type, addend.
  KlpSite read_site(const Section& rela, const Section& target, uint64_t at) {
    KlpSite site;
    site.section = target.name;
    site.offset = read_le<uint64_t>(rela.data, at);
    const auto info = read_le<uint64_t>(rela.data, at + 8);
    site.addend = read_le<int64_t>(rela.data, at + 16);
    site.type = relocation_name(module_.machine(), static_cast<uint32_t>(info));
    if (const Symbol* around = maybe_symbol_around(target, site.offset)) {
      site.inside = around->name;
      site.inside_offset = site.offset - around->value;
    }
    check(info >> 32 < module_.symbols().size(), "section {}: symbol {} of {}", rela.name, info >> 32,
          module_.symbols().size());
    const Symbol& symbol = module_.symbols()[info >> 32];
    if (const auto reference = parse_klp_symbol_name(symbol.name)) {
      site.symbol_object = reference->symbol_object;
      site.symbol = reference->symbol;
      site.sympos = reference->sympos;
    } else {
      site.symbol = symbol.name;
      content_.faults.push_back(fmt::format("{} +{:#x}: symbol '{}' has no name that the livepatch core can resolve",
                                            rela.name, site.offset, symbol.name));
    }
    if (symbol.place != SymbolPlace::livepatch) {
      content_.faults.push_back(
          fmt::format("{} +{:#x}: symbol '{}' is not marked SHN_LIVEPATCH", rela.name, site.offset, symbol.name));
    }
    const auto object = klp_rela_object(rela.name);
    if (object && *object != "vmlinux" && site.symbol_object == "vmlinux") {
      content_.faults.push_back(fmt::format(
          "{} +{:#x}: a symbol of vmlinux in a module's section, which the kernel refuses", rela.name, site.offset));
    }
    return site;
  }

  void read_symbols() {
    const auto crcs = read_versions(module_);
    std::map<std::string, std::string, std::less<>> replaced_by;
    for (const ReplacedFunction& f : content_.replaced) replaced_by[f.new_function] = f.name;
    for (const Symbol& symbol : module_.symbols()) {
      if (symbol.name.starts_with(".klp.ref."))
        content_.faults.push_back(fmt::format("symbol '{}' was left unconverted: it would be address 0", symbol.name));
      if (symbol.is_undefined() && !symbol.name.empty()) {
        const auto crc = crcs.find(symbol.name);
        content_.imports.push_back({std::string(symbol.name), symbol.bind == kStbWeak,
                                    crc == crcs.end() ? std::nullopt : std::optional<uint32_t>(crc->second)});
      }
      if (!symbol.is_defined() || !symbol.section->is_alloc()) continue;
      if (symbol.is_function()) {
        const auto replaces = replaced_by.find(symbol.name);
        content_.functions.push_back({std::string(symbol.name), std::string(symbol.section->name), symbol.size,
                                      replaces == replaced_by.end() ? std::string() : replaces->second, true});
      } else if (symbol.is_object() && !is_machinery(*symbol.section)) {
        content_.data.push_back({std::string(symbol.name),
                                 std::string(symbol.section->name),
                                 symbol.size,
                                 {},
                                 !symbol.section->is_writable()});
      }
    }
  }

  /// Objects that every module has, or that are tables listed elsewhere.
  static bool is_machinery(const Section& section) {
    const std::string_view name = section.name;
    return name == ".modinfo" || name == "__versions" || name.starts_with(".gnu.linkonce") ||
           name.starts_with(".note") || name.starts_with(".klp_diff.") || name.starts_with(".kpatch.") ||
           name.starts_with(".init") || name.starts_with(".exit") || name == "__param" ||
           std::any_of(kTables.begin(), kTables.end(), [&](const KnownTable& table) { return table.name == name; });
  }

  const ElfObject& module_;
  LivepatchContent content_;
};

}  // namespace

size_t LivepatchContent::klp_relocation_count() const {
  size_t count = 0;
  for (const KlpSection& section : klp_sections) count += section.sites.size();
  return count;
}

std::string_view to_string(LivepatchMaker maker) {
  switch (maker) {
    case LivepatchMaker::klp_diff:
      return "klp-diff";
    case LivepatchMaker::kpatch:
      return "kpatch-build";
    case LivepatchMaker::klp_build:
      return "klp-build";
    case LivepatchMaker::by_hand:
      return "written by hand";
    case LivepatchMaker::unknown:
      break;
  }
  return "unknown";
}

LivepatchContent livepatch_content(const ElfObject& module) {
  return with_context(module.name(), [&] { return Reader(module).read(); });
}

LivepatchContent read_livepatch(const std::filesystem::path& path) {
  // Programs and shared objects first: the message shall say what they are, not what is odd in their relocations.
  const uint16_t type = ElfObject::read(path, ElfObject::Want::symbols_only).type();
  check(type == 1, "{}: not a kernel module: it is linked, not relocatable", path.string());
  LivepatchContent content = livepatch_content(ElfObject::read(path));
  if (content.name.empty()) content.name = path.stem().string();
  std::replace(content.name.begin(), content.name.end(), '-', '_');
  return content;
}

}  // namespace klp::elf
