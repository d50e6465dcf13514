// A linked image's debug information for libdw, straight from the file. Only for lib/elf's own files: it shows libdw's
// type.
#pragma once

#include <string>

struct Dwarf;

namespace klp::elf {

class LinkedDwarf {
 public:
  /// `get()` is null when the file cannot be opened or has no (readable) debug information.
  explicit LinkedDwarf(const std::string& file);
  ~LinkedDwarf();
  LinkedDwarf(const LinkedDwarf&) = delete;
  LinkedDwarf& operator=(const LinkedDwarf&) = delete;
  ::Dwarf* get() const { return dwarf_; }

 private:
  int fd_;
  ::Dwarf* dwarf_ = nullptr;
};

}  // namespace klp::elf
