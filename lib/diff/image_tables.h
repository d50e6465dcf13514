// The kernel's tables in shipped binaries, cut into entries that belong to functions: what code depends on and does not
// say itself (the key of a static branch, the feature of an alternative, what happens at a fault, whether a warning is
// told once, the ftrace site).
//
// Objects and modules say by relocations what a field refers to; in linked images fields are addresses, absolute or
// relative to themselves. Tables that the linker put into other sections are found by its marks (__start___jump_table).
#pragma once

#include <functional>
#include <map>
#include <string_view>
#include <vector>

#include "arch/arch.h"
#include "elf/symbol_index.h"

namespace klp::diff {

struct ImageEntry {
  const arch::TableSpec* spec = nullptr;
  const arch::TableLayout* layout = nullptr;
  const elf::Section* section = nullptr;
  uint64_t offset = 0, size = 0;  ///< in the section
  uint64_t owner_offset = 0;      ///< in the function
};

/// What a field refers to: a place, or a symbol that the object does not define. Both null: nothing.
struct ImageField {
  uint32_t at = 0, width = 0;  ///< in the entry; bytes
  const elf::Section* section = nullptr;
  uint64_t value = 0;  ///< like a symbol's: an address in a linked image, else an offset in the section
  const elf::Symbol* external = nullptr;
  int64_t external_offset = 0;
};

class ImageTables {
 public:
  /// The symbol whose code a place is in; null for none.
  using Covering = std::function<const elf::Symbol*(const elf::Section&, uint64_t value)>;

  /// `index` must outlive it. Tables whose entries are of no known layout are left out, and named by unread().
  ImageTables(const elf::SymbolIndex& index, const Covering& covering);

  /// By table, then place.
  const std::vector<ImageEntry>& of(const elf::Symbol& function) const;

  /// Whether the function has an ftrace site; nothing where the image has no table of them.
  std::optional<bool> traceable(const elf::Symbol& function) const;

  /// Its fields that refer to something, by their offsets.
  std::vector<ImageField> fields(const ImageEntry& entry) const;

  /// The code that a site is replaced by, as field and size; nothing when there is none.
  struct Replacement {
    ImageField code;
    uint64_t size = 0;
  };
  std::optional<Replacement> replacement(const ImageEntry& entry) const;

  const std::vector<std::string_view>& unread() const { return unread_; }

 private:
  struct Extent {
    const elf::Section* section = nullptr;
    uint64_t begin = 0, end = 0;
  };
  std::vector<Extent> find(const arch::TableSpec& spec) const;
  const arch::TableLayout* layout_of(const arch::TableSpec& spec, const Extent& extent) const;
  void cut(const arch::TableSpec& spec, const Extent& extent, const arch::TableLayout& layout,
           const Covering& covering);
  bool is_reference(const arch::TableLayout& layout, const ImageField& f) const;
  ImageField field(const elf::Section& section, uint64_t entry, uint32_t at, uint32_t room) const;

  const elf::SymbolIndex& index_;
  const arch::Arch& arch_;
  bool linked_;
  std::map<const elf::Symbol*, std::vector<ImageEntry>> by_owner_;
  std::vector<std::string_view> unread_;
  bool has_sites_ = false;
};

}  // namespace klp::diff
