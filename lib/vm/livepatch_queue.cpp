// Many livepatches through one guest.
//
// Which modules can be loaded is only known by trying: some have no .ko in the package, some initialise only with their
// device there. A module that was loaded for one livepatch is unloaded after it (livepatch_check), so that the next one
// meets the guest as it was after the boot.
#include "vm/livepatch_queue.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>

#include "elf/livepatch_content.h"
#include "support/error.h"
#include "support/log.h"
#include "support/progress.h"
#include "vm/initramfs.h"

namespace klp::vm {
namespace {

class Queue {
 public:
  Queue(const kernel::Kernel& kernel, const std::vector<fs::path>& livepatches, QueueOptions options)
      : kernel_(kernel), options_(std::move(options)) {
    options_.vm.files.insert(options_.vm.files.end(), livepatches.begin(), livepatches.end());
    for (const fs::path& livepatch : livepatches) find_modules(livepatch);
  }

  QueueResult take(const fs::path& livepatch) {
    boot();
    QueueResult result;
    result.livepatch = livepatch;
    LivepatchCheck check;
    check.modules = {livepatch};
    check.transition_limit = check.command_limit = options_.limit;
    try {
      load_patched_modules(result);
      check.modules_before = result.loaded;
      check.while_patched = [&](Vm& vm) { check_objects(vm, result); };
      result.check = check_livepatch(*vm_, check);
    } catch (const GuestFault& fault) {
      result.check.good = false;
      result.check.failure = fault.reason();
    }
    if (!result.check.good) vm_.reset();
    return result;
  }

 private:
  void find_modules(const fs::path& livepatch);
  void boot();
  void load_patched_modules(QueueResult& result);
  void check_objects(Vm& vm, const QueueResult& result);

  const kernel::Kernel& kernel_;
  QueueOptions options_;
  std::map<fs::path, std::vector<std::string>> patched_;
  std::map<std::string, std::string> missing_;  ///< modules that the kernel's package does not have: the reason
  std::set<std::string> present_;
  std::unique_ptr<Vm> vm_;
};

/// What the guest shall have in its initramfs; a module that is not there keeps only its own livepatches from applying.
void Queue::find_modules(const fs::path& livepatch) {
  std::vector<std::string>& names = patched_[livepatch] = patched_modules(livepatch);
  for (const std::string& name : names) {
    if (missing_.contains(name) || present_.contains(name)) continue;
    try {
      module_closure(kernel_.boot_modules.empty() ? kernel_.modules : kernel_.boot_modules, {name});
      options_.vm.kernel_modules.push_back(name);
      present_.insert(name);
    } catch (const Error& error) {
      missing_.emplace(name, error.what());
    }
  }
}

void Queue::boot() {
  if (vm_ != nullptr && vm_->alive()) return;
  const Progress progress("booting " + kernel_.release);
  vm_.reset();  // the old one's files go with it
  vm_ = std::make_unique<Vm>(kernel_, options_.vm);
  for (const std::string& line : trouble_in(vm_->new_kernel_messages())) {
    log("boot").warn("before any livepatch, the kernel said: {}", line);
  }
}

void Queue::load_patched_modules(QueueResult& result) {
  for (const std::string& name : patched_.at(result.livepatch)) {
    const auto missing = missing_.find(name);
    if (missing != missing_.end()) {
      result.late.emplace_back(name, missing->second);
      continue;
    }
    const GuestResult said = vm_->run("modprobe " + name, options_.limit);
    if (said.status == 0) {
      result.loaded.push_back(name);
    } else {
      result.late.emplace_back(name, one_line(said.output));
    }
  }
}

/// The livepatch core tells for each object whether it is patched (from Linux 6.1 on).
void Queue::check_objects(Vm& vm, const QueueResult& result) {
  const std::string directory = "/sys/kernel/livepatch/" + module_name(result.livepatch) + "/";
  for (const std::string& name : result.loaded) {
    const std::string patched = directory + name + "/patched";
    const GuestResult said = vm.run(fmt::format("[ ! -e {0} ] || [ $(cat {0}) = 1 ]", patched), options_.limit);
    if (said.status != 0) throw GuestFault(fmt::format("module {} is loaded, but not patched", name));
  }
}

}  // namespace

std::vector<std::string> patched_modules(const fs::path& livepatch) {
  const elf::LivepatchContent content = elf::read_livepatch(livepatch);
  std::set<std::string> names;
  for (const elf::ReplacedFunction& function : content.replaced) names.insert(function.object);
  for (const elf::LivepatchCallback& callback : content.callbacks) names.insert(callback.object);
  for (const elf::KlpSection& section : content.klp_sections) names.insert(section.object);
  names.erase("vmlinux");
  return {names.begin(), names.end()};
}

void run_livepatch_queue(const kernel::Kernel& kernel, const std::vector<fs::path>& livepatches,
                         const QueueOptions& options, const std::function<void(const QueueResult&)>& on_result) {
  Queue queue(kernel, livepatches, options);
  for (const fs::path& livepatch : livepatches) on_result(queue.take(livepatch));
}

std::string one_line(std::string_view text) {
  std::string result;
  for (const char c : text) {
    const bool blank = c == '\n' || c == '\t' || c == '\r' || c == ' ';
    if (!blank) {
      result += c;
    } else if (!result.empty() && result.back() != ' ') {
      result += ' ';
    }
  }
  if (!result.empty() && result.back() == ' ') result.pop_back();
  return result;
}

}  // namespace klp::vm
