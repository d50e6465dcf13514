// apt does the network, the signatures and the resuming. It is given a configuration file of its own, with its cache
// and, where the system's lists do not do, its lists in our directory; hooks of the system are cleared, because they
// may delete files.
#include "kernel/apt.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>

#include "support/files.h"
#include "support/log.h"
#include "support/progress.h"
#include "support/run.h"

namespace klp::kernel {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

void set_field(PackageVersion& record, std::string_view name, std::string value) {
  if (name == "Package")
    record.package = std::move(value);
  else if (name == "Version")
    record.version = std::move(value);
  else if (name == "Architecture")
    record.architecture = std::move(value);
  else if (name == "Depends")
    record.depends = std::move(value);
  else if (name == "SHA256")
    record.sha256 = std::move(value);
  else if (name == "Size")
    record.size = std::strtoull(value.c_str(), nullptr, 10);
}

bool is_whole(const fs::path& file, const PackageVersion& wanted) {
  std::error_code error;
  return fs::file_size(file, error) == wanted.size && !error && sha256_file(file) == wanted.sha256;
}

std::string tail(const std::string& output) {
  const size_t keep = 800;
  return output.size() <= keep ? output : "..." + output.substr(output.size() - keep);
}

[[noreturn]] void fail_apt(const std::string& what, const std::string& output, const fs::path& place) {
  if (tells_full_disk(output)) {
    throw Error(fmt::format("{}: No space left on device ({})", what, place.string()),
                "free some space (a kernel needs about 4 GB), or set KLP_DIFF_CACHE to a directory on another disk");
  }
  throw Error(fmt::format("{}:\n{}", what, tail(output)),
              "check the network and the package sources (apt-get update must work); what is already fetched is kept");
}

}  // namespace

std::string PackageVersion::file_name() const {
  std::string escaped;
  for (char c : version) escaped += c == ':' ? std::string("%3a") : std::string(1, c);
  return fmt::format("{}_{}_{}.deb", package, escaped, architecture);
}

bool tells_full_disk(std::string_view output) {
  return output.find("No space left on device") != output.npos || output.find("enough free space") != output.npos ||
         output.find("not all data was written to the output") != output.npos ||  // the kernel's fixdep
         output.find("Disk quota exceeded") != output.npos;
}

void check_disk_space(std::string_view what, std::string_view output, const fs::path& directory) {
  constexpr uintmax_t kNextToNothing = 64 * 1024;  // programs that lose a write to a full disk do not all say so
  std::error_code error;
  const fs::space_info space = fs::space(directory, error);
  if (!tells_full_disk(output) && (error || space.available >= kNextToNothing)) return;
  throw Error(fmt::format("{}: No space left on device", what),
              "free some space, or choose another disk with --work-dir, TMPDIR or KLP_DIFF_CACHE");
}

bool natural_less(std::string_view a, std::string_view b) {
  size_t i = 0, j = 0;
  while (i < a.size() && j < b.size()) {
    if (!is_digit(a[i]) || !is_digit(b[j])) {
      if (a[i] != b[j]) return a[i] < b[j];
      ++i, ++j;
      continue;
    }
    while (i < a.size() && a[i] == '0') ++i;
    while (j < b.size() && b[j] == '0') ++j;
    size_t m = i, n = j;
    while (m < a.size() && is_digit(a[m])) ++m;
    while (n < b.size() && is_digit(b[n])) ++n;
    if (m - i != n - j) return m - i < n - j;
    const int order = a.substr(i, m - i).compare(b.substr(j, n - j));
    if (order != 0) return order < 0;
    i = m, j = n;
  }
  return i == a.size() && j < b.size();
}

std::vector<PackageVersion> parse_package_records(std::string_view text) {
  std::vector<PackageVersion> records;
  PackageVersion record;
  const auto finish = [&] {
    if (!record.package.empty() && !record.version.empty() && record.sha256.size() == 64) records.push_back(record);
    record = {};
  };
  for (size_t start = 0; start < text.size();) {
    const size_t end = std::min(text.find('\n', start), text.size());
    const std::string_view line = text.substr(start, end - start);
    const size_t colon = line.find(": ");
    if (line.empty())
      finish();
    else if (line[0] != ' ' && colon != line.npos)
      set_field(record, line.substr(0, colon), std::string(line.substr(colon + 2)));
    start = end + 1;
  }
  finish();
  return records;
}

Apt::Apt(fs::path state) : state_(std::move(state)) {
  for (const char* part : {"lists/partial", "cache/archives/partial"}) {
    std::error_code error;
    fs::create_directories(state_ / part, error);
    check(!error, "cannot make {}: {}", (state_ / part).string(), error.message());
  }
  write_configuration();
}

