// klp-diff kernel list|fetch|show|remove: the kernels in the cache.
#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <memory>

#include "commands.h"
#include "kernel/config.h"
#include "kernel/index.h"
#include "kernel/kernel.h"
#include "kernel/survey.h"
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

void print_line(const char* what, const std::string& value) {
  fmt::print("{:<13} {}\n", what, value);
}

/// A kernel that is not fetched: what would be downloaded, and all that it lacks.
ExitStatus show_survey(const kernel::KernelSelection& selection, const std::vector<std::string>& suites) {
  const kernel::Survey survey = kernel::survey_kernel(selection.name, suites, selection.toolchain_root.string());
  print_line("name", survey.name);
  print_line("fetched", "no");
  for (const auto& [role, package] : survey.settled.packages)
    print_line(role.c_str(), fmt::format("{} {} ({})", package.package, package.version, in_megabytes(package.size)));
  print_line("compiler", survey.compiler.empty() ? "unknown" : survey.compiler);
  for (const kernel::PackageVersion& package : survey.toolchain)
    print_line("toolchain", fmt::format("{} {} ({})", package.package, package.version, in_megabytes(package.size)));
  print_line("download", in_megabytes(survey.download_bytes()));
  std::vector<std::string> lacks = survey.lacks;
  if (!survey.no_livepatches.empty()) lacks.push_back(survey.no_livepatches);
  print_line("livepatch", lacks.empty() ? "yes" : "no:");
  for (const std::string& lack : lacks) fmt::print("  {}\n", lack);
  if (survey.lacks.empty() && !lacks.empty()) fmt::print("  it can be fetched for comparisons\n");
  return lacks.empty() ? ExitStatus::ok : ExitStatus::failed;
}

bool by_paths(const kernel::KernelSelection& selection) {
  return !selection.source.empty() || !selection.config.empty() || !selection.symvers.empty() ||
         !selection.vmlinux.empty() || !selection.modules.empty();
}

ExitStatus show(kernel::KernelSelection selection) {
  selection.for_comparison = true;
  const kernel::Kernel kernel = kernel::open_kernel(selection);
  const std::string lack = kernel::without_livepatches(kernel::KernelConfig::read(kernel.config));
  const kernel::KernelIndex index = kernel::KernelIndex::open(kernel);
  const auto& line = print_line;
  line("name", kernel.name);
  line("release", kernel.release);
  line("architecture", kernel.arch);
  line("compiler", fmt::format("{}: {}", kernel.compiler, kernel.compiler_text));
  line("build id", kernel.build_id);
  line("livepatch", lack.empty() ? "yes" : "no: " + lack);
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
  return lack.empty() ? ExitStatus::ok : ExitStatus::failed;
}

void show_unit(kernel::KernelSelection selection, const std::string& name) {
  selection.for_comparison = true;
  const kernel::KernelIndex index = kernel::KernelIndex::open(kernel::open_kernel(selection));
  const auto found = index.units().find(name);
  if (found == index.units().end())
    throw Error(fmt::format("this kernel does not build {}", name), "units end in .o, e.g. fs/proc/meminfo.o");
  fmt::print("{}\n", found->second.command);
  for (const std::string& object : found->second.objects) fmt::print("part of {}\n", object);
}

/// For scripts: unit, source and what it is linked into, between tabs.
void show_units(kernel::KernelSelection selection) {
  selection.for_comparison = true;
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
  const auto options = std::make_shared<kernel::FetchOptions>();
  constexpr const char* suite_help =
      "also read this suite of Debian, e.g. trixie-backports; repeatable. bookworm, bullseye and their -security are "
      "read without being named";
  fetch->add_option("--suite", options->suites, suite_help)->allow_extra_args(false);
  fetch->add_option("--toolchain-root", options->toolchain_root,
                    "directory that the packages of the kernel's compiler and binutils are unpacked in, instead of "
                    "fetching them when the host's compiler is another one");
  fetch->callback([name, options] { fmt::print("{}\n", kernel::fetch_kernel(*name, *options)); });

  CLI::App* shown =
      command->add_subcommand("show", "what is known of a kernel, and what it lacks for livepatching (then status 4)");
  shown->add_option("--suite", options->suites, suite_help)->allow_extra_args(false);
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
  shown->callback([selection, unit, units, options, &status] {
    const bool fetched =
        by_paths(*selection) || selection->name.empty() || !kernel::fetched_name(selection->name).empty();
    if (!fetched && !*units && unit->empty())
      status = show_survey(*selection, options->suites);
    else if (*units)
      show_units(*selection);
    else if (unit->empty())
      status = show(*selection);
    else
      show_unit(*selection, *unit);
  });

  CLI::App* removed = command->add_subcommand("remove", "remove a kernel and all that was derived from it");
  removed->add_option("NAME", *name, "the kernel's name")->required();
  removed->callback([name] { kernel::remove_kernel(*name); });
}

}  // namespace klp::tools
