// BTF is read by libbpf, which finds .BTF by itself; the rest is a short look at the section headers with libelf. The
// banner is searched in .rodata only, where every kernel keeps linux_banner.
#include "elf/btf.h"

#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <gelf.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <string_view>

#include "support/error.h"

namespace klp::elf {
namespace {

class OpenElf {
 public:
  explicit OpenElf(const std::filesystem::path& path) {
    elf_version(EV_CURRENT);
    fd_ = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    check(fd_ >= 0, "cannot open {}: {}", path.string(), std::strerror(errno));
    elf_ = elf_begin(fd_, ELF_C_READ_MMAP, nullptr);
    const bool good = elf_ != nullptr && elf_kind(elf_) == ELF_K_ELF;
    if (!good || gelf_getclass(elf_) != ELFCLASS64) {
      close_all();
      fail("{} is not a 64-bit ELF file (empty, truncated, or of another kind)", path.string());
    }
  }
  ~OpenElf() { close_all(); }
  OpenElf(const OpenElf&) = delete;
  OpenElf& operator=(const OpenElf&) = delete;
  Elf* get() const { return elf_; }

 private:
  void close_all() {
    if (elf_ != nullptr) elf_end(elf_);
    if (fd_ >= 0) close(fd_);
  }
  int fd_ = -1;
  Elf* elf_ = nullptr;
};

std::string read_build_id(Elf_Data* data) {
  GElf_Nhdr note;
  size_t name_offset = 0, descriptor_offset = 0;
  for (size_t offset = 0; (offset = gelf_getnote(data, offset, &note, &name_offset, &descriptor_offset)) > 0;) {
    const char* bytes = static_cast<const char*>(data->d_buf);
    if (note.n_type != NT_GNU_BUILD_ID || note.n_namesz != 4 || std::memcmp(bytes + name_offset, "GNU", 4) != 0)
      continue;
    std::string text;
    for (size_t i = 0; i < note.n_descsz; ++i) {
      text += fmt::format("{:02x}", static_cast<unsigned char>(bytes[descriptor_offset + i]));
    }
    return text;
  }
  return {};
}

std::string find_release(Elf_Data* data) {
  constexpr std::string_view banner = "Linux version ";
  const std::string_view bytes(static_cast<const char*>(data->d_buf), data->d_size);
  for (size_t at = bytes.find(banner); at != bytes.npos; at = bytes.find(banner, at + 1)) {
    const size_t start = at + banner.size();
    if (start >= bytes.size() || bytes[start] < '0' || bytes[start] > '9') continue;
    const size_t end = bytes.find_first_of(std::string_view(" \0", 2), start);
    if (end != bytes.npos) return std::string(bytes.substr(start, end - start));
  }
  return {};
}

void look_at_section(Elf_Scn* section, const GElf_Shdr& header, std::string_view name, ImageFacts& facts) {
  if (header.sh_type == SHT_SYMTAB) facts.has_symbols = header.sh_size > sizeof(Elf64_Sym);
  if (name == ".debug_info") facts.has_debug_info = true;
  if (name == ".BTF") facts.has_btf = true;
  const bool note = header.sh_type == SHT_NOTE && facts.build_id.empty();
  const bool rodata = name == ".rodata" && header.sh_type == SHT_PROGBITS;
  if (!note && !rodata) return;
  Elf_Data* data = elf_rawdata(section, nullptr);
  if (data == nullptr || data->d_buf == nullptr) return;
  if (note) {
    data->d_type = header.sh_addralign == 8 ? ELF_T_NHDR8 : ELF_T_NHDR;
    facts.build_id = read_build_id(data);
  } else {
    facts.release = find_release(data);
  }
}

}  // namespace

std::map<std::string, uint64_t> struct_sizes(const std::filesystem::path& image,
                                             const std::vector<std::string>& names) {
  libbpf_set_print(nullptr);
  const std::unique_ptr<btf, decltype(&btf__free)> types(btf__parse(image.c_str(), nullptr), btf__free);
  check(libbpf_get_error(types.get()) == 0 && types, "{} has no readable .BTF section", image.string());
  std::map<std::string, uint64_t> sizes;
  for (const std::string& name : names) {
    const int32_t id = btf__find_by_name_kind(types.get(), name.c_str(), BTF_KIND_STRUCT);
    if (id > 0) sizes[name] = static_cast<uint64_t>(btf__resolve_size(types.get(), static_cast<uint32_t>(id)));
  }
  return sizes;
}

ImageFacts read_image_facts(const std::filesystem::path& image) {
  const OpenElf elf(image);
  GElf_Ehdr header;
  size_t names = 0;
  check(gelf_getehdr(elf.get(), &header) != nullptr && elf_getshdrstrndx(elf.get(), &names) == 0,
        "{}: the ELF header is broken: {}", image.string(), elf_errmsg(-1));
  ImageFacts facts;
  facts.machine = header.e_machine;
  size_t sections = 0;
  for (Elf_Scn* section = nullptr; (section = elf_nextscn(elf.get(), section)) != nullptr; ++sections) {
    GElf_Shdr section_header;
    check(gelf_getshdr(section, &section_header) != nullptr, "{}: a section header is broken", image.string());
    const char* name = elf_strptr(elf.get(), names, section_header.sh_name);
    check(name != nullptr, "{}: section {} has a broken name (truncated file?)", image.string(), sections + 1);
    look_at_section(section, section_header, name, facts);
  }
  check(sections > 0, "{} has no sections (truncated file?)", image.string());
  return facts;
}

}  // namespace klp::elf
