// Object pairs of many kernels and compilers with a known answer (../shared/kpatch-objects; not part of this project).
// Each must carry the functions that are expected; and what it carries is held against the patched object: every
// relocation means the same, and every table entry that belongs to a carried function is there exactly once. The checks
// read the two objects themselves and use nothing of the engine but its result.
#include <catch2/catch.hpp>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "arch/arch.h"
#include "diff/emit.h"
#include "diff/engine.h"
#include "elf/klp_abi.h"
#include "support/files.h"

namespace klp {
namespace {

struct Case {
  std::string arch, name, outcome;
  std::set<std::string> functions;
};

/// Where klp-diff is right to carry something else.
struct Deviation {
  std::set<std::string> also;
  std::string reason;
};
const std::map<std::string, Deviation>& deviations() {
  static const std::map<std::string, Deviation> table = {
      {"cold-change-parent",
       {{"meminfo_proc_show.cold.0"},
        "the cold part jumps back into its function: the original's would go on in the old code"}},
  };
  return table;
}

std::vector<Case> read_cases(const fs::path& folder, const std::string& arch) {
  std::ifstream file(folder / "expected.tsv");
  std::vector<Case> result;
  for (std::string line; std::getline(file, line);) {
    std::istringstream fields(line);
    Case c;
    std::string count, names;
    fields >> c.arch >> c.name >> c.outcome >> count >> names;
    std::istringstream list(names);
    for (std::string name; std::getline(list, name, ',');) {
      // Padding in front of a function, which this program carries as part of it or not at all.
      if (name != "-" && !name.starts_with("__pfx_")) c.functions.insert(name);
    }
    if (c.arch == arch) result.push_back(c);
  }
  return result;
}

const elf::Symbol* function_named(const elf::ElfObject& object, const std::string& name) {
  for (const elf::Symbol* s : object.symbols_named(name)) {
    if (s->is_function()) return s;
  }
  return nullptr;
}

/// A place in an object: a section and an offset, or a name that the object does not define.
struct Place {
  const elf::Section* section = nullptr;
  int64_t offset = 0;
  std::string name;
};

/// What a slot of ppc64le's .toc holds is what the code refers to.
const elf::Relocation& behind_slot(const elf::Relocation& r) {
  if (!r.symbol->is_defined() || r.symbol->section->name != ".toc" || r.section->name == ".toc") return r;
  for (const elf::Relocation& slot : r.symbol->section->relocations) {
    if (slot.offset == r.symbol->value + static_cast<uint64_t>(r.addend)) return slot;
  }
  return r;
}

Place place_of(const elf::Relocation& code) {
  const elf::Relocation& r = behind_slot(code);
  if (!r.symbol->is_defined()) return {nullptr, r.addend, std::string(r.symbol->name)};
  return {r.symbol->section, static_cast<int64_t>(r.symbol->value) + r.addend, {}};
}

/// The compiler numbers statics (ops.41002), and a patch shifts the numbers.
std::string_view without_number(std::string_view name) {
  const size_t dot = name.rfind('.');
  return dot == std::string_view::npos || name.find_first_not_of("0123456789", dot + 1) != std::string_view::npos
             ? name
             : name.substr(0, dot);
}

class Held {
 public:
  Held(const elf::ElfObject& patched, const elf::ElfObject& made) : patched_(patched), made_(made) {}

  std::string problems(const std::set<std::string>& functions) {
    for (const std::string& name : functions) check_function(name);
    check_tables(functions);
    return problems_;
  }

 private:
  void problem(const std::string& text) { problems_ += text + "\n"; }

  std::vector<const elf::Relocation*> relocations(const elf::Symbol& function) const {
    std::vector<const elf::Relocation*> result;
    for (const elf::Relocation& r : function.section->relocations) {
      const bool nothing = arch_.field_kind(r).width == 0 && r.symbol->name != "__fentry__";
      if (r.offset >= function.value && r.offset < function.value + function.size && !nothing) result.push_back(&r);
    }
    return result;
  }

  void check_function(const std::string& name) {
    const elf::Symbol* theirs = function_named(patched_, name);
    const elf::Symbol* ours = function_named(made_, name);
    if (theirs == nullptr || ours == nullptr || theirs->size != ours->size)
      return problem(name + ": not there, or of another size");
    const auto left = relocations(*theirs);
    const auto right = relocations(*ours);
    if (left.size() != right.size())
      return problem(fmt::format("{}: {} relocations instead of {}", name, right.size(), left.size()));
    for (size_t i = 0; i < left.size(); ++i) {
      const uint64_t at = left[i]->offset - theirs->value;
      const bool woken = left[i]->symbol->name == "__fentry__";  // a NOP of recordmcount becomes a call again
      if (at != right[i]->offset - ours->value || (left[i]->type != right[i]->type && !woken))
        problem(fmt::format("{}+{:#x}: another place or type", name, at));
      else if (!same_target(*left[i], *right[i], woken))
        problem(fmt::format("{}+{:#x}: {}{:+#x} became {}{:+#x}", name, at, left[i]->symbol->name, left[i]->addend,
                            right[i]->symbol->name, right[i]->addend));
    }
  }

