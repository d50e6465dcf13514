// klp-diff kernel list|fetch|show|remove: the kernels in the cache.
#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <memory>

#include "commands.h"
#include "kernel/index.h"
#include "kernel/kernel.h"
#include "options.h"

namespace klp::tools {
namespace {

std::string in_megabytes(uint64_t bytes) {
  return fmt::format("{} MB", (bytes + 500'000) / 1'000'000);
}

void list() {
  for (const kernel::FetchedKernel& known : kernel::list_kernels()) {
    fmt::print("{:<40} {:>9}  {}\n", known.name, in_megabytes(kernel::kernel_bytes(known.name)),
               known.complete ? "complete" : "incomplete: fetch it again to go on");
  }
}

size_t count_modules(const kernel::Kernel& kernel) {
  size_t count = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(kernel.modules)) {
    count += entry.path().extension() == ".ko" ? 1 : 0;
  }
  return count;
}

void show(const kernel::KernelSelection& selection) {
  const kernel::Kernel kernel = kernel::open_kernel(selection);
  const kernel::KernelIndex index = kernel::KernelIndex::open(kernel);
  const auto line = [](const char* what, const std::string& value) { fmt::print("{:<13} {}\n", what, value); };
  line("name", kernel.name);
  line("release", kernel.release);
  line("architecture", kernel.arch);
  line("compiler", fmt::format("{}: {}", kernel.compiler, kernel.compiler_text));
  line("build id", kernel.build_id);
  line("livepatch", "yes");  // open_kernel() refuses the others
  line("units", fmt::format("{}", index.units().size()));
  line("modules", fmt::format("{}", count_modules(kernel)));
  line("source", kernel.source.string());
  line("config", kernel.config.string());
  line("symvers", kernel.symvers.string());
  line("vmlinux", kernel.vmlinux.string());
  line("module files", kernel.modules.string());
  line("image", kernel.image.string());
  line("boot modules", kernel.boot_modules.string());
  line("cache", kernel.cache.string());
}

void show_unit(const kernel::KernelSelection& selection, const std::string& name) {
  const kernel::KernelIndex index = kernel::KernelIndex::open(kernel::open_kernel(selection));
  const auto found = index.units().find(name);
  if (found == index.units().end())
    throw Error(fmt::format("this kernel does not build {}", name), "units end in .o, e.g. fs/proc/meminfo.o");
  fmt::print("{}\n", found->second.command);
  for (const std::string& object : found->second.objects) fmt::print("part of {}\n", object);
}

/// For scripts: unit, source and what it is linked into, between tabs.
void show_units(const kernel::KernelSelection& selection) {
  const kernel::KernelIndex index = kernel::KernelIndex::open(kernel::open_kernel(selection));
  for (const auto& [name, unit] : index.units()) {
    fmt::print("{}\t{}\t{}\n", name, unit.source, fmt::join(unit.objects, " "));
  }
}

}  // namespace

void add_kernel_command(CLI::App& app, const CommonOptions&, ExitStatus& status) {
  CLI::App* command =
      app.add_subcommand("kernel", "list, fetch, show or remove the kernels that patches can be built for");
  command->require_subcommand(1);
  const auto selection = std::make_shared<kernel::KernelSelection>();
  const auto name = std::make_shared<std::string>();

  command->add_subcommand("list", "the fetched kernels: name, size on disk, whether complete")->callback([&status] {
    list();
    status = ExitStatus::ok;
  });
  CLI::App* fetch =
      command->add_subcommand("fetch", "download, unpack, prepare and index a Debian kernel; goes on where it stopped");
  fetch->add_option("NAME", *name, "debian:6.1.0-56-cloud-amd64, or debian:6.1-cloud-amd64 for the newest")->required();
  fetch->callback([name] { fmt::print("{}\n", kernel::fetch_kernel(*name)); });

  CLI::App* shown = command->add_subcommand("show", "what is known of a kernel");
  shown->add_option("NAME", selection->name, "the kernel's name; may be left out for one given by paths");
  const auto unit = std::make_shared<std::string>();
  shown->add_option("--unit", *unit,
                    "print the command that compiles this unit (fs/proc/meminfo.o) and what it is linked into");
  const auto units = std::make_shared<bool>(false);
  shown
      ->add_flag("--units", *units,
                 "list all units: unit, source, and what it is linked into (by blanks), between tabs")
      ->excludes("--unit");
  add_kernel_options(*shown, *selection);
  shown->callback([selection, unit, units] {
    if (*units)
      show_units(*selection);
    else
      unit->empty() ? show(*selection) : show_unit(*selection, *unit);
  });

  CLI::App* removed = command->add_subcommand("remove", "remove a kernel and all that was derived from it");
  removed->add_option("NAME", *name, "the kernel's name")->required();
  removed->callback([name] { kernel::remove_kernel(*name); });
}

}  // namespace klp::tools
