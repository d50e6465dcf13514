// Records of a TypeTable (types.h): types, functions and variables as C has them. Names point into the table.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace klp::elf {

using TypeId = uint32_t;  ///< index into a TypeTable; 0 is void

enum class TypeKind : uint8_t {
  void_type,
  integer,  ///< with boolean and character types
  floating,
  pointer,
  qualifier,  ///< const, volatile, restrict, atomic: all mean their target
  alias,      ///< typedef
  array,      ///< of `count` targets, 0 when the length is not known; several dimensions are nested
  structure,
  union_type,
  enumeration,
  function  ///< a prototype: target is what it returns
};

struct Member {
  std::string_view name;  ///< empty for an anonymous struct or union
  TypeId type = 0;
  uint64_t bit_offset = 0;  ///< within the enclosing struct
  uint64_t bit_size = 0;    ///< of a bit-field; 0 for all others
};

struct Enumerator {
  std::string_view name;
  int64_t value = 0;
};

struct Type {
  TypeKind kind = TypeKind::void_type;
  bool is_signed = false, is_bool = false;
  bool declaration = false;  ///< of a struct, union or enum whose members are not known here
  bool variadic = false;
  TypeId target = 0;
  uint64_t size = 0;   ///< in bytes; 0 for function and void
  uint64_t count = 0;  ///< of an array
  std::string_view name;
  std::string_view file;  ///< where it is declared, as the compiler was told it; empty for BTF
  unsigned line = 0;
  std::vector<Member> members;
  std::vector<Enumerator> enumerators;
  std::vector<TypeId> parameters;
};

/// A variable or parameter that a function declares, or a variable at file scope.
struct TypedName {
  enum class Kind : uint8_t { parameter, local, fixed };  ///< fixed: it has one place in memory (global, static)
  std::string_view name;
  TypeId type = 0;
  Kind kind = Kind::local;
};

struct FunctionType {
  std::string_view name;         ///< as in the source: clones (.isra.0, .cold) share it
  TypeId prototype = 0;          ///< of kind function
  bool external = false;         ///< not static
  bool defined = false;          ///< it has code in this object, of its own or inlined
  bool out_of_line = false;      ///< it has code of its own
  std::string_view file;         ///< where it is declared
  std::vector<TypedName> names;  ///< DWARF only; those of functions inlined into it are with these functions
  std::vector<size_t> inlined;   ///< indices into functions(): what is inlined into it
};

}  // namespace klp::elf
