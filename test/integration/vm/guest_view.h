// The running guest as the read-back sees it: memory by pages, symbols from kallsyms, where modules lie.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "vm/vm.h"

namespace klp::test {

/// Symbol name to its addresses, ascending.
using GuestSymbols = std::map<std::string, std::vector<uint64_t>, std::less<>>;

/// A snapshot: what was read once is kept, so make a new one for each state of the guest.
class GuestView {
 public:
  explicit GuestView(vm::Vm& vm) : vm_(vm) {}

  /// Memory at a kernel address. What cannot be read is zeros.
  std::vector<std::byte> memory(uint64_t address, uint64_t size);

  /// All symbols of a loaded module, from /proc/kallsyms. Error when there are none.
  const GuestSymbols& module_symbols(const std::string& module);

  /// The symbols of any loaded module with this name.
  std::vector<uint64_t> in_any_module(const std::string& name);

  /// Where a section of a loaded module lies, from /sys/module. Error when the module has no such section.
  uint64_t section(const std::string& module, const std::string& name);

  /// The address of _text; Error when kallsyms has none.
  uint64_t text_start();

 private:
  GuestSymbols kallsyms(const std::string& pattern, const std::string& options = {});

  vm::Vm& vm_;
  std::map<uint64_t, std::vector<std::byte>> pages_;
  std::map<std::string, GuestSymbols> symbols_;
  std::map<std::string, std::map<std::string, uint64_t>> sections_;
};

}  // namespace klp::test
