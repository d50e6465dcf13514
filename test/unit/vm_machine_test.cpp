// What differs between the machines that a guest is started on.
#include <catch2/catch.hpp>

#include <algorithm>

#include "vm/guest_init.h"
#include "vm/initramfs.h"
#include "vm/machine.h"

using namespace klp;
using namespace klp::vm;

TEST_CASE("each architecture has its QEMU, consoles and processor", "[vm]") {
  const Machine x86 = machine_for(kernel::target_named("x86_64")), power = machine_for(kernel::target_named("ppc64"));
  CHECK(x86.program == "qemu-system-x86_64");
  CHECK(power.program == "qemu-system-ppc64");
  CHECK(power.processor == "POWER9");
  CHECK(power.console == "hvc0");
  CHECK_THAT(guest_init_script(x86.channel), Catch::Contains("\nexec <>/dev/ttyS1 >&0"));
  CHECK_THAT(guest_init_script(power.channel), Catch::Contains("\nexec <>/dev/hvc1 >&0"));
}

TEST_CASE("a busybox that cannot be run here makes its own links in the guest", "[vm]") {
  const TempDir directory(fs::temp_directory_path(), "machine-test");
  write_file_atomically(directory.path() / "busybox", "program");
  InitramfsContent content;
  content.busybox = directory.path() / "busybox";
  content.release = "6.1.0-test";
  const std::string without = make_initramfs(content);
  CHECK_THAT(without, Catch::Contains(std::string("bin/sh\0", 7)));
  CHECK_THAT(without, Catch::Contains("busybox --install -s /bin"));
  CHECK(without.find(std::string("bin/mount\0", 10)) == without.npos);
  content.applets = {"sh", "mount"};
  CHECK_THAT(make_initramfs(content), Catch::Contains(std::string("bin/mount\0", 10)));
}
