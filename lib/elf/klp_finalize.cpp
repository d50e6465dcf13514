// Why this is done after the link and not before: `ld -r` merges sections and knows no second relocation section for
// one target, and a table of site offsets beside the sections would not survive the merge. So klp references travel as
// ordinary relocations against weak undefined symbols whose names say everything, and are sorted out here, when nothing
// moves any more.
//
// Why the checks are strict: the module loader resolves a weak undefined symbol to 0 without a word. A travel name left
// behind is a call to address 0 in a running kernel.
#include "elf/klp_finalize.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <unordered_map>

#include "elf/klp_abi.h"
#include "support/error.h"
#include "support/files.h"

namespace klp::elf {
namespace {

constexpr uint16_t kMachineX86_64 = 62;
constexpr std::string_view kTravelPrefix = ".klp.ref.";

/// Bytes that the x86_64 module loader writes for a relocation type (arch/x86/kernel/module.c: apply_relocate_add); 0
/// for R_X86_64_NONE.
uint64_t x86_64_site_size(uint32_t type) {
  switch (type) {
    case 0:  // NONE
      return 0;
    case 1:   // 64
    case 24:  // PC64
      return 8;
    case 2:   // PC32
    case 4:   // PLT32
    case 10:  // 32
    case 11:  // 32S
      return 4;
    default:
      fail("relocation type {} is not applied by the kernel's module loader", type);
  }
}

bool is_livepatch_modinfo(const ElfObject& object) {
  const Section* modinfo = object.maybe_section(".modinfo");
  if (modinfo == nullptr) return false;
  const std::string_view text(reinterpret_cast<const char*>(modinfo->data.data()), modinfo->data.size());
  return text.starts_with("livepatch=") || text.find(std::string_view("\0livepatch=", 11)) != std::string_view::npos;
}

/// Sections whose memory the loader frees after the module's init, or never loads.
bool is_short_lived(std::string_view section) {
  return section.starts_with(".init") || section.starts_with(".exit");
}

class Finalizer {
 public:
  explicit Finalizer(ObjectBuilder& module) : module_(module) {}

  void run() {
    drop_sections();
    read_travel_names();
    for (BuilderSection& section : module_.sections()) {
      with_context(fmt::format("section {}", section.name), [&] { move_relocations(section); });
    }
    drop_unfinished_call_sites();
    rename_symbols();
    for (const BuilderSection& section : module_.sections()) {
      with_context(fmt::format("section {}", section.name), [&] { check_sites(section); });
    }
    check_nothing_left();
  }

 private:
  struct Travel {
    KlpReference reference;
    BuilderSymbol* final_symbol = nullptr;  // shared by all travel symbols of the same final name
  };

  /// .ibt_endbr_seal: objtool saw no reference to these functions' addresses in the module, but the running kernel may
  /// call them indirectly; sealed, their ENDBR is gone (arch/x86/kernel/alternative.c: apply_seal_endbr, 6.12).
  void drop_sections() {
    std::vector<const BuilderSection*> gone;
    for (const BuilderSection& section : module_.sections()) {
      if (section.name.starts_with(".debug_") || section.name == ".ibt_endbr_seal") gone.push_back(&section);
    }
    module_.remove_sections(gone);
  }

  void read_travel_names() {
    for (BuilderSymbol& symbol : module_.symbols()) {
      if (!symbol.name.starts_with(kTravelPrefix)) continue;
      const auto reference = parse_travel_name(symbol.name);
      check(reference.has_value(), "symbol {}: not the name of a klp reference", symbol.name);
      check(symbol.place == SymbolPlace::undefined, "symbol {}: is defined in the module", symbol.name);
      const std::string final_name = klp_symbol_name(*reference);
      check(parse_klp_symbol_name(final_name).has_value() && reference->patched_object.size() <= kMaxObjectName,
            "symbol {}: the kernel cannot read such a name (too long, or a comma in it)", symbol.name);
      const auto [entry, is_new] = final_.try_emplace(final_name, &symbol);
      const Travel travel{*reference, entry->second};
      travel_.emplace(&symbol, travel);
      if (reference->symbol_object != "vmlinux") continue;
      for (BuilderSymbol& named : module_.symbols()) {
        if (named.name == reference->symbol && named.place == SymbolPlace::undefined && named.bind == kStbWeak)
          travel_.emplace(&named, travel);
      }
    }
  }

  /// Where the core looks for the relocation: symbols of vmlinux are allowed in its own sections only.
  static const std::string& group_of(const KlpReference& reference) {
    return reference.symbol_object == "vmlinux" ? reference.symbol_object : reference.patched_object;
  }

  void move_relocations(BuilderSection& section) {
    std::map<std::string, std::vector<BuilderRelocation>> groups;
    for (BuilderRelaSection& rela : section.relas) {
      std::vector<BuilderRelocation> staying;
      for (const BuilderRelocation& relocation : rela.relocations) {
        const auto found = relocation.symbol == nullptr ? travel_.end() : travel_.find(relocation.symbol);
        if (found == travel_.end()) {
          staying.push_back(relocation);
          continue;
        }
        const Travel& travel = found->second;
        check_may_move(section, relocation, travel.reference);
        BuilderRelocation moved = relocation;
        moved.symbol = travel.final_symbol;
        groups[group_of(travel.reference)].push_back(moved);
      }
      rela.relocations = std::move(staying);
    }
    section.relas.remove_if([](const BuilderRelaSection& rela) { return rela.relocations.empty(); });
    for (auto& [object, relocations] : groups) {
      section.relas.push_back(
          {klp_rela_name(object, section.name), kShfAlloc | kShfRelaLivepatch, std::move(relocations)});
    }
  }

