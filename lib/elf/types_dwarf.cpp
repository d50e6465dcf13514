// One walk over all entries collects types, functions and variables. While it runs, a TypeId holds the offset of the
// entry that is meant, for it may come later; all are replaced by real ones at the end.
#include <dwarf.h>
#include <elfutils/libdw.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "elf/relocated_dwarf.h"
#include "elf/types.h"
#include "support/error.h"

namespace klp::elf {
namespace {

constexpr unsigned kMaxUnits = 4096;  // as for DebugInfo
constexpr int kMaxDepth = 64;
constexpr size_t kMaxName = 4096;
constexpr size_t kNone = std::numeric_limits<size_t>::max();

/// The attributes of an entry that mean something here.
struct Attributes {
  const char* name = nullptr;
  uint32_t type = 0, origin = 0;  ///< offsets of entries
  Dwarf_Word byte_size = 0, bit_size = 0, encoding = 0, file = 0, line = 0, count = 0;
  Dwarf_Word data_bit_offset = 0, bit_offset = 0, location = 0;
  int64_t value = 0;
  bool has_byte_size = false, has_bit_offset = false, has_data_bit_offset = false;
  bool declaration = false, prototyped = false, external = false, has_code = false, is_inlined = false,
       is_fixed = false;
};

uint32_t reference(Dwarf_Attribute* attribute) {
  Dwarf_Die die;
  if (dwarf_formref_die(attribute, &die) == nullptr) return 0;
  const Dwarf_Off offset = dwarf_dieoffset(&die);
  check(offset < std::numeric_limits<uint32_t>::max(), "debug information of more than 4 GB");
  return static_cast<uint32_t>(offset);
}

/// DWARF 2 writes an offset as an expression.
Dwarf_Word member_location(Dwarf_Attribute* attribute) {
  Dwarf_Word value = 0;
  if (dwarf_formudata(attribute, &value) == 0) return value;
  Dwarf_Op* operations = nullptr;
  size_t count = 0;
  const bool simple = dwarf_getlocation(attribute, &operations, &count) == 0 && count == 1;
  return simple && operations[0].atom == DW_OP_plus_uconst ? operations[0].number : 0;
}

/// A location that is one address, as of statics and globals.
bool is_address(Dwarf_Attribute* attribute) {
  Dwarf_Block block;
  if (dwarf_formblock(attribute, &block) != 0 || block.length == 0) return false;
  return block.data[0] == DW_OP_addr || block.data[0] == DW_OP_addrx || block.data[0] == DW_OP_GNU_addr_index;
}

int64_t enumerator_value(Dwarf_Attribute* attribute) {
  const unsigned form = dwarf_whatform(attribute);
  Dwarf_Sword value = 0;
  Dwarf_Word plain = 0;
  if (form == DW_FORM_sdata || form == DW_FORM_implicit_const)
    return dwarf_formsdata(attribute, &value) == 0 ? value : 0;
  return dwarf_formudata(attribute, &plain) == 0 ? static_cast<int64_t>(plain) : 0;
}

void note_bound(Dwarf_Attribute* attribute, Dwarf_Word more, Attributes& a) {
  Dwarf_Word value = 0;
  if (dwarf_formudata(attribute, &value) == 0) a.count = value + more;
}

/// Sizes, offsets and flags.
void note_number(unsigned code, Dwarf_Attribute* attribute, Attributes& a) {
  switch (code) {
    case DW_AT_byte_size:
      a.has_byte_size = dwarf_formudata(attribute, &a.byte_size) == 0;
      break;
    case DW_AT_bit_size:
      dwarf_formudata(attribute, &a.bit_size);
      break;
    case DW_AT_data_bit_offset:
      a.has_data_bit_offset = dwarf_formudata(attribute, &a.data_bit_offset) == 0;
      break;
    case DW_AT_bit_offset:
      a.has_bit_offset = dwarf_formudata(attribute, &a.bit_offset) == 0;
      break;
    case DW_AT_data_member_location:
      a.location = member_location(attribute);
      break;
    case DW_AT_encoding:
      dwarf_formudata(attribute, &a.encoding);
      break;
    case DW_AT_decl_file:
      dwarf_formudata(attribute, &a.file);
      break;
    case DW_AT_decl_line:
      dwarf_formudata(attribute, &a.line);
      break;
    case DW_AT_const_value:
      a.value = enumerator_value(attribute);
      break;
    case DW_AT_upper_bound:
      note_bound(attribute, 1, a);
      break;
    case DW_AT_count:
      note_bound(attribute, 0, a);
      break;
    default:
      break;
  }
}

int note(Dwarf_Attribute* attribute, void* out) {
  Attributes& a = *static_cast<Attributes*>(out);
  const unsigned code = dwarf_whatattr(attribute);
  switch (code) {
    case DW_AT_name:
      a.name = dwarf_formstring(attribute);
      break;
    case DW_AT_type:
      a.type = reference(attribute);
      break;
    case DW_AT_abstract_origin:
    case DW_AT_specification:
      a.origin = reference(attribute);
      break;
    case DW_AT_declaration:
      a.declaration = true;
      break;
    case DW_AT_prototyped:
      a.prototyped = true;
      break;
    case DW_AT_external:
      a.external = true;
      break;
    case DW_AT_low_pc:
    case DW_AT_ranges:
      a.has_code = true;
      break;
    case DW_AT_inline:
      a.is_inlined = true;
      break;
    case DW_AT_location:
      a.is_fixed = is_address(attribute);
      break;
    default:
      note_number(code, attribute, a);
  }
  return DWARF_CB_OK;
}

std::string_view text(const char* name) {
  return name == nullptr ? std::string_view() : std::string_view(name, strnlen(name, kMaxName));
}

TypeKind kind_of(int tag) {
  switch (tag) {
    case DW_TAG_base_type:
      return TypeKind::integer;
    case DW_TAG_pointer_type:
    case DW_TAG_reference_type:
      return TypeKind::pointer;
    case DW_TAG_const_type:
    case DW_TAG_volatile_type:
    case DW_TAG_restrict_type:
    case DW_TAG_atomic_type:
      return TypeKind::qualifier;
    case DW_TAG_typedef:
      return TypeKind::alias;
    case DW_TAG_array_type:
      return TypeKind::array;
    case DW_TAG_structure_type:
      return TypeKind::structure;
    case DW_TAG_union_type:
      return TypeKind::union_type;
    case DW_TAG_enumeration_type:
      return TypeKind::enumeration;
    case DW_TAG_subroutine_type:
      return TypeKind::function;
    default:
      return TypeKind::void_type;
  }
}

Member member_of(const Attributes& a) {
  Member m;
  m.name = text(a.name);
  m.type = a.type;
  m.bit_size = a.bit_size;
  m.bit_offset = a.location * 8;
  if (a.has_data_bit_offset) {
    m.bit_offset = a.data_bit_offset;
  } else if (a.has_bit_offset) {  // counted from the upper end of a storage unit
    m.bit_offset = a.location * 8 + a.byte_size * 8 - a.bit_offset - a.bit_size;
  }
  return m;
}

}  // namespace

class DwarfTypeReader {
 public:
  explicit DwarfTypeReader(TypeTable& table) : table_(table) {}

