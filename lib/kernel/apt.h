// Reading Debian's package index and downloading packages with apt, without changing the system.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace klp::kernel {

struct PackageVersion {
  std::string package, version, architecture, depends, sha256;
  uint64_t size = 0;  ///< bytes of the .deb

  /// The name that apt gives the file.
  std::string file_name() const;
};

/// The records of `apt-cache show` that can be downloaded (those of installed packages have no digest), as listed.
std::vector<PackageVersion> parse_package_records(std::string_view text);

/// Less-than of version-like texts: runs of digits by value, the rest by character. "6.1.0-9" < "6.1.0-56".
bool natural_less(std::string_view a, std::string_view b);

/// True when program output tells of a full disk.
bool tells_full_disk(std::string_view output);

/// Throws Error when `output`, of a program that failed at `what`, tells of a full disk, or when next to nothing is
/// free in `directory`, where it writes: then neither the patch nor the kernel is at fault.
void check_disk_space(std::string_view what, std::string_view output, const std::filesystem::path& directory);

/// Errors of all members: apt is missing; interruption.
class Apt {
 public:
  /// `state` is where private lists and apt's cache live; made when missing. The system's lists are read until
  /// use_private_lists() was called.
  explicit Apt(std::filesystem::path state);

  /// All downloadable versions of a package, newest first; none when the lists do not know it.
  std::vector<PackageVersion> versions(const std::string& package) const;

  /// The package names that begin with `prefix`.
  std::vector<std::string> names(const std::string& prefix) const;

  /// Fetches the lists of the system's sources into `state` (when the ones there are older than an hour) and reads
  /// those from now on. Returns false when that was done before. Errors: no network, disk full.
  bool use_private_lists();

  /// Downloads `wanted` into `directory` and returns its path. A file that is already there and whole is kept; one
  /// whose SHA-256 is wrong is fetched once again. Errors: no network, disk full, wrong twice; no longer on the server.
  std::filesystem::path download(const PackageVersion& wanted, const std::filesystem::path& directory);

 private:
  std::vector<std::string> command(const std::string& program) const;
  void write_configuration() const;
  void fetch_once(const PackageVersion& wanted, const std::filesystem::path& directory);

  std::filesystem::path state_;
  bool private_lists_ = false;
};

}  // namespace klp::kernel
