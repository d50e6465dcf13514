// Two plain files in kernel.cache, because JSON of this size takes longer to read than a unit to compile:
//   index     "klp-diff-index 2", then lines of tab-separated fields:
//             struct NAME SIZE | unit NAME SOURCE OBJECT,OBJECT COMMAND | compiling FILE UNIT,UNIT
//   includes  lines FILE, tab, ranges of unit numbers in the order of the unit lines: "0-120,122"
// The index is written last: when it is there and has this format, both are whole.
#include "kernel/index.h"

#include <algorithm>
#include <charconv>
#include <fstream>

#include "elf/btf.h"
#include "kernel/dry_run.h"
#include "kernel/include_scan.h"
#include "kernel/store.h"
#include "support/files.h"
#include "support/progress.h"

namespace klp::kernel {
namespace {

constexpr std::string_view kFormat = "klp-diff-index 2\n";

fs::path index_file(const Kernel& kernel) {
  return kernel.cache / "index";
}
fs::path includes_file(const Kernel& kernel) {
  return kernel.cache / "includes";
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (size_t start = 0;;) {
    const size_t end = text.find(separator, start);
    parts.push_back(text.substr(start, end == text.npos ? text.npos : end - start));
    if (end == text.npos) return parts;
    start = end + 1;
  }
}

std::vector<std::string> split_names(std::string_view text) {
  std::vector<std::string> names;
  for (std::string_view part : split(text, ',')) {
    if (!part.empty()) names.emplace_back(part);
  }
  return names;
}

std::string join(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ",") + name;
  return text;
}

uint64_t to_number(std::string_view text) {
  uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::string ranges(const std::vector<uint32_t>& numbers) {
  std::string text;
  for (size_t i = 0; i < numbers.size();) {
    size_t last = i;
    while (last + 1 < numbers.size() && numbers[last + 1] == numbers[last] + 1) ++last;
    if (!text.empty()) text += ',';
    text += last == i ? fmt::format("{}", numbers[i]) : fmt::format("{}-{}", numbers[i], numbers[last]);
    i = last + 1;
  }
  return text;
}

bool is_included_source(const std::string& file) {
  return file.ends_with(".c") || file.ends_with(".S") || file.ends_with(".inc");
}

bool is_current(const Kernel& kernel) {
  if (!fs::exists(index_file(kernel)) || !fs::exists(includes_file(kernel))) return false;
  std::ifstream in(index_file(kernel));
  std::string line;
  return std::getline(in, line) && line + '\n' == kFormat;
}

}  // namespace

/// Writing and reading the two files.
struct IndexFile {
  static std::string head(const std::map<std::string, Unit>& units, const std::map<std::string, uint64_t>& sizes) {
    std::string text(kFormat);
    for (const auto& [name, size] : sizes) text += fmt::format("struct\t{}\t{}\n", name, size);
    for (const auto& [name, unit] : units) {
      check((name + unit.source + unit.command).find_first_of("\t\n") == std::string::npos,
            "unit {}: its command has a tab or a line end", name);
      text += fmt::format("unit\t{}\t{}\t{}\t{}\n", name, unit.source, join(unit.objects), unit.command);
    }
    return text;
  }

  static void add_line(KernelIndex& index, std::string_view line) {
    const std::vector<std::string_view> fields = split(line, '\t');
    if (fields[0] == "struct" && fields.size() == 3) {
      index.struct_sizes_[std::string(fields[1])] = to_number(fields[2]);
    } else if (fields[0] == "unit" && fields.size() == 5) {
      Unit unit{std::string(fields[1]), std::string(fields[2]), std::string(fields[4]), split_names(fields[3])};
      index.units_.emplace_hint(index.units_.end(), unit.unit, std::move(unit));
    } else if (fields[0] == "compiling" && fields.size() == 3) {
      index.compiling_units_[std::string(fields[1])] = split_names(fields[2]);
    } else {
      throw Error("a line of the kernel's index is damaged",
                  "remove the files index and includes in the kernel's cache directory");
    }
  }

  static KernelIndex load(const Kernel& kernel) {
    const std::string content = read_file(index_file(kernel));
    KernelIndex index;
    index.includes_file_ = includes_file(kernel);
    for (size_t start = kFormat.size(); start < content.size();) {
      const size_t end = std::min(content.find('\n', start), content.size());
      add_line(index, std::string_view(content).substr(start, end - start));
      start = end + 1;
    }
    for (const auto& [name, unit] : index.units_) index.compiling_units_[unit.source].push_back(name);
    for (auto& [file, names] : index.compiling_units_) {
      std::sort(names.begin(), names.end());
      names.erase(std::unique(names.begin(), names.end()), names.end());
    }
    return index;
  }

  /// The struct lines are the first ones.
  static std::map<std::string, uint64_t> load_struct_sizes(const Kernel& kernel) {
    std::ifstream in(index_file(kernel));
    KernelIndex index;
    std::string line;
    std::getline(in, line);
    while (std::getline(in, line) && line.starts_with("struct\t")) add_line(index, line);
    check(!in.bad(), "cannot read {}", index_file(kernel).string());
    return std::move(index.struct_sizes_);
  }