  void read(Dwarf* dwarf) {
    Dwarf_Off offset = 0, next = 0;
    size_t header = 0;
    unsigned units = 0;
    while (dwarf_nextcu(dwarf, offset, &next, &header, nullptr, nullptr, nullptr) == 0) {
      check(next > offset && ++units <= kMaxUnits, "debug information of too many units, or a unit of no size");
      Dwarf_Die unit;
      if (dwarf_offdie(dwarf, offset + header, &unit) != nullptr) {
        if (dwarf_getsrcfiles(&unit, &files_, &file_count_) != 0) file_count_ = 0;
        Attributes a;
        dwarf_getattrs(&unit, note, &a, 0);
        if (table_.source_.empty()) table_.source_ = text(a.name);
        children(unit, {}, 0);
      }
      offset = next;
    }
    resolve();
  }

 private:
  /// What the entries of one level belong to.
  struct Place {
    size_t function = kNone;      ///< index into raw_
    TypeId type = 0;              ///< the record, enumeration, array or prototype
    bool parameters = false;      ///< of the function itself: they make its prototype
    std::string_view scope = {};  ///< name of the function
  };
  struct RawFunction {
    FunctionType function;
    uint32_t returns = 0, origin = 0, entry = 0;
    std::vector<uint32_t> parameters, inlined;
    bool variadic = false;
  };
  struct Entry {
    uint32_t offset;
    size_t index;
  };

