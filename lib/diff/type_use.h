// Who uses a struct, union or enum of one object, as far as its debug information tells.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "diff/pieces.h"
#include "elf/types.h"

namespace klp::diff {

class TypeUse {
 public:
  /// `table` is of the object that `pieces` cuts; both must outlive this.
  TypeUse(const elf::TypeTable& table, const Pieces& pieces);

  /// Functions with code of their own that take, return or declare the type, a pointer to it, or a struct that holds
  /// it, themselves or in what is inlined into them. Source names, in the order of the debug information.
  std::vector<std::string_view> functions(elf::TypeId type) const;

  /// Those of functions() that call something named alloc and have `size` among their code's constants: they make
  /// instances.
  std::vector<std::string_view> allocators(elf::TypeId type, uint64_t size) const;

  /// Variables at file scope, and static ones in functions, that are of the type or hold it.
  std::vector<std::string_view> variables(elf::TypeId type) const;

  /// Other structs and unions that hold it by value, under their names.
  std::vector<std::string> holders(elf::TypeId type) const;

  /// Structs, unions and enums that the function with that source name takes, returns or declares, or pointers to them,
  /// itself or in what is inlined into it. Without what those hold.
  std::set<elf::TypeId> types_of(std::string_view function) const;

  /// By TypeId: whether it is the type or holds it by value.
  std::vector<bool> holding(elf::TypeId type) const { return closed(type, false); }

  /// Whether each instance is a local variable, and only functions() can meet one: the type is declared in a .c file,
  /// some function has it as a local variable and none has a pointer to it that is no parameter, no variable, other
  /// struct or pointer to a function leads to it, and no address of functions() is taken.
  bool is_on_stacks_only(elf::TypeId type) const;

  /// All pieces of the functions with that source name (f, f.isra.0), leaders only.
  std::vector<const Piece*> pieces_of(std::string_view function) const;

 private:
  std::vector<bool> closed(elf::TypeId type, bool through_pointers) const;
  bool is_meant(elf::TypeId id, const std::vector<bool>& holding) const;
  bool names(size_t function, const std::vector<bool>& holding, std::set<size_t>& seen) const;
  void collect(elf::TypeId id, std::set<elf::TypeId>& types) const;
  bool has_only_locals(elf::TypeId type, const std::vector<bool>& leading) const;
  bool takes_address_of(const std::set<const Piece*>& functions) const;

  const elf::TypeTable& table_;
  const Pieces& pieces_;
};

/// "f" of "f.isra.0" and "f.cold".
std::string_view source_name(std::string_view symbol);

}  // namespace klp::diff