  bool same_target(const elf::Relocation& theirs, const elf::Relocation& ours, bool woken) const {
    if (woken) return ours.symbol->name == "__fentry__" && ours.addend == -4;
    const Place left = place_of(theirs);
    const Place right = place_of(ours);
    if (right.section == nullptr) {  // the kernel's
      const auto klp = elf::parse_travel_name(right.name);
      const std::string name = klp ? klp->symbol : right.name;
      if (left.section == nullptr) return left.name == name && left.offset == right.offset;
      return std::any_of(patched_.symbols().begin(), patched_.symbols().end(), [&](const elf::Symbol& s) {
        return without_number(s.name) == without_number(name) && s.section == left.section &&
               static_cast<int64_t>(s.value) + right.offset == left.offset;
      });
    }
    if (left.section == nullptr) return false;
    // A named piece keeps its name; without one, the content must be the same.
    for (const elf::Symbol* s : patched_.symbols_named(ours.symbol->name)) {
      if (s->section == left.section && static_cast<int64_t>(s->value) + ours.addend == left.offset) return true;
    }
    return same_content(theirs, left, right);
  }

  bool same_content(const elf::Relocation& r, const Place& left, const Place& right) const {
    const int64_t bias = arch_.field_kind(r).pc_relative && patched_.machine() == kX86_64 ? 4 : 0;
    const auto bytes = [&](const Place& place) {
      const auto start = static_cast<size_t>(std::max<int64_t>(place.offset + bias, 0));
      const auto data = place.section->data;
      std::string result;
      for (size_t i = start; i < data.size() && result.size() < 8; ++i) {
        result += static_cast<char>(data[i]);
        if (place.section->is_strings() && data[i] == std::byte{0}) break;
      }
      return result;
    };
    const std::string theirs = bytes(left);
    return bytes(right).substr(0, theirs.size()) == theirs;
  }

  // --- tables ---

  /// (function, offset) that the first fields of a table's entries name, for the functions asked for.
  using Owners = std::multiset<std::pair<std::string, int64_t>>;

  /// A table's entry: sizes that it may have, and the offset of the field that names the function.
  struct Entry {
    std::vector<uint64_t> sizes{};
    uint64_t owner = 0;
  };

  const std::map<std::string, Entry>& tables() const {
    static const std::map<std::string, Entry> x86_64 = {{".altinstructions", {{12, 13, 14}}},
                                                        {".parainstructions", {{16}}},
                                                        {"__jump_table", {{16, 24}}},
                                                        {".static_call_sites", {{8}}},
                                                        {"__ex_table", {{12}}},
                                                        {"__bug_table", {{12}}},
                                                        {".smp_locks", {{4}}},
                                                        {".retpoline_sites", {{4}}},
                                                        {".return_sites", {{4}}},
                                                        {".call_sites", {{4}}},
                                                        {"__mcount_loc", {{8}}},
                                                        {".orc_unwind_ip", {{4}}}};
    static const std::map<std::string, Entry> ppc64 = {{"__jump_table", {{16, 24}}},    {"__ex_table", {{8, 16}}},
                                                       {"__bug_table", {{12, 24}}},     {"__mcount_loc", {{8}}},
                                                       {"__lwsync_fixup", {{8}}},       {"__ftr_fixup", {{48}, 16}},
                                                       {"__mmu_ftr_fixup", {{48}, 16}}, {"__fw_ftr_fixup", {{48}, 16}}};
    return patched_.machine() == kX86_64 ? x86_64 : ppc64;
  }

  uint64_t entry_size(const std::string& table, const elf::Section& section) const {
    const Entry& entry = tables().at(table);
    for (const uint64_t size : entry.sizes) {
      const bool fits = std::all_of(section.relocations.begin(), section.relocations.end(), [&](const auto& r) {
        return r.offset % size % 4 == 0 && (size % 4 == 0 || r.offset % size <= 4);
      });
      const bool whole = table == ".parainstructions" || section.size % size == 0;
      const bool owned = std::count_if(section.relocations.begin(), section.relocations.end(), [&](const auto& r) {
                           return r.offset % size == entry.owner;
                         }) == static_cast<int64_t>((section.size + size - 1) / size);
      // All three fields of a jump label's entry have relocations, which tells the sizes apart.
      const bool complete = table != "__jump_table" || section.relocations.size() == section.size / size * 3;
      if (fits && whole && owned && complete) return size;
    }
    return 0;
  }