  /// The unit numbers of a line of `includes` as names.
  static std::vector<std::string> names_of(const KernelIndex& index, std::string_view text) {
    std::vector<const std::string*> names;
    for (const auto& entry : index.units_) names.push_back(&entry.first);
    std::vector<std::string> result;
    for (std::string_view range : split(text, ',')) {
      const size_t dash = range.find('-');
      const uint64_t first = to_number(range.substr(0, dash));
      const uint64_t last = dash == range.npos ? first : to_number(range.substr(dash + 1));
      for (uint64_t i = first; i <= last && i < names.size(); ++i) result.push_back(*names[i]);
    }
    return result;
  }

  /// The unit numbers of a line of `includes`, as positions; `position` has one for each unit number, -1 for none.
  static std::vector<uint32_t> positions_of(std::string_view text, const std::vector<int64_t>& position) {
    std::vector<uint32_t> result;
    for (std::string_view range : split(text, ',')) {
      const size_t dash = range.find('-');
      const uint64_t first = to_number(range.substr(0, dash));
      const uint64_t last = dash == range.npos ? first : to_number(range.substr(dash + 1));
      for (uint64_t i = first; i <= last && i < position.size(); ++i) {
        if (position[i] >= 0) result.push_back(static_cast<uint32_t>(position[i]));
      }
    }
    std::sort(result.begin(), result.end());
    return result;
  }
};

void make_index(const Kernel& kernel) {
  make_directories(kernel.cache);
  const FileLock lock(kernel.cache / "index.lock");
  if (is_current(kernel)) return;
  const DryRun dry = dry_run(kernel);
  generate_sources(kernel, dry.generated);
  const std::map<std::string, Unit>& units = dry.units;
  const Progress step("indexing the source");
  const std::vector<std::string> structs = {"alt_instr",        "bug_entry",           "exception_table_entry",
                                            "jump_entry",       "paravirt_patch_site", "orc_entry",
                                            "static_call_site", "tracepoint",          "_ddebug",
                                            "module",           "static_key",          "kernel_symbol"};
  const auto sizes = elf::read_image_facts(kernel.vmlinux).has_btf
                         ? elf::struct_sizes(kernel.vmlinux, structs)
                         : elf::struct_sizes_from_dwarf(kernel.vmlinux, structs);
  const auto reached = scan_includes(kernel.source, units);
  std::vector<const std::string*> names;
  for (const auto& entry : units) names.push_back(&entry.first);
  std::string text = IndexFile::head(units, sizes), includes;
  for (const auto& [file, numbers] : reached) {
    includes += fmt::format("{}\t{}\n", file, ranges(numbers));
    if (!is_included_source(file)) continue;
    std::vector<std::string> including;
    for (const uint32_t number : numbers) including.push_back(*names[number]);
    text += fmt::format("compiling\t{}\t{}\n", file, join(including));
  }
  write_file_atomically(includes_file(kernel), includes);
  write_file_atomically(index_file(kernel), text);
}

KernelIndex KernelIndex::open(const Kernel& kernel) {
  if (!is_current(kernel)) make_index(kernel);
  return IndexFile::load(kernel);
}

std::map<std::string, uint64_t> read_struct_sizes(const Kernel& kernel) {
  if (!is_current(kernel)) make_index(kernel);
  return IndexFile::load_struct_sizes(kernel);
}

std::vector<std::string> KernelIndex::units_compiling(const std::string& file) const {
  const auto found = compiling_units_.find(file);
  return found == compiling_units_.end() ? std::vector<std::string>() : found->second;
}

std::vector<std::string> KernelIndex::units_including(const std::string& file) const {
  if (includes_file_.empty()) {
    const auto found = including_units_.find(file);
    return found == including_units_.end() ? std::vector<std::string>() : found->second;
  }
  std::string content(1, '\n');
  content += read_file(includes_file_);
  const std::string wanted = "\n" + file + "\t";
  const size_t at = content.find(wanted);
  if (at == content.npos) return {};
  const size_t start = at + wanted.size();
  return IndexFile::names_of(*this, std::string_view(content).substr(start, content.find('\n', start) - start));
}

std::map<std::string, std::vector<uint32_t>> KernelIndex::files_included_by(
    const std::vector<const Unit*>& units) const {
  std::map<std::string, int64_t> by_name;
  for (size_t i = 0; i < units.size(); ++i) by_name[units[i]->unit] = static_cast<int64_t>(i);
  std::map<std::string, std::vector<uint32_t>> result;
  if (includes_file_.empty()) {
    for (const auto& [file, names] : including_units_) {
      for (const std::string& name : names) {
        if (by_name.count(name) != 0) result[file].push_back(static_cast<uint32_t>(by_name[name]));
      }
    }
    for (auto& [file, positions] : result) std::sort(positions.begin(), positions.end());
    return result;
  }
  std::vector<int64_t> position;
  for (const auto& entry : units_) {
    const auto found = by_name.find(entry.first);
    position.push_back(found == by_name.end() ? -1 : found->second);
  }
  const std::string content = read_file(includes_file_);
  for (std::string_view line : split(content, '\n')) {
    const size_t tab = line.find('\t');
    if (tab == line.npos) continue;
    std::vector<uint32_t> positions = IndexFile::positions_of(line.substr(tab + 1), position);
    if (!positions.empty()) result.emplace(line.substr(0, tab), std::move(positions));
  }
  return result;
}

uint64_t KernelIndex::struct_size(const std::string& name) const {
  const auto found = struct_sizes_.find(name);
  return found == struct_sizes_.end() ? 0 : found->second;
}

}  // namespace klp::kernel
