// The C types of an object or of a kernel image: what its code takes for granted about memory and calls.
//
// Read from a relocatable object's DWARF (gcc and clang, DWARF 2 to 5) or from BTF; the same questions can be asked of
// both, and layout_compare.h compares two tables.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "elf/elf_object.h"
#include "elf/type_records.h"

namespace klp::elf {

class TypeTable {
 public:
  /// From a relocatable object's DWARF. Empty without (or with compressed) debug information. Malformed DWARF is an
  /// Error naming the object. The table stands alone: the object may go away.
  static TypeTable from_dwarf(const ElfObject& object);

  /// From the .BTF section of `image`. For a module, whose BTF goes on from the kernel's, `base` is the vmlinux.
  /// Errors: no ELF file, no (readable) .BTF.
  static TypeTable from_btf(const std::filesystem::path& image, const std::filesystem::path& base = {});

  bool empty() const { return types_.size() <= 1; }
  const Type& at(TypeId id) const { return types_[id]; }
  size_t size() const { return types_.size(); }

  /// Complete structs, unions and enums under their names, in order of appearance: "struct sock", "union u",
  /// "enum e", "typedef name" where only a typedef names it; those declared inside a function as "struct s in f()".
  const std::vector<std::pair<std::string, TypeId>>& named() const { return named_; }
  /// Enumerations that have no name at all, in order of appearance: they are known by their enumerators.
  const std::vector<TypeId>& unnamed_enumerations() const { return unnamed_enumerations_; }
  /// One of named(); 0 when there is none.
  TypeId find(std::string_view name) const;

  const std::vector<FunctionType>& functions() const { return functions_; }
  /// The function of that name, the definition before a declaration; null when there is none.
  const FunctionType* function(std::string_view name) const;
  const std::vector<TypedName>& variables() const { return variables_; }  ///< of file scope

  /// The source file that the object was compiled from, as the compiler was told it; empty for BTF.
  std::string_view source() const { return source_; }

  /// Without typedefs and qualifiers.
  TypeId strip(TypeId id) const;
  /// What an array has as elements, whatever its dimensions, and how many (1 for any other type).
  struct Elements {
    TypeId type = 0;  ///< stripped
    uint64_t count = 1;
  };
  Elements elements(TypeId id) const;
  /// In bytes; 0 when it is not known.
  uint64_t size_of(TypeId id) const;
  /// As in C, with typedefs as they are written: "struct sock *", "int (*)(void)".
  std::string text(TypeId id) const;

 private:
  friend class DwarfTypeReader;
  friend class BtfTypeReader;
  TypeTable();
  void name_all();
  std::vector<Type> types_;
  std::vector<std::string_view> scopes_;  ///< by type: the function that it is declared in
  std::vector<FunctionType> functions_;
  std::vector<TypedName> variables_;
  std::string_view source_;
  std::vector<std::pair<std::string, TypeId>> named_;
  std::vector<TypeId> unnamed_enumerations_;
  std::map<std::string, TypeId, std::less<>> by_name_;
  std::map<std::string_view, size_t> function_by_name_;
  std::shared_ptr<const void> storage_;  ///< what the names point into
};

}  // namespace klp::elf
