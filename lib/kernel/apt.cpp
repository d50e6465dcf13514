// apt does the network, the signatures and the resuming. It is given a configuration file of its own, with its cache
// and, where the system's lists do not do, its lists in our directory; hooks of the system are cleared, because they
// may delete files. Other suites and architectures are a list of sources of our own: the system's are never changed.
#include "kernel/apt.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <sstream>

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

/// True when apt says that the package is not (or no longer) where the lists say.
bool gone(const std::string& output) {
  return output.find("404 ") != std::string::npos || output.find("was not found") != std::string::npos ||
         output.find("Unable to locate") != std::string::npos;
}

constexpr size_t kKnownSuites = 4;

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

Apt::Apt(fs::path state, std::vector<std::string> suites, std::string architecture)
    : state_(std::move(state)), architecture_(std::move(architecture)) {
  for (const std::string codename : {"bookworm", "bullseye"}) {
    suites_.push_back(codename);
    suites_.push_back(codename + "-security");
  }
  for (std::string& suite : suites) {
    if (std::find(suites_.begin(), suites_.end(), suite) == suites_.end()) suites_.push_back(std::move(suite));
  }
  if (architecture_.empty())
    write_configuration();
  else
    use_more_lists();
}

/// "system", "private", "suites+trixie-backports"; also the name of the configuration file and of apt's caches, for apt
/// makes a cache anew when the lists it was made from are others.
std::string Apt::set_name() const {
  if (lists_ == Lists::system) return "system";
  if (lists_ == Lists::sources) return "private";
  std::string name = "suites";
  for (size_t i = kKnownSuites; i < suites_.size(); ++i) name += "+" + suites_[i];
  return architecture_.empty() ? name : name + "+" + architecture_;
}

fs::path Apt::configuration() const {
  return state_ / (set_name() + ".conf");
}

void Apt::write_configuration() const {
  const std::string name = set_name();
  // The lists of the system's sources lie in `state` itself.
  const fs::path own = lists_ == Lists::suites ? state_ / name : state_;
  for (const fs::path& part : {own / "lists/partial", state_ / "cache/archives/partial"}) {
    std::error_code error;
    fs::create_directories(part, error);
    check(!error, "cannot make {}: {}", part.string(), error.message());
  }
  std::string text =
      "#clear APT::Update::Pre-Invoke;\n#clear APT::Update::Post-Invoke;\n#clear APT::Update::Post-Invoke-Success;\n"
      "APT::Sandbox::User \"root\";\nAcquire::Retries \"2\";\nAcquire::http::Timeout \"30\";\nAcquire::https::Timeout "
      "\"30\";\n";
  text += fmt::format(
      "Dir::Cache \"{}\";\nDir::Cache::pkgcache \"{}.pkgcache\";\nDir::Cache::srcpkgcache \"{}.srcpkgcache\";\n",
      (state_ / "cache").string(), name, name);
  if (lists_ != Lists::system) text += fmt::format("Dir::State \"{}\";\n", own.string());
  if (lists_ == Lists::suites) {
    const fs::path sources = own / "suites.sources";
    const std::string wanted = suite_sources();
    if (!fs::exists(sources) || read_file(sources) != wanted) write_file_atomically(sources, wanted);
    text += fmt::format("Dir::Etc::sourcelist \"{}\";\nDir::Etc::sourceparts \"/dev/null\";\n", sources.string());
  }
  if (!architecture_.empty())
    text += fmt::format("APT::Architecture \"{0}\";\n#clear APT::Architectures;\nAPT::Architectures {{ \"{0}\"; }};\n",
                        architecture_);
  if (!fs::exists(configuration()) || read_file(configuration()) != text) write_file_atomically(configuration(), text);
}

std::string Apt::suite_sources() const {
  RunOptions options;
  options.merge_output = false;
  const std::string known = run_checked(
      {"apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(ORIGIN)", "Created-By: Packages"}, options);
  const std::string text = suite_sources_text(known, suites_);
  if (!text.empty()) return text;
  throw Error("the system's package sources name no Debian mirror, so the suites of other kernels cannot be read",
              "add Debian's main archive and its -security archive to the sources (/etc/apt/sources.list.d)");
}

std::vector<std::string> Apt::command(const std::string& program) const {
  return {program, "-c", configuration().string(), "-q"};
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

bool Apt::use_more_lists() {
  if (lists_ == Lists::suites) return false;
  lists_ = lists_ == Lists::system && architecture_.empty() ? Lists::sources : Lists::suites;
  write_configuration();
  update_lists();
  return true;
}

void Apt::update_lists() {
  const FileLock lock(state_ / "lock");
  const fs::path stamp = lists_ == Lists::suites ? state_ / set_name() / "updated" : state_ / "updated";
  std::error_code error;
  const auto age = fs::file_time_type::clock::now() - fs::last_write_time(stamp, error);
  if (!error && age < std::chrono::hours(1)) return;
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
}

void Apt::fetch_once(const PackageVersion& wanted, const fs::path& directory) {
  std::vector<std::string> line = command("apt-get");
  line.insert(line.end(), {"download", fmt::format("{}:{}={}", wanted.package, wanted.architecture, wanted.version)});
  if (wanted.architecture == "all") line.back() = fmt::format("{}={}", wanted.package, wanted.version);
  RunOptions options;
  options.directory = directory;
  RunResult result = run(line, options);
  while (result.status != 0 && gone(result.output) && use_more_lists()) {
    line[2] = configuration().string();
    result = run(line, options);
  }
  if (result.status != 0 && gone(result.output)) {
    throw PackageGone(
        fmt::format("{} {} is in the package lists, but the server does not have it (any more):\n{}", wanted.package,
                    wanted.version, tail(result.output)),
        "ask for another release (`klp-diff kernel show` names them when the release is unknown), or for this one "
        "from another mirror");
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

std::string suite_sources_text(const std::string& system_sources, const std::vector<std::string>& suites) {
  std::string main, security;
  std::istringstream in(system_sources);
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::string uri, release, origin;
    words >> uri >> release >> origin;
    if (origin != "Debian" && !(origin.starts_with('$') && uri.find("/debian") != std::string::npos)) continue;
    std::string& mirror = release.ends_with("-security") ? security : main;
    if (mirror.empty()) mirror = uri;
  }
  if (main.empty() || security.empty()) return {};
  constexpr const char* keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
  std::error_code error;
  std::string text;
  for (const std::string& suite : suites) {
    // The lists of a suite that has been retired are never signed anew.
    text += fmt::format("Types: deb\nURIs: {}\nSuites: {}\nComponents: main\nCheck-Valid-Until: no\n",
                        suite.ends_with("-security") ? security : main, suite);
    text += fs::exists(keyring, error) ? fmt::format("Signed-By: {}\n\n", keyring) : "\n";
  }
  return text;
}

}  // namespace klp::kernel