  void children(Dwarf_Die& parent, const Place& place, int depth) {
    Dwarf_Die die;
    if (depth > kMaxDepth || dwarf_child(&parent, &die) != 0) return;
    do {
      const Dwarf_Off here = dwarf_dieoffset(&die);
      check(here > last_, "debug information: the entry at {:#x} links back to {:#x}", last_, here);
      last_ = here;
      entry(die, static_cast<uint32_t>(here), place, depth);
    } while (dwarf_siblingof(&die, &die) == 0);
  }

  void entry(Dwarf_Die& die, uint32_t here, const Place& place, int depth) {
    const int tag = dwarf_tag(&die);
    if (tag == DW_TAG_call_site || tag == DW_TAG_GNU_call_site || tag == DW_TAG_label) return;
    Attributes a;
    dwarf_getattrs(&die, note, &a, 0);
    switch (tag) {
      case DW_TAG_subprogram:
        subprogram(die, here, a, depth);
        break;
      case DW_TAG_inlined_subroutine:
        if (place.function != kNone && a.origin != 0) raw_[place.function].inlined.push_back(a.origin);
        children(die, {place.function, 0, false, place.scope}, depth + 1);
        break;
      case DW_TAG_lexical_block:
        children(die, {place.function, 0, false, place.scope}, depth + 1);
        break;
      case DW_TAG_formal_parameter:
      case DW_TAG_unspecified_parameters:
        parameter(tag, here, a, place);
        break;
      case DW_TAG_variable:
        variable(here, a, place);
        break;
      case DW_TAG_member:
        table_.types_[place.type].members.push_back(member_of(a));
        break;
      case DW_TAG_enumerator:
        table_.types_[place.type].enumerators.push_back({text(a.name), a.value});
        break;
      case DW_TAG_subrange_type:
        if (place.type != 0) dimensions_.push_back(a.count);
        break;
      default:
        type(die, here, tag, a, place, depth);
    }
  }

  void type(Dwarf_Die& die, uint32_t here, int tag, const Attributes& a, const Place& place, int depth) {
    const TypeKind kind = kind_of(tag);
    if (kind == TypeKind::void_type) return;
    Type t;
    t.kind = kind;
    if (tag == DW_TAG_base_type) {
      if (a.encoding == DW_ATE_float || a.encoding == DW_ATE_complex_float) t.kind = TypeKind::floating;
      t.is_signed = a.encoding == DW_ATE_signed || a.encoding == DW_ATE_signed_char;
      t.is_bool = a.encoding == DW_ATE_boolean;
    }
    t.declaration = a.declaration;
    t.target = a.type;
    t.size = a.byte_size;
    if (kind == TypeKind::pointer && !a.has_byte_size) t.size = 8;
    t.name = text(a.name);
    t.file = file(a);
    t.line = static_cast<unsigned>(a.line);
    const TypeId id = static_cast<TypeId>(table_.types_.size());
    table_.types_.push_back(std::move(t));
    table_.scopes_.resize(id + 1);
    table_.scopes_[id] = place.scope;
    types_.push_back({here, id});
    if (kind != TypeKind::array) {
      children(die, {kNone, id, false, place.scope}, depth + 1);
      return;
    }
    std::vector<Dwarf_Word> outer;
    outer.swap(dimensions_);
    children(die, {kNone, id, false, place.scope}, depth + 1);
    outer.swap(dimensions_);
    make_array(id, outer);
  }

