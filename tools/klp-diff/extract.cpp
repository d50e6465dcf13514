// klp-diff extract: the engine alone, on one pair of objects.
#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <memory>
#include <optional>

#include "commands.h"
#include "diff/emit.h"
#include "diff/engine.h"
#include "kernel/index.h"
#include "kernel/kernel.h"
#include "options.h"
#include "report_fill.h"

namespace klp::tools {
namespace {

constexpr uint16_t kRelocatable = 1;  // ET_REL

struct ExtractCommand {
  std::filesystem::path original, patched, symbols, output;
  std::string object = "vmlinux";
  std::vector<std::string> table_sizes;
  kernel::KernelSelection kernel;
  bool plan = false;
  std::string json;
};

diff::TableSizes parse_table_sizes(const std::vector<std::string>& specs) {
  diff::TableSizes sizes;
  for (const std::string& spec : specs) {
    const size_t equals = spec.find('=');
    char* end = nullptr;
    const unsigned long bytes = equals == std::string::npos ? 0 : std::strtoul(spec.c_str() + equals + 1, &end, 0);
    if (bytes == 0 || bytes > 4096 || *end != '\0')
      throw Error(fmt::format("--table-size {}: expected SECTION=BYTES", spec), "", ExitStatus::usage);
    sizes.sections[spec.substr(0, equals)] = bytes;
  }
  return sizes;
}

/// The binaries an object pair is held against: of a kernel, of a file, or the original object itself.
struct Binaries {
  std::optional<elf::ElfObject> vmlinux_object, shipped_object;
  std::optional<elf::SymbolIndex> vmlinux, shipped;
  elf::Exports exports;

  const elf::SymbolIndex& patched_binary() const { return shipped ? *shipped : *vmlinux; }
};

/// A linked image is compared by its addresses, an object file by its relocations.
void read_vmlinux(Binaries& to, const std::filesystem::path& path) {
  to.vmlinux_object = elf::ElfObject::read(path, elf::ElfObject::Want::symbols_only);
  if (to.vmlinux_object->type() == kRelocatable) to.vmlinux_object = elf::ElfObject::read(path);
  to.vmlinux.emplace(*to.vmlinux_object);
}

void read_shipped(Binaries& to, const std::filesystem::path& path) {
  to.shipped_object = elf::ElfObject::read(path, elf::ElfObject::Want::allocated);
  to.shipped.emplace(*to.shipped_object);
}

void read_binaries(const ExtractCommand& command, Binaries& to, diff::TableSizes& sizes) {
  if (!command.kernel.name.empty()) {
    const kernel::Kernel kernel = kernel::open_kernel(command.kernel);
    read_vmlinux(to, kernel.vmlinux);
    to.exports = elf::read_symvers(kernel.symvers);
    for (const auto& [name, size] : kernel::read_struct_sizes(kernel)) sizes.structs.emplace(name, size);
    if (command.object != "vmlinux") {
      const auto module = kernel::find_module(kernel, command.object);
      check(module.has_value(), "the kernel has no module {}", command.object);
      read_shipped(to, *module);
    }
    return;
  }
  if (!command.kernel.symvers.empty()) to.exports = elf::read_symvers(command.kernel.symvers);
  if (!command.kernel.vmlinux.empty()) read_vmlinux(to, command.kernel.vmlinux);
  const std::filesystem::path& symbols = command.symbols.empty() ? command.original : command.symbols;
  if (!to.vmlinux && command.object == "vmlinux") {
    read_vmlinux(to, symbols);
  } else if (!to.vmlinux || command.object != "vmlinux") {
    read_shipped(to, symbols);
    if (!to.vmlinux) to.vmlinux = to.shipped;
  }
}

report::Report make_report(const diff::UnitInput& input, const diff::UnitResult& result) {
  report::Report report;
  report.command = "extract";
  report.version = KLP_VERSION;
  report.units.push_back(report_unit(input.unit, input.object, result));
  report.findings = result.findings.sorted();
  report.outcome = result.findings.has_refusal() ? report::Outcome::refused
                   : result.changed              ? report::Outcome::ok
                                                 : report::Outcome::unchanged;
  return report;
}

ExitStatus run(const ExtractCommand& command, const CommonOptions& common) {
  report::PhaseClock clock;
  clock.begin("read");
  diff::UnitInput input;
  input.table_sizes = parse_table_sizes(command.table_sizes);
  const auto read = [](const std::filesystem::path& path) {
    return with_hint("give whole x86-64 object files (.o), compiled with -ffunction-sections -fdata-sections",
                     [&] { return elf::ElfObject::read(path); });
  };
  const elf::ElfObject original = read(command.original);
  const elf::ElfObject patched = read(command.patched);
  Binaries binaries;
  with_hint("give the files of the running kernel, or name one with -k",
            [&] { read_binaries(command, binaries, input.table_sizes); });
  clock.begin("diff");
  input.original = &original;
  input.patched = &patched;
  input.carry_new_globals = true;
  input.partial_symbols = binaries.vmlinux->object().type() == kRelocatable;
  input.unit = command.patched.filename().string();
  input.object = command.object;
  input.shipped = &binaries.patched_binary();
  input.vmlinux = &*binaries.vmlinux;
  input.exports = &binaries.exports;
  const diff::UnitResult result = with_hint(
      "give the objects of one source file before and after a change, made by one compiler with the same options",
      [&] { return diff::analyse(input); });

  report::Report report = make_report(input, result);
  if (report.outcome == report::Outcome::ok && command.plan) {
    fmt::print("{}", diff::dump(result.plan));
    return ExitStatus::ok;
  }
  if (report.outcome == report::Outcome::ok && !command.output.empty()) {
    clock.begin("write");
    diff::emit(result.plan).write(command.output);
  }
  report.timing_ms = clock.finish();
  show_report(report, command.json, use_color(common, 1), common.verbose);
  return status_of(report.outcome);
}

}  // namespace

void add_extract_command(CLI::App& app, const CommonOptions& common, ExitStatus& status) {
  CLI::App* sub = app.add_subcommand("extract", "compare one pair of object files and write the patch object");
  const auto command = std::make_shared<ExtractCommand>();
  sub->add_option("ORIGINAL", command->original, "object compiled from the original source")->required();
  sub->add_option("PATCHED", command->patched, "object compiled from the patched source")->required();
  add_kernel_options(*sub, command->kernel);
  sub->add_option("--object", command->object, "what the objects are linked into: vmlinux or a module's name");
  sub->add_option("--symbols", command->symbols,
                  "ELF file with the running symbols: vmlinux, .ko or .o (default: ORIGINAL itself)");
  sub->add_option("--table-size", command->table_sizes, "entry size of a kernel table, SECTION=BYTES; repeatable")
      ->allow_extra_args(false);
  sub->add_option("-o,--output", command->output, "the patch object to write");
  sub->add_flag("--plan", command->plan, "print the plan instead of a report");
  sub->add_option("--json", command->json, "write the report as JSON to this file; - for standard output");
  sub->callback([command, &common, &status] {
    try {
      status = run(*command, common);
    } catch (const Error& error) {
      show_failure("extract", command->json, error);
      throw;
    }
  });
}

}  // namespace klp::tools
