// BTF through libbpf: its type ids are taken over as they are, and only the functions are listed anew.
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "elf/types.h"
#include "support/error.h"

namespace klp::elf {
namespace {

struct OpenBtf {
  btf* base = nullptr;
  btf* types = nullptr;
  OpenBtf() = default;
  OpenBtf(const OpenBtf&) = delete;
  OpenBtf& operator=(const OpenBtf&) = delete;
  ~OpenBtf() {
    btf__free(types);
    btf__free(base);
  }
};

btf* parse(const std::filesystem::path& image, btf* base) {
  btf* types = base == nullptr ? btf__parse_elf(image.c_str(), nullptr) : btf__parse_elf_split(image.c_str(), base);
  check(libbpf_get_error(types) == 0 && types != nullptr, "{} has no readable .BTF section", image.string());
  return types;
}

TypeKind kind_of(const btf_type* t) {
  switch (btf_kind(t)) {
    case BTF_KIND_INT:
      return TypeKind::integer;
    case BTF_KIND_FLOAT:
      return TypeKind::floating;
    case BTF_KIND_PTR:
      return TypeKind::pointer;
    case BTF_KIND_CONST:
    case BTF_KIND_VOLATILE:
    case BTF_KIND_RESTRICT:
    case BTF_KIND_TYPE_TAG:
      return TypeKind::qualifier;
    case BTF_KIND_TYPEDEF:
      return TypeKind::alias;
    case BTF_KIND_ARRAY:
      return TypeKind::array;
    case BTF_KIND_STRUCT:
      return TypeKind::structure;
    case BTF_KIND_UNION:
      return TypeKind::union_type;
    case BTF_KIND_ENUM:
    case BTF_KIND_ENUM64:
      return TypeKind::enumeration;
    case BTF_KIND_FWD:
      return btf_kflag(t) ? TypeKind::union_type : TypeKind::structure;
    case BTF_KIND_FUNC_PROTO:
      return TypeKind::function;
    default:
      return TypeKind::void_type;
  }
}

}  // namespace

class BtfTypeReader {
 public:
  BtfTypeReader(const btf* types, TypeTable& table) : btf_(types), table_(table) {}

  void read() {
    const uint32_t count = btf__type_cnt(btf_);
    table_.types_.resize(count);
    for (uint32_t id = 1; id < count; ++id) read_type(id, count);
    table_.name_all();
  }

 private:
  std::string_view name(uint32_t offset) const {
    const char* text = btf__name_by_offset(btf_, offset);
    return text == nullptr ? std::string_view() : std::string_view(text);
  }

  void read_type(uint32_t id, uint32_t count) {
    const btf_type* t = btf__type_by_id(btf_, id);
    Type& out = table_.types_[id];
    out.kind = kind_of(t);
    out.name = name(t->name_off);
    const auto in_range = [&](uint32_t target) { return target < count ? target : 0; };
    switch (out.kind) {
      case TypeKind::integer:
        out.size = t->size;
        out.is_signed = (btf_int_encoding(t) & BTF_INT_SIGNED) != 0;
        out.is_bool = (btf_int_encoding(t) & BTF_INT_BOOL) != 0;
        break;
      case TypeKind::floating:
        out.size = t->size;
        break;
      case TypeKind::pointer:
        out.size = 8;
        out.target = in_range(t->type);
        break;
      case TypeKind::array:
        out.target = in_range(btf_array(t)->type);
        out.count = btf_array(t)->nelems;
        break;
      case TypeKind::structure:
      case TypeKind::union_type:
        read_record(t, out, count);
        break;
      case TypeKind::enumeration:
        read_enumeration(t, out);
        break;
      case TypeKind::void_type:
        if (btf_is_func(t)) add_function(t, in_range(t->type));
        break;
      default:
        out.target = in_range(t->type);
        if (out.kind == TypeKind::function) read_prototype(t, out, count);
    }
  }

  void read_record(const btf_type* t, Type& out, uint32_t count) const {
    out.declaration = btf_is_fwd(t);
    if (out.declaration) return;
    out.size = t->size;
    const btf_member* members = btf_members(t);
    for (uint32_t i = 0; i < btf_vlen(t); ++i) {
      out.members.push_back({name(members[i].name_off), members[i].type < count ? members[i].type : 0,
                             btf_member_bit_offset(t, i), btf_member_bitfield_size(t, i)});
    }
  }

  void read_enumeration(const btf_type* t, Type& out) const {
    out.size = t->size;
    for (uint32_t i = 0; i < btf_vlen(t); ++i) {
      if (btf_is_enum64(t)) {
        out.enumerators.push_back(
            {name(btf_enum64(t)[i].name_off), static_cast<int64_t>(btf_enum64_value(&btf_enum64(t)[i]))});
      } else {
        out.enumerators.push_back({name(btf_enum(t)[i].name_off), btf_enum(t)[i].val});
      }
    }
  }

  static void read_prototype(const btf_type* t, Type& out, uint32_t count) {
    const btf_param* parameters = btf_params(t);
    for (uint32_t i = 0; i < btf_vlen(t); ++i) {
      if (parameters[i].type == 0) {  // the "..." at the end
        out.variadic = true;
      } else {
        out.parameters.push_back(parameters[i].type < count ? parameters[i].type : 0);
      }
    }
  }

  void add_function(const btf_type* t, TypeId prototype) {
    FunctionType function;
    function.name = name(t->name_off);
    function.prototype = prototype;
    function.external = btf_vlen(t) != BTF_FUNC_STATIC;
    function.defined = btf_vlen(t) != BTF_FUNC_EXTERN;
    function.out_of_line = function.defined;
    table_.functions_.push_back(function);
  }

  const btf* btf_;
  TypeTable& table_;
};

TypeTable TypeTable::from_btf(const std::filesystem::path& image, const std::filesystem::path& base) {
  libbpf_set_print(nullptr);
  const auto open = std::make_shared<OpenBtf>();
  if (!base.empty()) open->base = parse(base, nullptr);
  open->types = parse(image, open->base);
  TypeTable table;
  table.storage_ = open;
  BtfTypeReader(open->types, table).read();
  return table;
}

}  // namespace klp::elf
