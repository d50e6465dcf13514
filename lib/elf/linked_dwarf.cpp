#include "elf/linked_dwarf.h"

#include <elfutils/libdw.h>
#include <fcntl.h>
#include <unistd.h>

namespace klp::elf {

LinkedDwarf::LinkedDwarf(const std::string& file) : fd_(open(file.c_str(), O_RDONLY | O_CLOEXEC)) {
  if (fd_ >= 0) dwarf_ = dwarf_begin(fd_, DWARF_C_READ);
}

LinkedDwarf::~LinkedDwarf() {
  if (dwarf_ != nullptr) dwarf_end(dwarf_);
  if (fd_ >= 0) close(fd_);
}

}  // namespace klp::elf
