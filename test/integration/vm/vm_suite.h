// What the VM tests share: the kernel, its shipped symbols, one guest, and the way of a patch through both.
//
// The kernel is named by $KLP_TEST_KERNEL (debian:6.1-cloud-amd64 without it); it is fetched when it is not in the
// cache. A name with a '/' in it is a directory as scripts/ppc64-kernel leaves it. Cases tagged [x86] are about what
// other machines do not have, or look at code in a way that only knows x86. The guest
// boots at first use and again only after a failure. $KLP_TEST_CPU is its processor, a model of QEMU's (max), and
// $KLP_TEST_APPEND further kernel parameters: for the cases tagged [machine].
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "diff/livepatch_module.h"
#include "elf/symvers.h"
#include "kernel/kernel.h"
#include "read_back.h"
#include "support/files.h"
#include "vm/livepatch_check.h"
#include "vm/vm.h"

namespace klp::test {

/// A livepatch module and what the read-back needs to know of its origin.
struct Livepatch {
  std::string name;
  fs::path file;
  std::string objtool_flags;  ///< module_objtool.h
  std::deque<elf::ElfObject> objects;
  std::vector<ReadBackUnit> units;

  /// Adds a unit for the read-back: `patched` is the object from which `plan` was made.
  void add_unit(const fs::path& patched, const diff::PatchObject& plan, const elf::SymbolIndex& shipped);
};

class Suite {
 public:
  static Suite& get();

  const kernel::Kernel& kernel() const { return kernel_; }
  const kernel::KernelSelection& selection() const { return selection_; }
  bool is_x86() const { return kernel_.arch == "x86_64"; }
  /// Whether the kernel was built with CONFIG_`name`, also as a module.
  bool has_option(const std::string& name) const;
  /// Whether it was not; then a case that needs it is told of as not run.
  bool lacks(const std::string& option) const;
  /// Whether the guest shows its memory (/proc/kcore).
  bool can_read_back() const { return can_read_back_; }
  const elf::SymbolIndex& vmlinux() const { return vmlinux_; }
  const elf::Exports& exports() const { return exports_; }
  const diff::TableSizes& table_sizes() const { return sizes_; }

  /// The symbols of vmlinux, or of a module that the kernel ships.
  const elf::SymbolIndex& shipped(const std::string& object);

  /// A directory for one case's files; there until the suite ends.
  fs::path directory(const std::string& name) const;

  /// The livepatch of test/patches/PATCH.patch, made the way `klp-diff build` does, once. Fails the test when it is
  /// refused, or when the kernel's objtool finds fault with the module. Without `replace` (as asked for the first time)
  /// it goes on top of the others.
  const Livepatch& livepatch(const std::string& patch, bool replace = true);

  /// The running guest. It has /probe (guest/probe.c).
  vm::Vm& machine();

  Suite(const Suite&) = delete;
  Suite& operator=(const Suite&) = delete;

 private:
  struct Module {
    explicit Module(const fs::path& path) : object(elf::ElfObject::read(path)), index(object) {}
    elf::ElfObject object;
    elf::SymbolIndex index;
  };
  Suite();

  kernel::KernelSelection selection_;
  kernel::Kernel kernel_;
  elf::ElfObject vmlinux_object_;
  elf::SymbolIndex vmlinux_;
  elf::Exports exports_;
  diff::TableSizes sizes_;
  std::map<std::string, std::unique_ptr<Module>> modules_;
  std::map<std::string, std::unique_ptr<Livepatch>> livepatches_;
  TempDir directory_;
  bool can_read_back_;
  unsigned boots_ = 0;
  bool unbootable_ = false;
  std::unique_ptr<vm::Vm> vm_;  // before the directory it works in
};

/// The module that patches for modules are made for: zram, or where the kernel has none, ext4.
struct ModuleToPatch {
  std::string name;
  std::string read;                  ///< a command that runs its function which module-function.patch changes
  std::string before;                ///< what that prints
  std::string patched_start, known;  ///< the start of what it prints when patched, and a part
};
ModuleToPatch module_to_patch();

/// Path of test/patches/ARCH/NAME.patch (ppc64le/NAME.patch) or test/patches/SERIES/NAME.patch (6.12/NAME.patch) where
/// that architecture or the source of that series differs, else of test/patches/NAME.patch.
fs::path patch_file(const std::string& name);

/// Line number of the one line of `file` with `text` in it, once test/patches/PATCH.patch is applied.
size_t patched_line(const std::string& patch, const std::string& file, const std::string& text);

/// Commands for the guest, as a check.
vm::LivepatchCheck commands(std::vector<std::string> list);

/// Takes a livepatch through its life in the guest, read-back included where the guest shows its memory (before
/// check.while_patched, which must not throw what Catch throws: use CHECK there, not REQUIRE). Fails the test for
/// anything that goes wrong or that differs.
vm::LivepatchCheckResult run_livepatch(const Livepatch& livepatch, vm::LivepatchCheck check);

/// Copies a livepatch into the guest, loads it and waits until it is in force; disables one and unloads it. For tests
/// with several of them. Both fail the test when the guest does not do it.
void load(const Livepatch& livepatch);
void disable_and_unload(const std::string& name);

/// The read-back of a livepatch that is in force now.
ReadBackResult read_back_now(const Livepatch& livepatch);

}  // namespace klp::test
