#include "vm/machine.h"

#include "elf/elf_object.h"
#include "kernel/apt.h"
#include "kernel/kernel.h"
#include "kernel/store.h"
#include "support/progress.h"
#include "support/run.h"

namespace klp::vm {
namespace {

/// Error unless it is: it would not start in the guest, and the kernel would panic without a word about why.
void check_static(const fs::path& program) {
  const auto object = elf::ElfObject::read(program, elf::ElfObject::Want::symbols_only);
  if (object.maybe_section(".interp") != nullptr)
    throw Error(fmt::format("{} is not statically linked", program.string()), "apt-get install busybox-static");
}

void fetch_busybox(const std::string& architecture, const fs::path& to) {
  const Progress step("fetching busybox for " + architecture);
  kernel::Apt apt(kernel::cache_root() / "apt", {}, architecture);
  std::vector<kernel::PackageVersion> found;
  do {
    found = apt.versions("busybox-static");
  } while (found.empty() && apt.use_more_lists());
  check(!found.empty(), "the package sources have no busybox-static for {}", architecture);
  const TempDir work(to.parent_path(), "busybox");
  const fs::path deb = apt.download(found.front(), work.path());
  run_checked({"dpkg-deb", "-x", deb.string(), (work.path() / "unpacked").string()});
  for (const char* place : {"bin/busybox", "usr/bin/busybox"}) {
    const fs::path program = work.path() / "unpacked" / place;
    if (!fs::is_regular_file(program)) continue;
    check_static(program);
    fs::rename(program, to);
    return;
  }
  fail("busybox-static for {} has no busybox", architecture);
}

}  // namespace

Machine machine_for(const kernel::Target& target) {
  if (target.arch == "ppc64le") {
    // The emulated processor has none of the protections that pseries guests are promised by default.
    return {"qemu-system-ppc64",
            "qemu-system-ppc",
            {"-M", "pseries,cap-cfpc=broken,cap-sbbc=broken,cap-ibs=broken"},
            "POWER9",
            "hvc0",
            "/dev/hvc1"};
  }
  return {"qemu-system-x86_64", "qemu-system-x86", {}, "max", "ttyS0,115200", "/dev/ttyS1"};
}

fs::path guest_busybox(const kernel::Target& target) {
  if (kernel::is_host(target)) {
    const auto path = find_program("busybox");
    if (!path) throw Error("program 'busybox' is missing", "apt-get install busybox-static");
    check_static(*path);
    return *path;
  }
  const fs::path kept = kernel::cache_root() / "guest" / target.debian / "busybox";
  kernel::make_directories(kept.parent_path());
  const FileLock lock(kernel::lock_file(kept));
  if (!fs::exists(kept)) fetch_busybox(std::string(target.debian), kept);
  return kept;
}

}  // namespace klp::vm
