// A test module and a patched version of it, both made by the kernel's kbuild: for what no module of the kernel shows.
#pragma once

#include <memory>
#include <string>

#include "vm_suite.h"

namespace klp::test {

/// Builds modules/NAME.c as distributions do, once; `uses`: a test module that was built before and exports what this
/// one needs. It is what the guest loads.
fs::path test_module(const std::string& name, const std::string& uses = {});

class ModulePair {
 public:
  /// Builds the test module, once more with a section for each function and variable, and so with modules/PATCH.patch,
  /// for which the headers for patch authors are there.
  ModulePair(const std::string& name, const std::string& patch);

  /// The module to load into the guest.
  const fs::path& module() const { return module_; }

  /// Compares the pair and links the livepatch, livepatch_PATCH. Fails the test when the engine refuses.
  std::unique_ptr<Livepatch> livepatch(bool replace = true) const { return made(replace, Without::nothing); }

  /// The same without what is done about references that come late (in the code; when the module goes), so that it must
  /// not work.
  enum class Without { nothing, late_code, clearing };
  std::unique_ptr<Livepatch> broken(Without safeguard) const { return made(true, safeguard); }

 private:
  std::unique_ptr<Livepatch> made(bool replace, Without safeguard) const;

  std::string name_, patch_;
  fs::path module_, original_, patched_;
  elf::ElfObject shipped_object_;
  elf::SymbolIndex shipped_;
};

}  // namespace klp::test
