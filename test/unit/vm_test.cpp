// What a VM refuses before QEMU starts. Real boots are in test/integration.
#include <catch2/catch.hpp>

#include "support/files.h"
#include "vm/vm.h"

using namespace klp::vm;

TEST_CASE("a kernel that cannot be booted is an error that says why", "[vm]") {
  const klp::TempDir directory(klp::fs::temp_directory_path(), "vm-test");
  VmOptions options;
  options.directory = directory.path();
  klp::kernel::Kernel kernel;
  kernel.release = "6.1.0-test";
  kernel.arch = "x86_64";
  CHECK_THROWS_WITH(Vm(kernel, options), Catch::Contains("6.1.0-test has no bootable image"));
  kernel.image = directory.path() / "vmlinuz";
  CHECK_THROWS_WITH(Vm(kernel, options), Catch::Contains("vmlinuz is missing"));
  kernel.arch = "sparc";
  CHECK_THROWS_WITH(Vm(kernel, options), Catch::Contains("sparc"));
}

TEST_CASE("a guest's fault is status 1, and shows the console after the reason", "[vm]") {
  const GuestFault fault("it died", "line 1\nline 2");
  CHECK(fault.status() == klp::ExitStatus::refused);
  CHECK(fault.reason() == "it died");
  CHECK(std::string(fault.what()) == "it died; the console's last lines:\nline 1\nline 2");
  CHECK(std::string(GuestFault("refused").what()) == "refused");
}
