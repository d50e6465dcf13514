#include "loader_kernel.h"

#include "elf/btf.h"
#include "support/files.h"
#include "verify/replay.h"

namespace klp::tools {

LoaderKernel::LoaderKernel(const kernel::Kernel& kernel)
    : kernel_(kernel),
      vmlinux_(elf::ElfObject::read(kernel.vmlinux, elf::ElfObject::Want::symbols_only)),
      exports_(elf::read_symvers(kernel.symvers)),
      config_(kernel::KernelConfig::read(kernel.config)) {
  verify::TargetKernel::Pieces pieces;
  pieces.vmlinux = &vmlinux_;
  pieces.exports = &exports_;
  pieces.config = [this](const std::string& symbol) { return config_.is_set(symbol); };
  try {
    pieces.struct_sizes = elf::struct_sizes(kernel.vmlinux, {"module", "alt_instr"});
  } catch (const Error&) {
    pieces.struct_sizes.clear();  // a kernel without BTF: the checks that need sizes are left out
  }
  pieces.source_has = [this](const std::string& file, const std::string& text) {
    const fs::path path = kernel_.source / file;
    return fs::is_regular_file(path) && read_file(path).find(text) != std::string::npos;
  };
  pieces.module = [this](const std::string& name) { return module(name); };
  target_.emplace(std::move(pieces));
}

const elf::ElfObject* LoaderKernel::module(const std::string& name) {
  const auto [found, fresh] = modules_.try_emplace(name);
  if (fresh) {
    if (const auto path = kernel::find_module(kernel_, name))
      found->second = elf::ElfObject::read(*path, elf::ElfObject::Want::allocated);
  }
  return found->second ? &*found->second : nullptr;
}

void check_loadable(const kernel::Kernel& kernel, const fs::path& module) {
  const std::string content = read_file(module);
  const auto* start = reinterpret_cast<const std::byte*>(content.data());
  const LoaderKernel loader(kernel);
  const auto events = verify::replay(loader.target(), std::vector<std::byte>(start, start + content.size()));
  constexpr const char* kHint = "klp-diff cannot make this livepatch for this kernel: please report it with the patch";
  const verify::LoadResult& load = events.front().result;
  if (load.outcome == verify::Outcome::refused) {
    throw Error(
        fmt::format("the kernel would refuse the finished module ({}): {}", load.step, fmt::join(load.messages, "; ")),
        kHint);
  }
  for (const verify::ReplayedEvent& event : events) {
    if (event.result.faults.empty()) continue;
    throw Error(fmt::format("the kernel would take the finished module, which is wrong ({}): {}", event.what,
                            fmt::join(event.result.faults, "; ")),
                kHint);
  }
}

}  // namespace klp::tools
