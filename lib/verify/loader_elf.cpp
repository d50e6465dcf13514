// What is checked of the file before anything of it is used: elf_validity_check and setup_load_info of 5.10-6.1,
// elf_validity_cache_copy of 6.12. The checks are the same but for their order.
#include <algorithm>
#include <array>

#include "verify/load_state.h"

namespace klp::verify {
namespace {

constexpr uint16_t kRelocatable = 1;
constexpr std::string_view kNameless = "(missing .modinfo section or name field)";

bool has_magic(std::span<const std::byte> file) {
  constexpr std::string_view kMagic = "\177ELF";
  return std::equal(kMagic.begin(), kMagic.end(), file.begin(),
                    [](char a, std::byte b) { return static_cast<std::byte>(a) == b; });
}

int check_header(LoadState& s) {
  if (s.file.size() < kHeaderSize)
    return s.refuse(ENOEXEC, "Invalid ELF header len", fmt::format("Invalid ELF header len {}", s.file.size()));
  s.header = raw_header(s.file);
  const RawHeader& h = s.header;
  if (!has_magic(s.file)) return s.refuse(ENOEXEC, "Invalid ELF header magic", "Invalid ELF header magic: != \177ELF");
  if (h.type != kRelocatable)
    return s.refuse(ENOEXEC, "Invalid ELF header type",
                    fmt::format("Invalid ELF header type: {} != {}", h.type, kRelocatable));
  if (h.machine != s.kernel.vmlinux().machine())
    return s.refuse(ENOEXEC, "Invalid architecture in ELF header",
                    fmt::format("Invalid architecture in ELF header: {}", h.machine));
  s.arch = &arch::arch_for(h.machine);
  s.machine = machine_for(h.machine);
  if (h.section_entry_size != kSectionHeaderSize)
    return s.refuse(ENOEXEC, "Invalid ELF section header size", "Invalid ELF section header size");
  if (h.sections_offset >= s.file.size() || h.section_count * kSectionHeaderSize > s.file.size() - h.sections_offset)
    return s.refuse(ENOEXEC, "Invalid ELF section header overflow", "Invalid ELF section header overflow");
  for (uint64_t i = 0; i < h.section_count; ++i)
    s.sections.emplace_back().header = raw_section(s.file, h.sections_offset + i * kSectionHeaderSize);
  return 0;
}

int check_first_section(LoadState& s) {
  if (s.sections.empty()) throw Unpredictable("the header of section 0 is read, and there is none");
  const RawSection& first = s.sections.front().header;
  if (first.type == 0 && first.size == 0 && first.address == 0) return 0;
  return s.refuse(ENOEXEC, "ELF Spec violation: section 0",
                  fmt::format("ELF Spec violation: section 0 type({})!=SH_NULL or non-zero len or addr",
                              static_cast<int32_t>(first.type)));
}

bool in_file(const LoadState& s, const RawSection& section) {
  const uint64_t end = section.offset + section.size;
  return end >= section.offset && end <= s.file.size();
}

int check_names_index(LoadState& s) {
  const RawHeader& h = s.header;
  if (h.names_index != 0 && h.names_index < h.section_count) return 0;
  return s.refuse(ENOEXEC, "Invalid ELF section name index",
                  fmt::format("Invalid ELF section name index: {} || e_shstrndx ({}) >= e_shnum ({})", h.names_index,
                              h.names_index, h.section_count));
}

/// The names end with a NUL, so that every name has an end.
int check_names(LoadState& s) {
  s.names = s.header.names_index;
  const RawSection& names = s.sections[s.names].header;
  if (s.rules().unique_sections_first && names.type != elf::kShtStrtab)
    return s.refuse(ENOEXEC, "Invalid ELF section name table type",
                    fmt::format("Invalid ELF section name table type: {}", names.type));
  if (!s.rules().unique_sections_first && !in_file(s, names))
    return s.refuse(ENOEXEC, "Invalid ELF section hdr(type",
                    fmt::format("Invalid ELF section hdr(type {})", names.type));
  if (names.size == 0 && !s.kernel.has_text("empty section name table"))
    throw Unpredictable("the byte in front of an empty section name table is looked at");  // 5.10
  if (names.size == 0) return s.refuse(ENOEXEC, "empty section name table", "empty section name table");
  if (raw_part(s.file, names.offset + names.size - 1, 1).front() != std::byte{0})
    return s.refuse(ENOEXEC, "ELF Spec violation: section name table isn't null",
                    "ELF Spec violation: section name table isn't null terminated");
  return 0;
}

int bad_symtab_link(LoadState& s, uint32_t link) {
  return s.refuse(ENOEXEC, "Invalid ELF sh_link",
                  fmt::format("Invalid ELF sh_link!=SHN_UNDEF({0}) or (sh_link({0}) >= hdr->e_shnum({1})",
                              static_cast<int32_t>(link), s.header.section_count));
}

int check_bounds(LoadState& s) {
  const uint64_t names_size = s.sections[s.names].header.size;
  for (size_t i = 1; i < s.sections.size(); ++i) {
    const RawSection& section = s.sections[i].header;
    if (section.type == 0 || section.type == elf::kShtNobits) continue;
    const bool linked = section.link != 0 && section.link < s.sections.size();
    if (!s.rules().unique_sections_first && section.type == elf::kShtSymtab && !linked)
      return bad_symtab_link(s, section.link);
    if (!in_file(s, section))
      return s.refuse(ENOEXEC, "Invalid ELF section in module",
                      fmt::format("Invalid ELF section in module (section {} type {})", i, section.type));
    if (!s.rules().unique_sections_first && (section.flags & elf::kShfAlloc) != 0 && section.name >= names_size)
      return s.refuse(ENOEXEC, "Invalid ELF section name in module",
                      fmt::format("Invalid ELF section name in module (section {} type {})", i, section.type));
  }
  return 0;
}

/// The sections that are looked for by type and name: 5.10-6.1, the first that fits.
int find_first(LoadState& s) {
  s.modinfo = s.find_section(".modinfo");
  if (s.modinfo != 0) s.info_name = maybe_modinfo(s, "name");
  for (uint32_t i = 1; i < s.sections.size() && s.symtab == 0; ++i) {
    if (s.sections[i].header.type == elf::kShtSymtab) s.symtab = i;
  }
  const std::string name = s.info_name.empty() ? std::string(kNameless) : s.info_name;
  if (s.symtab == 0)
    return s.refuse(ENOEXEC, "%s: module has no symbols", fmt::format("{}: module has no symbols (stripped?)", name));
  s.strtab = s.sections[s.symtab].header.link;
  s.this_module = s.find_section(".gnu.linkonce.this_module");
  if (s.this_module == 0)
    return s.refuse(ENOEXEC, "%s: No module found in object", fmt::format("{}: No module found in object", name));
  return 0;
}

/// How many sections have the name, and one of them (find_any_unique_sec: also those that are not allocated).
size_t count_named(const LoadState& s, std::string_view name, uint32_t& index) {
  size_t count = 0;
  for (uint32_t i = 1; i < s.sections.size(); ++i) {
    if (s.section_name(s.sections[i]) != name) continue;
    ++count;
    index = i;
  }
  return count;
}

int check_this_module(LoadState& s, const std::string& name) {
  const auto wrong = [&](std::string_view what, std::string_view text) {
    return s.refuse(ENOEXEC, what, fmt::format("module {}: {}", name, text));
  };
  if (count_named(s, ".gnu.linkonce.this_module", s.this_module) != 1)
    return wrong("module %s: Exactly one .gnu.linkonce", "Exactly one .gnu.linkonce.this_module section must exist.");
  const RawSection& section = s.sections[s.this_module].header;
  if (section.type == elf::kShtNobits)
    return wrong("module %s: .gnu.linkonce.this_module section must have",
                 ".gnu.linkonce.this_module section must have a size set");
  if ((section.flags & elf::kShfAlloc) == 0)
    return wrong("module %s: .gnu.linkonce.this_module must occupy",
                 ".gnu.linkonce.this_module must occupy memory during process execution");
  if (s.rules().module_struct_size != 0 && section.size != s.rules().module_struct_size)
    return wrong("module %s: .gnu.linkonce.this_module section size",
                 ".gnu.linkonce.this_module section size must match the kernel's built struct module size at run time");
  return 0;
}

/// 6.12: each of them once.
int find_unique(LoadState& s) {
  const uint64_t names_size = s.sections[s.names].header.size;
  for (size_t i = 0; i < s.sections.size(); ++i) {
    const RawSection& section = s.sections[i].header;
    if (section.type != 0 && section.name >= names_size)
      return s.refuse(ENOEXEC, "Invalid ELF section name in module",
                      fmt::format("Invalid ELF section name in module (section {} type {})", i, section.type));
  }
  const size_t infos = count_named(s, ".modinfo", s.modinfo);
  if (infos > 1) return s.refuse(ENOEXEC, "Only one .modinfo section", "Only one .modinfo section must exist.");
  if (infos == 1) s.info_name = maybe_modinfo(s, "name");
  const std::string name = s.info_name.empty() ? std::string(kNameless) : s.info_name;
  if (const int error = check_this_module(s, name)) return error;
  size_t tables = 0;
  for (uint32_t i = 1; i < s.sections.size(); ++i) {
    if (s.sections[i].header.type != elf::kShtSymtab) continue;
    ++tables;
    s.symtab = i;
  }
  if (tables != 1)
    return s.refuse(ENOEXEC, "%s: module has no symbols", fmt::format("{}: module has no symbols (stripped?)", name));
  s.strtab = s.sections[s.symtab].header.link;
  if (s.strtab == 0 || s.strtab >= s.sections.size()) return bad_symtab_link(s, s.strtab);
  const uint32_t type = s.sections[s.strtab].header.type;
  if (type == elf::kShtStrtab) return 0;
  return s.refuse(ENOEXEC, "Invalid ELF symbol string table type",
                  fmt::format("Invalid ELF symbol string table type: {}", type));
}

/// struct module begins with its state and a list; its name follows (include/linux/module.h, 5.4-7.3).
constexpr uint64_t kNameOffset = 24;

}  // namespace

int check_elf(LoadState& s) {
  using Steps = std::array<int (*)(LoadState&), 5>;
  const Steps old = {check_header, check_names_index, check_names, check_first_section, check_bounds};
  const Steps later = {check_header, check_first_section, check_bounds, check_names_index, check_names};
  const bool unique = s.rules().unique_sections_first;
  for (const auto& step : unique ? later : old) {
    if (const int error = step(s))
      return s.refuse(error, "Module has invalid ELF structures", "Module has invalid ELF structures");  // 5.10
  }
  if (const int error = unique ? find_unique(s) : find_first(s)) return error;
  const RawSection& module = s.sections[s.this_module].header;
  if (module.size < s.rules().module_struct_size)
    throw Unpredictable(fmt::format("struct module has {} bytes in this kernel, and .gnu.linkonce.this_module has {}",
                                    s.rules().module_struct_size, module.size));
  s.module_name = raw_string(s.file, module.offset + kNameOffset);
  if (s.info_name.empty()) s.info_name = s.module_name;
  s.versions = s.find_section("__versions");
  s.percpu = s.find_section(".data..percpu");
  return 0;
}

}  // namespace klp::verify
