// Reading Debian's package index and downloading packages with apt, without changing the system.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "support/error.h"

namespace klp::kernel {

/// A package that the lists have and the server has not (any more).
class PackageGone : public Error {
 public:
  using Error::Error;
};

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
///
/// Three sets of package lists, each larger than the one before: the system's own, as they are; those of the system's
/// sources, fetched anew; and those of suites, whose addresses are the mirrors of the system's sources.
class Apt {
 public:
  /// `state` is where private lists and apt's cache live; made when missing. The system's lists are read until
  /// use_more_lists() was called. `suites` are asked for beside the known ones (bookworm, bullseye and their
  /// -security); `architecture` is Debian's name for it (empty: the system's own); of another one only the suites are
  /// read.
  explicit Apt(std::filesystem::path state, std::vector<std::string> suites = {}, std::string architecture = {});

  /// All downloadable versions of a package, newest first; none when the lists do not know it.
  std::vector<PackageVersion> versions(const std::string& package) const;

  /// The package names that begin with `prefix`.
  std::vector<std::string> names(const std::string& prefix) const;

  /// Goes on to the next set of lists and fetches it (when the ones there are older than an hour). Returns false when
  /// there is no further one. Errors: no network, disk full.
  bool use_more_lists();

  /// Downloads `wanted` into `directory` and returns its path. A file that is already there and whole is kept; one
  /// whose SHA-256 is wrong is fetched once again. Errors: no network, disk full, wrong twice; PackageGone.
  std::filesystem::path download(const PackageVersion& wanted, const std::filesystem::path& directory);

 private:
  enum class Lists { system, sources, suites };

  std::vector<std::string> command(const std::string& program) const;
  std::string set_name() const;
  std::filesystem::path configuration() const;
  void write_configuration() const;
  std::string suite_sources() const;
  void update_lists();
  void fetch_once(const PackageVersion& wanted, const std::filesystem::path& directory);

  std::filesystem::path state_;
  std::vector<std::string> suites_;
  std::string architecture_;
  Lists lists_ = Lists::system;
};

/// deb822 text for the suites, from the lines "URI RELEASE ORIGIN" that apt says of the system's sources: -security
/// suites from the first URI of such a one of origin Debian, the others from that of the first other one. apt does not
/// know the origin of lists that were never fetched ("$(ORIGIN)"). Empty when there is no such URI.
std::string suite_sources_text(const std::string& system_sources, const std::vector<std::string>& suites);

}  // namespace klp::kernel