  /// Calls that the kernel may lead through the padding in front of their targets while it loads the module, to count
  /// the depth of calls (arch/x86/kernel/callthunks.c, 6.2). Where the displacement comes later, with the patched
  /// module, it would take the next instruction for the target, and warn of what is in front of it.
  void drop_unfinished_call_sites() {
    std::set<std::pair<const BuilderSection*, uint64_t>> late;
    for (const BuilderSection& section : module_.sections()) {
      for (const BuilderRelaSection& rela : section.relas) {
        const bool livepatch = (rela.flags & kShfRelaLivepatch) != 0;
        if (!livepatch || klp_rela_object(rela.name) == "vmlinux") continue;
        for (const BuilderRelocation& relocation : rela.relocations) late.emplace(&section, relocation.offset);
      }
    }
    for (BuilderSection& section : module_.sections()) {
      if (section.name == ".call_sites" && section.relas.size() == 1 && !late.empty()) keep_entries(section, late);
    }
  }

  static void keep_entries(BuilderSection& table, const std::set<std::pair<const BuilderSection*, uint64_t>>& late) {
    constexpr uint64_t kEntry = 4, kOpcode = 1;
    std::vector<BuilderRelocation> kept;
    for (BuilderRelocation entry : table.relas.front().relocations) {
      const uint64_t call = entry.symbol->value + static_cast<uint64_t>(entry.addend);
      if (late.contains({entry.symbol->section, call + kOpcode})) continue;
      entry.offset = kept.size() * kEntry;
      kept.push_back(entry);
    }
    table.relas.front().relocations = std::move(kept);
    table.data.resize(table.relas.front().relocations.size() * kEntry);
  }

  static void check_may_move(const BuilderSection& section, const BuilderRelocation& relocation,
                             const KlpReference& reference) {
    check((section.flags & kShfAlloc) != 0, "offset {:#x}: refers to {} of {}, but this section is not loaded",
          relocation.offset, reference.symbol, reference.symbol_object);
    check(group_of(reference) == "vmlinux" || !is_short_lived(section.name),
          "offset {:#x}: refers to {} of {}, which may come after this section's memory is freed", relocation.offset,
          reference.symbol, reference.symbol_object);
  }

  void rename_symbols() {
    module_.symbols().remove_if([&](const BuilderSymbol& symbol) {
      const auto found = travel_.find(&symbol);
      return found != travel_.end() && found->second.final_symbol != &symbol;
    });
    for (const auto& [name, symbol] : final_) {
      symbol->name = name;
      symbol->place = SymbolPlace::livepatch;
      symbol->value = 0;
      symbol->size = 0;
    }
  }

  // The loader demands zero bytes where it will write: addends are in the relocation, and a second write would be
  // noticed as a nonzero site only when the module is loaded (or, worse, when the patched module is loaded much later).
  void check_sites(const BuilderSection& section) const {
    if (module_.machine() != kMachineX86_64 || (section.flags & kShfAlloc) == 0) return;
    std::map<uint64_t, uint64_t> sites;  // offset -> size
    for (const BuilderRelaSection& rela : section.relas) {
      for (const BuilderRelocation& relocation : rela.relocations) {
        with_context(fmt::format("offset {:#x} ({})", relocation.offset,
                                 relocation.symbol ? relocation.symbol->name : "no symbol"),
                     [&] { check_site(section, relocation, sites); });
      }
    }
    uint64_t end = 0;
    for (const auto& [offset, size] : sites) {
      check(offset >= end, "offset {:#x}: the site overlaps with the one before", offset);
      end = offset + size;
    }
  }

  static void check_site(const BuilderSection& section, const BuilderRelocation& relocation,
                         std::map<uint64_t, uint64_t>& sites) {
    const uint64_t size = x86_64_site_size(relocation.type);
    if (size == 0) return;
    check(section.data.size() >= size && relocation.offset <= section.data.size() - size,
          "the site reaches over the section's end");
    const auto start = section.data.begin() + static_cast<std::ptrdiff_t>(relocation.offset);
    const bool zero =
        std::all_of(start, start + static_cast<std::ptrdiff_t>(size), [](std::byte b) { return b == std::byte{0}; });
    check(zero, "the site does not hold zero bytes, so the kernel would refuse the module");
    check(sites.emplace(relocation.offset, size).second, "two relocations at the same site");
  }

  void check_nothing_left() const {
    for (const BuilderSymbol& symbol : module_.symbols()) {
      check(!symbol.name.starts_with(kTravelPrefix), "symbol {}: was not converted", symbol.name);
    }
    // modpost must not have taken a travel name for an import: the loader would look for its CRC.
    for (const BuilderSection& section : module_.sections()) {
      if (section.name != "__versions") continue;
      const std::string_view text(reinterpret_cast<const char*>(section.data.data()), section.data.size());
      check(text.find(kTravelPrefix) == std::string_view::npos,
            "section __versions: names a klp reference as an import");
    }
  }

  static constexpr size_t kMaxObjectName = 55;  // MODULE_NAME_LEN - 1
  ObjectBuilder& module_;
  std::unordered_map<const BuilderSymbol*, Travel> travel_;
  std::map<std::string, BuilderSymbol*> final_;
};

}  // namespace

ObjectBuilder finalized(const ElfObject& linked) {
  return with_context(linked.name(), [&] {
    check(is_livepatch_modinfo(linked), "not a livepatch module (no livepatch= in .modinfo)");
    ObjectBuilder module = ObjectBuilder::copy_of(linked);
    Finalizer(module).run();
    return module;
  });
}

void finalize_klp(const std::filesystem::path& linked_ko, const std::filesystem::path& out) {
  finalized(ElfObject::read(linked_ko)).write(out);
}

}  // namespace klp::elf
