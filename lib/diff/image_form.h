// The normal form of functions in shipped binaries: vmlinux, modules, single objects. Two builds of the same code have
// the same form wherever the linker put what it refers to.
//
// An instruction without padding NOPs; a direct branch as condition and target; an address in it as what lies there: a
// symbol and a distance, a string, a constant's bytes. Places inside a function count as instruction numbers. Numbers
// that the compiler gives to clones and statics (foo.constprop.0, n.12) are left out. Behind the instructions come the
// entries of the kernel's tables that belong to the function (image_tables.h).
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "arch/arch.h"
#include "diff/form_item.h"
#include "diff/image_tables.h"
#include "diff/stable_name.h"
#include "elf/disassembler.h"
#include "elf/symbol_index.h"

namespace klp::diff {

class ImageForm {
 public:
  /// A relocatable object must have been read with the relocations of its allocated sections. `image` must outlive it.
  explicit ImageForm(const elf::ElfObject& image);

  /// All code that a symbol with a size covers, in symbol table order; of several names for one place the first global,
  /// or else the first.
  const std::vector<ImageFunction>& functions() const { return functions_; }

  /// Variables and constants that a symbol with a size covers, in the same order.
  const std::vector<ImageFunction>& variables() const { return variables_; }

  /// What a variable holds at first, addresses in it as what lies there; of one that is only zeros, how many.
  FormText content(const ImageFunction& variable) const;

  /// The same of any part of a section; `value` is like a symbol's.
  FormText content(const elf::Section& section, uint64_t value, uint64_t size) const;

  /// Thread-safe with a disassembler for each thread.
  std::vector<FormItem> form(const ImageFunction& function, const elf::Disassembler& disassembler) const;

  /// The same as one text: equal exactly where the items' texts are.
  FormText digest(const ImageFunction& function, const elf::Disassembler& disassembler) const;

  /// The per-cpu variable at an offset of the per-cpu area, as "name+0x8"; empty when there is none. Such offsets stand
  /// in code of linked images as plain numbers.
  std::string per_cpu(uint64_t offset) const;

  /// Line numbers that the form leaves out, as bytes: in table entries; in variables that only say where a message is.
  std::string lines(const ImageFunction& entry) const;

  /// The kind of memory that it lies in, as far as that means something: ".text", ".init.text", ".noinstr.text",
  /// ".data", ...; what the linker put together is told apart by its marks.
  std::string area(const ImageFunction& entry) const;
  std::optional<bool> traceable(const ImageFunction& function) const;  ///< it has an ftrace site; where that is known

  std::span<const std::byte> code(const ImageFunction& function) const;
  const elf::ElfObject& image() const { return image_; }
  const ImageTables& tables() const { return *tables_; }

 private:
  struct Code;
  struct Place {
    uint64_t value;
    const elf::Symbol* symbol;
  };
  const elf::Symbol* covering(const elf::Section& section, uint64_t value) const;
  void describe(const Code& code, const elf::Section* section, uint64_t value, FormText& out) const;
  FormText linked_content(const elf::Section& section, uint64_t start, std::string_view bytes) const;
  FormText relocated_content(const elf::Section& section, uint64_t start, std::string bytes) const;
  void describe_outside(const elf::Section* section, uint64_t value, FormText& out) const;
  void describe_per_cpu(uint64_t offset, FormText& out) const;
  void describe_behind(const elf::Section& section, uint64_t value, FormText& out) const;
  static bool is_constant(const elf::Section& section, const elf::Symbol* s);
  void describe_mark(uint64_t value, FormText& out) const;
  void describe_data(const elf::Section& section, uint64_t value, FormText& out) const;
  void add_branch(const Code& code, const elf::Instruction& instruction, FormText& out) const;
  void add_relocated(const Code& code, const elf::Instruction& instruction, FormText& out) const;
  bool add_half(const Code& code, const elf::Instruction& instruction, FormText& out) const;
  void add_linked(const Code& code, const elf::Instruction& instruction, FormText& out) const;
  void describe_reference(const Code& code, const elf::Relocation& r, uint64_t to_end, FormText& out) const;
  void add_instruction(const Code& code, const elf::Instruction& instruction, FormText& out) const;
  void add_replacement(const Code& owner, const ImageTables::Replacement& replacement,
                       const elf::Disassembler& disassembler, FormText& out) const;
  FormText entry_text(const Code& code, const ImageEntry& entry, const elf::Disassembler& disassembler) const;
  void make_lists();
  struct LineField;
  const LineField* line_field(const ImageFunction& variable) const;
  bool is_between(const char* start, const char* end, uint64_t value) const;
  template <typename See>
  void each_item(const ImageFunction& function, const elf::Disassembler& disassembler, See see) const;

  const elf::ElfObject& image_;
  const arch::Arch& arch_;
  elf::SymbolIndex index_;
  bool linked_;
  uint64_t low_ = UINT64_MAX, high_ = 0;
  std::optional<uint64_t> base_;  ///< what the base register holds, on machines with halves of addresses
  const elf::Section* per_cpu_ = nullptr;
  std::vector<std::vector<Place>> places_;        ///< by section, by value
  std::map<uint64_t, const elf::Symbol*> marks_;  ///< of a linked image: the linker's, by address
  std::vector<ImageFunction> functions_, variables_;
  std::optional<ImageTables> tables_;
};

}  // namespace klp::diff
