#include "diff/shipped_uses.h"

#include <algorithm>
#include <cstring>

#include "arch/arch.h"
#include "arch/linked_code.h"
#include "diff/section_use.h"
#include "diff/uses.h"
#include "elf/compile_units.h"
#include "elf/power_addresses.h"
#include "support/bytes.h"
#include "support/error.h"

namespace klp::diff {

struct ShippedUses::State {
  explicit State(const elf::SymbolIndex& index) : shipped(index), units(index.object()) {}
  virtual ~State() = default;
  virtual std::vector<OutsideUse> of(const elf::Symbol& symbol) const = 0;

  /// A use by code of `function`, or by code that no function covers.
  OutsideUse by_code(const elf::Section& section, const elf::Symbol* function, uint64_t offset, bool branch) const {
    OutsideUse use;
    use.place = fmt::format("{}+{:#x}", function != nullptr ? function->name : section.name, offset);
    if (function != nullptr) {
      std::string_view name = function->name;
      is_cold_name(function->name, &name);
      use.function = std::string(name);
      use.unit = units.source_of(*function);
    }
    if (is_init_section(section.name) || is_exit_section(section.name)) {
      use.kind = branch ? OutsideUse::Kind::start_call : OutsideUse::Kind::other;
    } else if (section.name.starts_with(".static_call") || use.function.starts_with("__SCT__")) {
      use.place = fmt::format("the static call {} leads to it", use.function);
    } else if (function == nullptr) {
      use.place = fmt::format("code without a symbol refers to it ({})", use.place);
    } else if (use.unit.ends_with(".S") || use.unit.empty()) {
      use.place = fmt::format("{} code refers to it ({})", use.unit.empty() ? "unknown" : "assembly", use.place);
    } else if (branch) {
      use.kind = OutsideUse::Kind::call;
      return use;
    } else {
      use.place = fmt::format("its address is taken at {}", use.place);
    }
    if (use.kind == OutsideUse::Kind::call) use.kind = OutsideUse::Kind::other;
    return use;
  }

  const elf::SymbolIndex& shipped;
  elf::CompileUnits units;
};

namespace {

bool is_mark_section(std::string_view name) {
  return name.starts_with("_kprobe_blacklist") || name.starts_with("_error_injection_whitelist") ||
         name.starts_with(".discard") || name.starts_with(".note");
}

}  // namespace

/// A linked image: addresses are final.
class ShippedUses::Image : public State {
 public:
  explicit Image(const elf::SymbolIndex& index)
      : State(index),
        arch_(arch::arch_for(index.object().machine())),
        halves_(arch::linked_code_for(index.object().machine())) {
    list_symbols();
    const elf::Disassembler disassembler(index.object().machine());
    uint64_t low = UINT64_MAX, high = 0;
    for (const elf::Section& s : index.object().sections()) {
      if (!is_mapped(s)) continue;
      low = std::min(low, s.address);
      high = std::max(high, s.address + s.size);
    }
    for (const elf::Section& s : index.object().sections()) {
      if (!is_mapped(s) || !s.is_exec() || arch_.runs_before_patching_only(s.name)) continue;
      const auto found = disassembler.mentions(s.data, s.address, low, high);
      mentions_.insert(mentions_.end(), found.begin(), found.end());
      if (halves_ != nullptr) add_halves(s);
    }
    std::stable_sort(mentions_.begin(), mentions_.end(),
                     [](const Mention& a, const Mention& b) { return a.address < b.address; });
    find_marks();
  }

