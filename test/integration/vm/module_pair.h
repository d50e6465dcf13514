// A test module and a patched version of it, both made by the kernel's kbuild: for what no module of the kernel shows.
#pragma once

#include <memory>
#include <string>

#include "vm_suite.h"

namespace klp::test {

class ModulePair {
 public:
  /// Builds modules/NAME.c as distributions do (it is what the guest loads), then again, and with modules/PATCH.patch,
  /// with a section for each function and variable.
  ModulePair(const std::string& name, const std::string& patch);

  /// The module to load into the guest.
  const fs::path& module() const { return module_; }

  /// Compares the pair and links the livepatch. Fails the test when the engine refuses.
  std::unique_ptr<Livepatch> livepatch() const;

 private:
  std::string name_;
  fs::path directory_, module_, original_, patched_;
  elf::ElfObject shipped_object_;
  elf::SymbolIndex shipped_;
};

}  // namespace klp::test
