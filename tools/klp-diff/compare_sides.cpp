#include "compare_sides.h"

#include <fmt/format.h>

#include <set>

#include "elf/symbols_from_map.h"
#include "support/run.h"

namespace klp::tools {
namespace {

constexpr std::string_view kPacked = ".xz";

bool is_image(const std::string& name) {
  return name == "vmlinux" || name.starts_with("vmlinux-");
}

/// What a directory holds: vmlinux and modules, or, when it has none of them, objects; and its configuration.
Binaries binaries_in(const fs::path& directory, fs::path* config = nullptr) try {
  Binaries images, objects;
  std::set<fs::path> configs;
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    if (!entry.is_regular_file()) continue;
    std::string name = entry.path().filename().string();
    if (name == ".config" || name.starts_with("config-")) configs.insert(entry.path());
    if (name.ends_with(kPacked)) name.resize(name.size() - kPacked.size());
    if (is_image(name))
      images.emplace("vmlinux", entry.path());
    else if (name.ends_with(".ko"))
      images.emplace(name, entry.path());
    else if (name.ends_with(".o") && name == entry.path().filename())
      objects.emplace(entry.path().lexically_relative(directory).string(), entry.path());
  }
  if (config != nullptr && !configs.empty()) *config = *configs.begin();
  return images.empty() ? objects : images;
} catch (const fs::filesystem_error& e) {
  throw Error(fmt::format("cannot read all of the directory {}: {}", directory.string(), e.code().message()));
}

}  // namespace

ComparedSide::ComparedSide(const std::string& name, const fs::path& symbols) {
  if (fs::is_directory(name)) {
    binaries_ = binaries_in(name, &config_);
  } else if (fs::exists(name) && name.ends_with(".deb")) {
    unpacked_.emplace(fs::temp_directory_path(), "unpacked");
    run_checked({"dpkg-deb", "-x", name, unpacked_->path().string()});
    binaries_ = binaries_in(unpacked_->path(), &config_);
  } else if (fs::exists(name)) {
    single_ = true;
    binaries_.emplace(fs::path(name).filename().string(), name);
  } else if (name.find(':') != std::string::npos) {
    add_kernel(name);
  } else {
    throw Error(fmt::format("{}: no such file or directory", name),
                "give two files, directories, .deb packages or kernels (klp-diff kernel list)");
  }
  check_with_hint(name);
  if (!symbols.empty()) add_symbols(symbols);
}

/// A copy of the image with a symbol table takes its place.
void ComparedSide::add_symbols(const fs::path& symbols) {
  const auto image = single_ ? binaries_.begin() : binaries_.find("vmlinux");
  check(image != binaries_.end(), "symbols of {} are given, but there is no vmlinux", symbols.string());
  const std::string bytes = read_file(image->second);
  const auto* data = reinterpret_cast<const std::byte*>(bytes.data());
  const auto result = elf::with_symbols_from({data, bytes.size()}, read_file(symbols), image->second);
  with_symbols_.emplace(fs::temp_directory_path(), "symbols");
  image->second = with_symbols_->path() / image->second.filename();
  write_file_atomically(image->second, {reinterpret_cast<const char*>(result.data()), result.size()});
}

void ComparedSide::add_kernel(const std::string& name) {
  kernel::KernelSelection selection;
  selection.name = name;
  selection.for_comparison = true;
  const kernel::Kernel kernel = kernel::open_kernel(selection);
  debug_files_ = binaries_in(kernel.modules);
  binaries_ = kernel.boot_modules.empty() ? debug_files_ : binaries_in(kernel.boot_modules);
  binaries_["vmlinux"] = debug_files_["vmlinux"] = kernel.vmlinux;
  source_ = kernel.source;
  config_ = kernel.config;
}

void ComparedSide::check_with_hint(const std::string& name) const {
  if (binaries_.empty())
    throw Error(fmt::format("{}: holds no vmlinux, no module and no object", name),
                "give a directory of a build, or of unpacked packages");
}

fs::path ComparedSide::debug_file(const std::string& binary) const {
  const auto found = debug_files_.find(binary);
  return found != debug_files_.end() ? found->second : binaries_.at(binary);
}

elf::ElfObject read_binary(const fs::path& path) {
  using Want = elf::ElfObject::Want;
  if (path.extension() == kPacked) {
    const std::string text = run_checked({"xz", "-dc", path.string()});
    const auto* data = reinterpret_cast<const std::byte*>(text.data());
    return elf::ElfObject::parse(path.string(), {data, data + text.size()}, Want::allocated);
  }
  elf::ElfObject object = elf::ElfObject::read(path, Want::symbols_only);
  return object.type() == 1 ? elf::ElfObject::read(path, Want::allocated) : std::move(object);
}

BinaryPair read_pair(const fs::path& before, const fs::path& after) {
  const bool units = before.extension() == ".o" && after.extension() == ".o";
  if (units) return {elf::ElfObject::read(before), elf::ElfObject::read(after), true};
  return {read_binary(before), read_binary(after), false};
}

diff::ImageDifference compare_pair(const BinaryPair& pair, const diff::LineSources& lines) {
  return pair.units ? diff::compare_units(pair.before, pair.after)
                    : diff::compare_images(pair.before, pair.after, lines);
}

diff::ImageDifference compare_files(const fs::path& before, const fs::path& after, const diff::LineSources& lines) {
  return compare_pair(read_pair(before, after), lines);
}

bool have_equal_bytes(const fs::path& before, const fs::path& after) {
  return fs::file_size(before) == fs::file_size(after) && read_file(before) == read_file(after);
}

}  // namespace klp::tools