  std::vector<OutsideUse> of(const elf::Symbol& symbol) const override {
    const bool function = symbol.section->is_exec();
    const uint64_t begin = symbol.value, end = begin + (function ? 1 : std::max<uint64_t>(symbol.size, 1));
    std::vector<OutsideUse> result;
    std::vector<const Mention*> code;
    collect(begin, end, code);
    const uint64_t entry = function && halves_ != nullptr ? halves_->local_entry(symbol) : 0;
    if (entry != 0) collect(begin + entry, end + entry, code);
    std::sort(code.begin(), code.end(), [](const Mention* a, const Mention* b) { return a->at < b->at; });
    for (const Mention* m : code) {
      const elf::Section& section = *shipped.section_at(m->at);
      const elf::Symbol* user = covering(m->at, true);
      if (user != nullptr && user->value == symbol.value && function) continue;  // it calls itself
      result.push_back(by_code(section, user, m->at - (user != nullptr ? user->value : section.address), m->branch));
    }
    search_data(begin, end, result);
    return result;
  }

 private:
  using Mention = elf::Disassembler::Mention;

  void list_symbols() {
    for (const elf::Symbol& s : shipped.object().symbols()) {
      if (s.is_defined() && s.section->is_alloc() && !s.is_section() && s.type != elf::kSttFile && !s.name.empty())
        by_address_.push_back(&s);
    }
    std::stable_sort(by_address_.begin(), by_address_.end(),
                     [](const elf::Symbol* a, const elf::Symbol* b) { return a->value < b->value; });
  }

  /// Addresses that the code of a section makes of halves: it is cut where symbols are.
  void add_halves(const elf::Section& section) {
    const elf::Symbol* base = nullptr;
    std::vector<uint64_t> cuts = {section.address, section.address + section.data.size()};
    for (const elf::Symbol* s : by_address_) {
      if (s->name == arch::LinkedCode::kBase) base = s;
      if (s->section == &section && s->value < cuts[1]) cuts.push_back(s->value);
    }
    check(base != nullptr, "{}: no {}, from which addresses are counted", shipped.object().name(),
          arch::LinkedCode::kBase);
    std::sort(cuts.begin(), cuts.end());
    for (size_t i = 0; i + 1 < cuts.size(); ++i) {
      const auto code = section.data.subspan(cuts[i] - section.address, cuts[i + 1] - cuts[i]);
      for (const elf::PowerAddress& a : elf::power_addresses(code, base->value))
        mentions_.push_back({cuts[i] + a.offset, a.address, false});
    }
  }

  void collect(uint64_t begin, uint64_t end, std::vector<const Mention*>& result) const {
    const auto first = std::lower_bound(mentions_.begin(), mentions_.end(), begin,
                                        [](const Mention& m, uint64_t value) { return m.address < value; });
    for (auto m = first; m != mentions_.end() && m->address < end; ++m) result.push_back(&*m);
  }

  /// Per-cpu data is linked at 0: its offsets are no addresses.
  static bool is_mapped(const elf::Section& s) { return s.is_alloc() && s.has_data() && s.address >= (1ULL << 32); }

  void find_marks() {
    for (const char* name : {"kprobe_blacklist", "error_injection_whitelist"}) {
      const elf::Symbol* start = shipped.maybe_global(std::string("__start_") + name);
      const elf::Symbol* stop = shipped.maybe_global(std::string("__stop_") + name);
      if (start != nullptr && stop != nullptr) marks_.emplace_back(start->value, stop->value);
    }
    const elf::Symbol* start = shipped.maybe_global("__initcall_start");
    const elf::Symbol* stop = shipped.maybe_global("__initcall_end");
    if (start != nullptr && stop != nullptr) start_calls_ = {start->value, stop->value};
  }

  /// The function, or with `function` false the variable, that holds an address.
  const elf::Symbol* covering(uint64_t address, bool function) const {
    auto after = std::upper_bound(by_address_.begin(), by_address_.end(), address,
                                  [](uint64_t value, const elf::Symbol* s) { return value < s->value; });
    for (int steps = 0; after != by_address_.begin() && steps < 64; ++steps) {
      const elf::Symbol* s = *--after;
      if (s->section->is_exec() == function && address - s->value < s->size) return s;
    }
    return nullptr;
  }

  bool is_table(const elf::Section& section) const {
    const auto& tables = arch_.tables();
    return section.name.starts_with(".orc") || std::any_of(tables.begin(), tables.end(), [&](const auto& t) {
             return t.is(section.name) || t.parallel == section.name;
           });
  }