  /// An entry for `a[2][3]` has two dimensions; the table's type has one, of a type that has the other.
  void make_array(TypeId id, const std::vector<Dwarf_Word>& dimensions) {
    for (size_t i = 0; i < dimensions.size(); ++i) {
      table_.types_[id].count = dimensions[i];
      if (i + 1 == dimensions.size()) return;
      const TypeId inner = static_cast<TypeId>(table_.types_.size());
      table_.types_.push_back(table_.types_[id]);
      table_.types_[id].target = 0;
      inner_arrays_.emplace_back(id, inner);
      id = inner;
    }
  }

  void subprogram(Dwarf_Die& die, uint32_t here, const Attributes& a, int depth) {
    // gcc 10 makes entries for functions that are only called: a name, and nothing of what they take and return.
    if (a.declaration && !a.prototyped) return;
    RawFunction raw;
    raw.entry = here;
    raw.returns = a.type;
    raw.origin = a.origin;
    raw.function.name = text(a.name);
    raw.function.external = a.external;
    raw.function.defined = a.has_code || a.is_inlined;
    raw.function.out_of_line = a.has_code;
    raw.function.file = file(a);
    const std::string_view scope = raw.function.name;
    const size_t index = raw_.size();
    raw_.push_back(std::move(raw));
    children(die, {index, 0, true, scope}, depth + 1);
  }

  void parameter(int tag, uint32_t here, const Attributes& a, const Place& place) {
    const bool more = tag == DW_TAG_unspecified_parameters;
    if (place.type != 0) {
      Type& t = table_.types_[place.type];
      if (more) {
        t.variadic = true;
      } else {
        t.parameters.push_back(a.type);
      }
    }
    if (place.function == kNone || !place.parameters) return;
    RawFunction& raw = raw_[place.function];
    if (more) {
      raw.variadic = true;
    } else if (a.origin == 0) {
      raw.parameters.push_back(a.type);
      add_name(here, {text(a.name), a.type, TypedName::Kind::parameter}, place);
    }
  }

  void variable(uint32_t here, const Attributes& a, const Place& place) {
    if (a.origin != 0 && a.is_fixed) fixed_.push_back(a.origin);
    if (a.origin != 0) return;
    if (place.function == kNone) {
      table_.variables_.push_back({text(a.name), a.type, TypedName::Kind::fixed});
    } else {
      add_name(here, {text(a.name), a.type, a.is_fixed ? TypedName::Kind::fixed : TypedName::Kind::local}, place);
    }
  }

  void add_name(uint32_t here, TypedName name, const Place& place) {
    std::vector<TypedName>& names = raw_[place.function].function.names;
    name_places_.push_back({here, place.function});
    name_indices_.push_back(names.size());
    names.push_back(name);
  }

  std::string_view file(const Attributes& a) const {
    return a.file < file_count_ ? text(dwarf_filesrc(files_, a.file, nullptr, nullptr)) : std::string_view();
  }

  /// Entries were met in the order of their offsets.
  static size_t find(const std::vector<Entry>& entries, uint32_t offset) {
    const auto at = std::lower_bound(entries.begin(), entries.end(), offset,
                                     [](const Entry& e, uint32_t wanted) { return e.offset < wanted; });
    return at != entries.end() && at->offset == offset ? static_cast<size_t>(at - entries.begin()) : kNone;
  }

  TypeId id_of(uint32_t offset) const {
    const size_t at = offset == 0 ? kNone : find(types_, offset);
    return at == kNone ? 0 : static_cast<TypeId>(types_[at].index);
  }

