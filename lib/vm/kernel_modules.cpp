// The kernel's own modules for the guest: which are needed, in which order, and the files that modprobe reads.
#include <algorithm>
#include <map>
#include <sstream>

#include "elf/elf_object.h"
#include "support/run.h"
#include "vm/initramfs.h"

namespace klp::vm {
namespace {

std::string kernel_spelling(std::string name) {
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

/// Module name -> file, for "x.ko" and "x.ko.xz".
std::map<std::string, fs::path> modules_below(const fs::path& directory) {
  std::map<std::string, fs::path> result;
  if (directory.empty() || !fs::is_directory(directory)) return result;
  for (const auto& entry : fs::recursive_directory_iterator(directory, fs::directory_options::skip_permission_denied)) {
    fs::path name = entry.path().filename();
    if (name.extension() == ".xz") name = name.stem();
    if (name.extension() == ".ko") result.emplace(kernel_spelling(name.stem().string()), entry.path());
  }
  return result;
}

std::vector<std::string> builtin_modules(const fs::path& directory) {
  std::vector<std::string> result;
  const fs::path list = directory / "modules.builtin";
  if (directory.empty() || !fs::is_regular_file(list)) return result;
  std::istringstream lines(read_file(list));
  for (std::string line; std::getline(lines, line);) result.push_back(kernel_spelling(fs::path(line).stem().string()));
  return result;
}

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> result;
  for (size_t start = 0; start < text.size();) {
    const size_t end = std::min(text.find(separator, start), text.size());
    if (end > start) result.emplace_back(text.substr(start, end - start));
    start = end + 1;
  }
  return result;
}

/// depends= is "a,b"; softdep= is "pre: a b post: c".
std::vector<std::string> dependencies(const std::string& name, std::string_view ko) {
  std::vector<std::string> result;
  for (const std::string& value : modinfo_values(name, ko, "depends")) {
    for (const std::string& needed : split(value, ',')) result.push_back(kernel_spelling(needed));
  }
  return result;
}

std::vector<std::string> soft_dependencies(const std::string& name, std::string_view ko) {
  std::vector<std::string> result;
  for (const std::string& value : modinfo_values(name, ko, "softdep")) {
    bool before = false;
    for (const std::string& word : split(value, ' ')) {
      if (word == "pre:" || word == "post:") {
        before = word == "pre:";
      } else if (before) {
        result.push_back(kernel_spelling(word));
      }
    }
  }
  return result;
}

class Closure {
 public:
  explicit Closure(const fs::path& directory)
      : directory_(directory), files_(modules_below(directory)), builtin_(builtin_modules(directory)) {}

  void add(const std::string& name, const std::string& needed_by) {
    if (is_done(name) || is_builtin(name)) return;
    const auto file = files_.find(name);
    if (file == files_.end()) {
      throw Error(
          fmt::format("the kernel has no module {}{}", name, needed_by.empty() ? "" : " (needed by " + needed_by + ")"),
          fmt::format("its modules are below {}", directory_.string()));
    }
    check(std::find(open_.begin(), open_.end(), name) == open_.end(), "module {} depends on itself", name);
    open_.push_back(name);
    ShippedModule module = read(name, file->second);
    for (const std::string& needed : dependencies(name, module.content)) need(module, needed);
    for (const std::string& needed : soft_dependencies(name, module.content)) {
      if (files_.contains(needed)) need(module, needed);  // soft: may be missing
    }
    open_.pop_back();
    result.push_back(std::move(module));
  }

  std::vector<ShippedModule> result;

 private:
  bool is_done(const std::string& name) const {
    return std::any_of(result.begin(), result.end(), [&](const ShippedModule& module) { return module.name == name; });
  }
  bool is_builtin(const std::string& name) const {
    return std::find(builtin_.begin(), builtin_.end(), name) != builtin_.end();
  }
  void need(ShippedModule& module, const std::string& needed) {
    add(needed, module.name);
    if (!is_builtin(needed)) module.depends.push_back(needed);
  }
  ShippedModule read(const std::string& name, const fs::path& file) const {
    ShippedModule module;
    module.name = name;
    fs::path relative = file.lexically_relative(directory_);
    const bool packed = relative.extension() == ".xz";
    if (packed) relative.replace_extension();
    RunOptions separate;
    separate.merge_output = false;
    module.content = packed ? run_checked({"xz", "-dc", file.string()}, separate) : read_file(file);
    module.relative_path = relative.string();
    module.aliases = modinfo_values(file.string(), module.content, "alias");
    return module;
  }

  const fs::path& directory_;
  std::map<std::string, fs::path> files_;
  std::vector<std::string> builtin_;
  std::vector<std::string> open_;
};

}  // namespace

std::vector<ShippedModule> module_closure(const fs::path& modules_directory, const std::vector<std::string>& names) {
  if (names.empty()) return {};
  Closure closure(modules_directory);
  for (const std::string& name : names) closure.add(kernel_spelling(name), {});
  return std::move(closure.result);
}

std::string modules_dep(const std::vector<ShippedModule>& modules) {
  std::map<std::string, size_t> index;
  for (size_t i = 0; i < modules.size(); ++i) index[modules[i].name] = i;
  std::string text;
  for (const ShippedModule& module : modules) {
    // Everything reachable; the list of modules is in load order, so later ones are nearer.
    std::vector<bool> needed(modules.size(), false);
    std::vector<const ShippedModule*> todo{&module};
    while (!todo.empty()) {
      const ShippedModule* current = todo.back();
      todo.pop_back();
      for (const std::string& name : current->depends) {
        const size_t i = index.at(name);
        if (!needed[i]) todo.push_back(&modules[i]);
        needed[i] = true;
      }
    }
    text += module.relative_path + ":";
    for (size_t i = modules.size(); i-- > 0;) {
      if (needed[i]) text += " " + modules[i].relative_path;
    }
    text += "\n";
  }
  return text;
}

std::vector<std::string> modinfo_values(const std::string& name, std::string_view ko, std::string_view key) {
  const auto* first = reinterpret_cast<const std::byte*>(ko.data());
  const auto object = elf::ElfObject::parse(name, {first, first + ko.size()}, elf::ElfObject::Want::symbols_only);
  std::vector<std::string> result;
  const elf::Section* section = object.maybe_section(".modinfo");
  if (section == nullptr) return result;
  const std::string_view text(reinterpret_cast<const char*>(section->data.data()), section->data.size());
  for (const std::string& entry : split(text, '\0')) {
    if (entry.size() > key.size() && entry.starts_with(key) && entry[key.size()] == '=') {
      result.push_back(entry.substr(key.size() + 1));
    }
  }
  return result;
}

std::string module_name(const fs::path& file) {
  try {
    const std::vector<std::string> names = modinfo_values(file.string(), read_file(file), "name");
    if (!names.empty()) return names.front();
  } catch (const Error&) {
    // No ELF object: the guest's insmod will say so.
  }
  return kernel_spelling(file.stem().string());
}

}  // namespace klp::vm