  void search_data(uint64_t begin, uint64_t end, std::vector<OutsideUse>& result) const {
    for (const elf::Section& section : shipped.object().sections()) {
      if (!is_mapped(section) || section.is_exec() || is_table(section)) continue;
      const std::byte* bytes = section.data.data();
      for (uint64_t at = 0; at + 4 <= section.data.size(); ++at) {
        uint64_t word = 0;
        if (at + 8 <= section.data.size()) std::memcpy(&word, bytes + at, 8);
        bool found = word >= begin && word < end;
        if (!found && at % 4 == 0) {
          int32_t relative = 0;
          std::memcpy(&relative, bytes + at, 4);
          found = section.address + at + static_cast<uint64_t>(static_cast<int64_t>(relative)) == begin;
        }
        if (found) add_data(section, section.address + at, result);
      }
    }
  }

  void add_data(const elf::Section& section, uint64_t address, std::vector<OutsideUse>& result) const {
    const auto inside = [&](const auto& range) { return address >= range.first && address < range.second; };
    if (std::any_of(marks_.begin(), marks_.end(), inside)) return;
    OutsideUse use;
    const elf::Symbol* user = covering(address, false);
    use.function = user != nullptr ? std::string(user->name) : std::string();
    use.place = fmt::format("its address is stored in {}+{:#x}", user != nullptr ? user->name : section.name,
                            address - (user != nullptr ? user->value : section.address));
    if (inside(start_calls_)) use.kind = OutsideUse::Kind::start_call;
    result.push_back(std::move(use));
  }

  const arch::Arch& arch_;
  const arch::LinkedCode* halves_;  // null: addresses are in one piece
  std::vector<Mention> mentions_;   // by address
  std::vector<const elf::Symbol*> by_address_;
  std::vector<std::pair<uint64_t, uint64_t>> marks_;
  std::pair<uint64_t, uint64_t> start_calls_{0, 0};
};

/// A module: relocations say it all.
class ShippedUses::Module : public State {
 public:
  Module(const elf::SymbolIndex& index, const TableSizes& sizes)
      : State(index),
        disassembler_(index.object().machine()),
        pieces_(index.object(), disassembler_),
        tables_(pieces_, sizes),
        uses_(pieces_, tables_) {}

  std::vector<OutsideUse> of(const elf::Symbol& symbol) const override {
    std::vector<OutsideUse> result;
    const Piece* piece = pieces_.of(symbol);
    if (piece == nullptr) return result;
    for (const Use& use : uses_.of(*piece)) {
      const elf::Section& section = *use.from->section;
      if (is_mark_section(section.name) || pieces_.leader(use.from) == piece) continue;
      if (section.is_exec()) {
        const bool call = use.reference.branch && use.reference.offset == 0 && !use.in_entry;
        result.push_back(by_code(section, use.from->symbol, use.at, call));
      } else {
        result.push_back(
            {OutsideUse::Kind::other, {}, {}, fmt::format("its address is stored in {}", Uses::place(use))});
      }
    }
    return result;
  }

 private:
  elf::Disassembler disassembler_;
  Pieces pieces_;
  Tables tables_;
  Uses uses_;
};

ShippedUses::ShippedUses(const elf::SymbolIndex& shipped, const TableSizes& sizes) {
  if (shipped.object().type() == 1)
    state_ = std::make_unique<Module>(shipped, sizes);
  else
    state_ = std::make_unique<Image>(shipped);
}
ShippedUses::~ShippedUses() = default;
ShippedUses::ShippedUses(ShippedUses&&) noexcept = default;

std::vector<OutsideUse> ShippedUses::of(const std::string& name) const {
  const elf::Symbol* symbol = state_->shipped.maybe_global(name);
  return symbol != nullptr && symbol->is_defined() ? state_->of(*symbol) : std::vector<OutsideUse>();
}

}  // namespace klp::diff