  Owners owners(const elf::ElfObject& object, const std::string& table, const std::set<std::string>& functions,
                bool inside_only) {
    Owners result;
    const elf::Section* section = object.maybe_section(table);
    if (section == nullptr || section->size == 0) return result;
    const uint64_t size = entry_size(table, *section);
    if (size == 0) problem(table + ": no entry size fits");
    for (const elf::Relocation& r : section->relocations) {
      const uint64_t field = tables().at(table).owner;
      if (size == 0 || r.offset % size != field) continue;
      Place place = place_of(r);
      place.offset -= static_cast<int64_t>(field);
      if (table == "__jump_table" && is_void(*section, r)) continue;
      for (const std::string& name : functions) {
        const elf::Symbol* f = function_named(object, name);
        const int64_t at = place.offset - static_cast<int64_t>(f->value);
        if (f->section == place.section && at >= 0 && at < static_cast<int64_t>(f->size) && (!inside_only || at > 0))
          result.emplace(name, at);
      }
    }
    return result;
  }

  /// kpatch leaves entries that jump to themselves where it took one out.
  static bool is_void(const elf::Section& section, const elf::Relocation& first) {
    for (const elf::Relocation& r : section.relocations) {
      if (r.offset <= first.offset) continue;
      return place_of(r).section == place_of(first).section && place_of(r).offset == place_of(first).offset;
    }
    return false;
  }

  void check_tables(const std::set<std::string>& functions) {
    for (const auto& [table, entry] : tables()) {
      // What holds at a function's start may have been said before it.
      const bool ranges = table == ".orc_unwind_ip";
      const Owners theirs = owners(patched_, table, functions, ranges);
      const Owners ours = owners(made_, table, functions, ranges);
      if (theirs != ours) problem(fmt::format("{}: {} entries instead of {}", table, ours.size(), theirs.size()));
    }
  }

  static constexpr uint16_t kX86_64 = 62;
  const elf::ElfObject& patched_;
  const elf::ElfObject& made_;
  const arch::Arch& arch_ = arch::arch_for(patched_.machine());
  std::string problems_;
};

void run_case(const fs::path& folder, const Case& c) {
  const fs::path base = folder / c.arch / c.name;
  const elf::ElfObject original = elf::ElfObject::read(base.string() + ".ORIG.o");
  const elf::ElfObject patched = elf::ElfObject::read(base.string() + ".PATCHED.o");
  const elf::SymbolIndex symbols(original);
  const elf::Exports exports;
  diff::UnitInput input;
  input.original = &original;
  input.patched = &patched;
  input.unit = c.name + ".o";
  input.shipped = input.vmlinux = &symbols;
  input.exports = &exports;
  input.partial_symbols = input.carry_new_globals = true;
  const diff::UnitResult result = diff::analyse(input);

  std::string refusals;
  for (const Finding& f : result.findings.list()) {
    if (f.severity == Severity::refusal) refusals += fmt::format("{} {}: {}\n", f.code, f.symbol, f.message);
  }
  const std::string outcome = !refusals.empty() ? "refused" : result.changed ? "ok" : "unchanged";
  INFO(refusals);
  REQUIRE(outcome == c.outcome);
  if (outcome != "ok") return;
  std::set<std::string> carried;
  for (const diff::FunctionReport& f : result.functions) {
    if (f.change != "removed") carried.insert(f.name);
  }
  std::set<std::string> expected = c.functions;
  if (const auto found = deviations().find(c.name); found != deviations().end()) {
    std::printf("%s: %s\n", c.name.c_str(), found->second.reason.c_str());
    expected.insert(found->second.also.begin(), found->second.also.end());
  }
  CHECK(carried == expected);
  const elf::ElfObject made = elf::ElfObject::parse("made", diff::emit(result.plan).serialize());
  CHECK(Held(patched, made).problems(carried) == "");
}

}  // namespace

TEST_CASE("pairs with a known answer") {
  const fs::path folder = KLP_PAIRS_WITH_ANSWER;
  if (!fs::is_directory(folder)) {
    std::printf("not run: %s is not there\n", folder.c_str());
    return;
  }
  for (const char* arch : {"x86_64", "ppc64le"}) {
    const std::vector<Case> cases = read_cases(folder, arch);
    REQUIRE(cases.size() >= 10);
    for (const Case& c : cases) {
      DYNAMIC_SECTION(arch << " " << c.name) {
        run_case(folder, c);
      }
    }
  }
}

}  // namespace klp
