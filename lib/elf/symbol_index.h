// The symbols of a shipped binary (vmlinux or a .ko): which belong to one source file, and which position the kernel
// counts for a name.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "elf/elf_object.h"

namespace klp::elf {

/// The locals of one translation unit: what follows one FILE symbol, up to the next one.
struct FileBlock {
  std::string_view file;
  std::map<std::string_view, std::vector<const Symbol*>> locals;
};

class SymbolIndex {
 public:
  /// `shipped` must outlive the index. ET_REL (a module) counts positions in symbol table order, anything else by
  /// address.
  explicit SymbolIndex(const ElfObject& shipped);

  const ElfObject& object() const { return *object_; }

  /// The blocks of all FILE symbols named `file`, in symbol table order. The maps are made when they are first asked
  /// for: most of vmlinux' 4,000 never are.
  std::vector<const FileBlock*> blocks_of(std::string_view file) const;

  /// The global or weak symbol of that name; null when there is none.
  const Symbol* maybe_global(std::string_view name) const;

  /// The position the livepatch core needs to find this symbol by name: 0 when the name is unique, else 1 and up.
  /// vmlinux: counted over all kallsyms entries of the name by ascending address (scripts/kallsyms.c and
  /// mksysmap, 5.10-6.12); module: in the order of its symbol table (kernel/module/kallsyms.c). Error when kallsyms
  /// does not hold the symbol.
  uint64_t sympos(const Symbol& symbol) const;

  /// Whether kallsyms holds the symbol at all (CONFIG_KALLSYMS_ALL).
  static bool in_kallsyms(const Symbol& symbol, bool module);

  /// Where a linked address lies; null when no allocated section holds it. Only for linked images.
  const Section* section_at(uint64_t address) const;

 private:
  const ElfObject* object_;
  bool module_;
  struct LazyBlock;
  std::shared_ptr<std::deque<LazyBlock>> blocks_;  ///< shared by copies, which mean the same object
  std::vector<const Section*> by_address_;
};

}  // namespace klp::elf