void Apt::write_configuration() const {
  std::string text =
      "#clear APT::Update::Pre-Invoke;\n#clear APT::Update::Post-Invoke;\n#clear APT::Update::Post-Invoke-Success;\n"
      "APT::Sandbox::User \"root\";\nAcquire::Retries \"2\";\nAcquire::http::Timeout \"30\";\nAcquire::https::Timeout "
      "\"30\";\n";
  // Two configurations, two caches: apt makes one anew when the lists it was made from are others.
  const char* kind = private_lists_ ? "private" : "system";
  text += fmt::format(
      "Dir::Cache \"{}\";\nDir::Cache::pkgcache \"{}.pkgcache\";\nDir::Cache::srcpkgcache \"{}.srcpkgcache\";\n",
      (state_ / "cache").string(), kind, kind);
  if (private_lists_) text += fmt::format("Dir::State \"{}\";\n", state_.string());
  const fs::path file = state_ / (private_lists_ ? "private.conf" : "system.conf");
  if (!fs::exists(file) || read_file(file) != text) write_file_atomically(file, text);
}

std::vector<std::string> Apt::command(const std::string& program) const {
  return {program, "-c", (state_ / (private_lists_ ? "private.conf" : "system.conf")).string(), "-q"};
}

std::vector<PackageVersion> Apt::versions(const std::string& package) const {
  std::vector<std::string> line = command("apt-cache");
  line.insert(line.end(), {"show", package});
  RunOptions options;
  options.merge_output = false;
  std::vector<PackageVersion> found = parse_package_records(run(line, options).output);
  found.erase(std::remove_if(found.begin(), found.end(), [&](const auto& record) { return record.package != package; }),
              found.end());
  std::stable_sort(found.begin(), found.end(),
                   [](const auto& a, const auto& b) { return natural_less(b.version, a.version); });
  return found;
}

std::vector<std::string> Apt::names(const std::string& prefix) const {
  std::vector<std::string> line = command("apt-cache");
  line.insert(line.end(), {"pkgnames", prefix});
  RunOptions options;
  options.merge_output = false;
  const std::string output = run(line, options).output;
  std::vector<std::string> found;
  for (size_t start = 0; start < output.size();) {
    const size_t end = std::min(output.find('\n', start), output.size());
    if (end > start) found.push_back(output.substr(start, end - start));
    start = end + 1;
  }
  return found;
}

bool Apt::use_private_lists() {
  if (private_lists_) return false;
  private_lists_ = true;
  write_configuration();
  const FileLock lock(state_ / "lock");
  const fs::path stamp = state_ / "updated";
  std::error_code error;
  const auto age = fs::file_time_type::clock::now() - fs::last_write_time(stamp, error);
  if (!error && age < std::chrono::hours(1)) return true;
  Progress step("updating package lists");
  std::vector<std::string> line = command("apt-get");
  line.push_back("update");
  const RunResult result = run(line);
  // A source that has nothing to do with kernels may fail; what counts is whether the packages are found afterwards.
  if (result.status == 0 && result.output.find("W: Failed to fetch") == std::string::npos) {
    write_file_atomically(stamp, "");
  } else if (versions("linux-base").empty()) {
    fail_apt("cannot fetch the package lists", result.output, state_);
  }
  return true;
}

void Apt::fetch_once(const PackageVersion& wanted, const fs::path& directory) {
  std::vector<std::string> line = command("apt-get");
  line.insert(line.end(), {"download", fmt::format("{}:{}={}", wanted.package, wanted.architecture, wanted.version)});
  if (wanted.architecture == "all") line.back() = fmt::format("{}={}", wanted.package, wanted.version);
  RunOptions options;
  options.directory = directory;
  RunResult result = run(line, options);
  const bool gone =
      result.output.find("404 ") != std::string::npos || result.output.find("was not found") != std::string::npos;
  if (result.status != 0 && gone && use_private_lists()) {
    line[2] = command("apt-get")[2];
    result = run(line, options);
  }
  if (result.status != 0 && result.output.find("Hash Sum mismatch") == std::string::npos) {
    fail_apt(fmt::format("cannot download {} {}", wanted.package, wanted.version), result.output, directory);
  }
}

fs::path Apt::download(const PackageVersion& wanted, const fs::path& directory) {
  const fs::path file = directory / wanted.file_name();
  if (is_whole(file, wanted)) return file;
  const Progress step(fmt::format("downloading {} ({} MB)", wanted.package, (wanted.size + 999'999) / 1'000'000));
  std::error_code ignored;
  // A part that an interrupted fetch left is resumed; what comes out of a bad part does not count as an attempt.
  for (int attempt = fs::exists(file) ? 0 : 1; attempt <= 2; ++attempt) {
    try {
      fetch_once(wanted, directory);
    } catch (const Error& error) {
      if (tells_full_disk(error.what()) || fs::is_empty(file, ignored)) fs::remove(file, ignored);
      throw;
    }
    if (is_whole(file, wanted)) return file;
    fs::remove(file, ignored);
    log("fetch").warn("{} is broken (SHA-256 or size differs from the package index)", wanted.file_name());
  }
  throw Error(
      fmt::format("{} {} came broken twice: its SHA-256 is not {}", wanted.package, wanted.version, wanted.sha256),
      "a proxy or mirror delivers a wrong file; try another mirror, or later");
}

}  // namespace klp::kernel