  void resolve() {
    for (Type& t : table_.types_) {
      t.target = id_of(t.target);
      for (Member& m : t.members) m.type = id_of(m.type);
      for (TypeId& p : t.parameters) p = id_of(p);
    }
    for (const auto& [outer, inner] : inner_arrays_) table_.types_[outer].target = inner;
    for (TypedName& v : table_.variables_) v.type = id_of(v.type);
    for (const uint32_t origin : fixed_) {
      const size_t at = find(name_places_, origin);
      if (at != kNone) raw_[name_places_[at].index].function.names[name_indices_[at]].kind = TypedName::Kind::fixed;
    }
    resolve_functions();
    table_.name_all();
  }

  /// The entry that says what a function is called and takes: code and inlined copies refer to it.
  size_t first_of(size_t index, const std::vector<Entry>& entries) const {
    for (int depth = 0; depth < kMaxDepth && index != kNone && raw_[index].origin != 0; ++depth)
      index = find(entries, raw_[index].origin);
    return index;
  }

  void resolve_functions() {
    std::vector<Entry> entries;
    for (size_t i = 0; i < raw_.size(); ++i) entries.push_back({raw_[i].entry, i});
    std::vector<size_t> final_index(raw_.size(), kNone);
    for (size_t i = 0; i < raw_.size(); ++i) {
      if (raw_[i].origin == 0) final_index[i] = add_function(raw_[i]);
    }
    for (size_t i = 0; i < raw_.size(); ++i) {
      const size_t first = first_of(i, entries);
      if (first == kNone || final_index[first] == kNone) continue;
      FunctionType& function = table_.functions_[final_index[first]];
      function.defined |= raw_[i].function.defined;
      function.out_of_line |= raw_[i].function.out_of_line;
      if (first != i) {
        for (const TypedName& name : raw_[i].function.names)
          function.names.push_back({name.name, id_of(name.type), name.kind});
      }
      for (const uint32_t origin : raw_[i].inlined) {
        const size_t inlined = first_of(find(entries, origin), entries);
        if (inlined != kNone && final_index[inlined] != kNone) function.inlined.push_back(final_index[inlined]);
      }
    }
    for (FunctionType& function : table_.functions_) {
      std::sort(function.inlined.begin(), function.inlined.end());
      function.inlined.erase(std::unique(function.inlined.begin(), function.inlined.end()), function.inlined.end());
    }
  }

  size_t add_function(const RawFunction& raw) {
    Type prototype;
    prototype.kind = TypeKind::function;
    prototype.variadic = raw.variadic;
    prototype.target = id_of(raw.returns);
    for (const uint32_t p : raw.parameters) prototype.parameters.push_back(id_of(p));
    FunctionType function = raw.function;
    function.prototype = static_cast<TypeId>(table_.types_.size());
    table_.types_.push_back(std::move(prototype));
    for (TypedName& name : function.names) name.type = id_of(name.type);
    table_.functions_.push_back(std::move(function));
    return table_.functions_.size() - 1;
  }

  TypeTable& table_;
  Dwarf_Files* files_ = nullptr;
  size_t file_count_ = 0;
  Dwarf_Off last_ = 0;
  std::vector<Entry> types_, name_places_;
  std::vector<size_t> name_indices_;  ///< beside name_places_: index into the function's names
  std::vector<RawFunction> raw_;
  std::vector<uint32_t> fixed_;
  std::vector<Dwarf_Word> dimensions_;
  std::vector<std::pair<TypeId, TypeId>> inner_arrays_;
};

TypeTable TypeTable::from_dwarf(const ElfObject& object) {
  TypeTable table;
  const auto dwarf = std::make_shared<RelocatedDwarf>(object, RelocatedDwarf::Rows::dropped);
  table.storage_ = dwarf;
  if (dwarf->get() != nullptr) with_context(object.name(), [&] { DwarfTypeReader(table).read(dwarf->get()); });
  return table;
}

}  // namespace klp::elf
