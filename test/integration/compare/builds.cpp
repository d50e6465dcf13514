#include "builds.h"

#include <algorithm>
#include <cstdlib>

#include "diff/image_form.h"
#include "support/error.h"
#include "support/run.h"

namespace klp::test {
namespace {

using elf::ElfObject;

/// Not linked into vmlinux or a module as they are compiled: other address spaces, other stages of the boot.
bool is_special(const std::string& unit) {
  for (const char* part : {"/boot/", "/vdso", "realmode/", "purgatory/", "efi/libstub", "scripts/", "tools/", "usr/",
                           "lib/vdso", ".mod.o", "/asm-offsets", "asn1.o", "samples/"}) {
    if (unit.find(part) != std::string::npos) return true;
  }
  return false;
}

std::string kernel_name() {
  const char* name = std::getenv("KLP_TEST_KERNEL");
  return name != nullptr ? name : "debian:6.1-cloud-amd64";
}

kernel::Kernel open() {
  kernel::KernelSelection selection;
  selection.name = kernel_name();
  return kernel::open_kernel(selection);
}

/// What `ld` has to be given for an object: a function or variable for each name that it lacks.
void write_stubs(const std::set<std::string>& names, bool backwards, const fs::path& object) {
  std::string text = ".section .text.stubs,\"ax\"\n";
  const auto add = [&](const std::string& name) {
    text += fmt::format(".globl \"{0}\"\n.type \"{0}\",@function\n\"{0}\": .skip {1},0x90\n.size \"{0}\",{1}\n", name,
                        backwards ? 8192 : 4096);
  };
  if (backwards)
    std::for_each(names.rbegin(), names.rend(), add);
  else
    std::for_each(names.begin(), names.end(), add);
  const fs::path source = object.string() + ".s";
  write_file_atomically(source, text);
  run_checked({"gcc", "-c", "-o", object.string(), source.string()});
}

void add_undefined(const fs::path& object, std::set<std::string>& names) {
  const ElfObject read = ElfObject::read(object, ElfObject::Want::symbols_only);
  for (const elf::Symbol& s : read.symbols()) {
    if (s.is_undefined() && !s.name.empty()) names.emplace(s.name);
  }
}

void add_names(const std::vector<diff::ImageChange>& changes, std::string_view way, std::set<std::string>& names,
               std::string& reasons) {
  for (const diff::ImageChange& c : changes) {
    // Descriptors of messages belong to their functions, whose change `build` tells.
    if (!c.name.starts_with("__UNIQUE_ID_")) names.insert(diff::stable_name(c.name));
    reasons += fmt::format("{}: {} {}: {}\n", way, static_cast<int>(c.kind), c.name, c.reason);
  }
}

}  // namespace

Builds::Builds()
    : kernel_(open()), index_(kernel::KernelIndex::open(kernel_)), work_(fs::temp_directory_path(), "klp-truth") {}

std::vector<std::string> Builds::spread(size_t count) const {
  std::vector<std::string> all, chosen;
  for (const auto& [name, unit] : index_.units()) {
    if (unit.source.ends_with(".c") && name.ends_with(".o") && unit.objects.size() == 1 && !is_special(name))
      all.push_back(name);
  }
  for (size_t i = 0; i < count; ++i) chosen.push_back(all[(2 * i + 1) * all.size() / (2 * count)]);
  return chosen;
}

std::string Builds::source(const std::string& file) const {
  return read_file(kernel_.source / file);
}

fs::path Builds::compile(const std::string& unit, const std::string& name,
                         const std::vector<std::pair<std::string, std::string>>& files,
                         const std::string& options) const {
  kernel::Unit recorded = index_.units().at(unit);
  if (!options.empty()) {
    const size_t at = recorded.command.find(" -c -o ");
    check(at != std::string::npos, "{}: its command has no \" -c -o \"", unit);
    recorded.command.insert(at, " " + options);
  }
  fs::path root = kernel_.source;
  if (!files.empty()) {
    root = work_.path() / (name + ".tree");
    kernel::ShadowTree shadow(kernel_.source, root);
    for (const auto& [file, content] : files) shadow.write(file, content);
    shadow.make_real_on_the_way(recorded.source);
  }
  fs::path object = work_.path() / name;
  const kernel::ReplayResult result = kernel::replay(recorded, root, kernel_.source, object);
  check(result.good, "{} does not compile:\n{}", unit, result.output);
  return object;
}

fs::path Builds::reordered(const fs::path& object) const {
  const ElfObject read = ElfObject::read(object, ElfObject::Want::symbols_only);
  std::string script = "SECTIONS {\n";
  for (size_t i = read.sections().size(); i-- > 1;) {
    const elf::Section& s = read.sections()[i];
    if (s.is_alloc() && s.is_exec() && s.name.starts_with(".text"))
      script += fmt::format("  \"{0}\" 0 : {{ *(\"{0}\") }}\n", s.name);
  }
  const fs::path file = object.string() + ".lds", result = object.string() + ".reordered.o";
  write_file_atomically(file, script + "}\n");
  run_checked({"ld", "-r", "-T", file.string(), "-o", result.string(), object.string()});
  return result;
}

std::pair<fs::path, fs::path> Builds::linked(const fs::path& before, const fs::path& after) const {
  std::set<std::string> names;
  add_undefined(before, names);
  add_undefined(after, names);
  std::pair<fs::path, fs::path> result;
  for (const bool second : {false, true}) {
    const fs::path& object = second ? after : before;
    std::set<std::string> lacking = names;
    const ElfObject read = ElfObject::read(object, ElfObject::Want::symbols_only);
    for (const elf::Symbol& s : read.symbols()) {
      if (s.is_defined() && !s.is_local()) lacking.erase(std::string(s.name));
    }
    const fs::path stubs = object.string() + (second ? ".stubs-b.o" : ".stubs-a.o");
    const fs::path image = object.string() + (second ? ".image-b" : ".image-a");
    write_stubs(lacking, second, stubs);
    std::vector<std::string> inputs = {object.string(), stubs.string()};
    if (second) std::swap(inputs[0], inputs[1]);
    run_checked({"ld", "-o", image.string(),
                 second ? "-Ttext-segment=0xffffffff81400000" : "-Ttext-segment=0xffffffff81000000", "-e", "0",
                 "--no-relax", "-z", "noseparate-code", inputs[0], inputs[1]});
    (second ? result.second : result.first) = image;
  }
  return result;
}

fs::path Builds::module(const fs::path& object, const std::vector<fs::path>& others) const {
  fs::path result = object.string() + ".ko";
  std::vector<std::string> command = {"ld", "-r", "-o", result.string(), object.string()};
  for (const fs::path& other : others) command.push_back(other.string());
  run_checked(command);
  return result;
}

Said compare_all_ways(const Builds& builds, const fs::path& before, const fs::path& after) {
  Said said;
  const auto add = [&](const diff::ImageDifference& d, std::string_view way, std::set<std::string>& names) {
    add_names(d.functions, way, names, said.reasons);
    add_names(d.variables, way, names, said.reasons);
    for (const auto& [name, count] : d.noise) said.noise[name] += count;
  };
  add(diff::compare_units(ElfObject::read(before), ElfObject::read(after)), "unit", said.units);
  const auto lines = [](const fs::path& object) -> diff::LineSource {
    return [object] { return std::make_shared<const elf::SourceLines>(ElfObject::read(object)); };
  };
  add(diff::compare_images(ElfObject::read(before), ElfObject::read(after), {lines(before), lines(after)}), "object",
      said.objects);
  const auto [a, b] = builds.linked(before, after);
  add(diff::compare_images(ElfObject::read(a, ElfObject::Want::symbols_only),
                           ElfObject::read(b, ElfObject::Want::symbols_only)),
      "image", said.images);
  return said;
}

}  // namespace klp::test
