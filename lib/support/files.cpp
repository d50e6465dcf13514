#include "support/files.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>

#include "support/log.h"
#include "support/run.h"

namespace klp {
namespace {

[[noreturn]] void fail_system(std::string_view what, const fs::path& path) {
  const int error = errno;
  std::string hint;
  if (error == ENOSPC || error == EDQUOT)
    hint = "free some space, or choose another place with -o, --work-dir or KLP_DIFF_CACHE";
  if (what == "cannot write" && error == ENOENT) hint = "make the directory first, or choose another one";
  if (error == EACCES || error == EPERM || error == EROFS)
    hint = "choose a place that you may use, or run as a user who may";
  throw Error(fmt::format("{} {}: {}", what, path.string(), std::strerror(error)), hint);
}

class Digest {
 public:
  Digest() : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
    check(context_ && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1, "cannot start a SHA-256 digest");
  }
  void update(std::string_view bytes) { EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()); }
  std::string hex() {
    unsigned char value[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    EVP_DigestFinal_ex(context_.get(), value, &size);
    std::string text;
    for (unsigned i = 0; i < size; ++i) text += fmt::format("{:02x}", value[i]);
    return text;
  }

 private:
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
};

}  // namespace

std::string read_file(const fs::path& path) {
  check(!fs::is_directory(path), "cannot read {}: it is a directory", path.string());
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) fail_system("cannot open", path);
  std::string content;
  struct stat info {};
  // One byte more than a regular file has: the read that finds its end makes no new room. Files of /proc say 0.
  content.resize(fstat(fd, &info) == 0 && info.st_size > 0 ? static_cast<size_t>(info.st_size) + 1 : 4096);
  size_t done = 0;
  ssize_t n = 0;
  while ((n = read(fd, content.data() + done, content.size() - done)) != 0) {
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) break;
    done += static_cast<size_t>(n);
    if (done == content.size()) content.resize(2 * done);
  }
  const int error = errno;
  close(fd);
  errno = error;
  if (n < 0) fail_system("cannot read", path);
  content.resize(done);
  return content;
}

void write_file_atomically(const fs::path& path, std::string_view content, mode_t mode) {
  std::string beside = path.string() + ".XXXXXX";
  const int fd = mkstemp(beside.data());
  if (fd < 0) fail_system("cannot write", path);
  size_t done = 0;
  bool good = true;
  while (good && done < content.size()) {
    const ssize_t n = write(fd, content.data() + done, content.size() - done);
    if (n < 0 && errno == EINTR) continue;
    good = n > 0;
    if (good) done += static_cast<size_t>(n);
  }
  good = good && fchmod(fd, mode) == 0 && fsync(fd) == 0;
  int error = good ? 0 : errno;
  if (close(fd) != 0 && good) error = errno, good = false;
  if (good && rename(beside.c_str(), path.c_str()) != 0) error = errno, good = false;
  if (good) return;
  unlink(beside.c_str());
  errno = error;
  fail_system("cannot write", path);
}

std::string sha256_hex(std::string_view content) {
  Digest digest;
  digest.update(content);
  return digest.hex();
}

std::string sha256_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) fail_system("cannot open", path);
  Digest digest;
  std::string buffer(1 << 20, '\0');
  while (in.read(buffer.data(), static_cast<std::streamsize>(buffer.size())) || in.gcount() > 0) {
    digest.update(std::string_view(buffer.data(), static_cast<size_t>(in.gcount())));
  }
  if (in.bad()) fail_system("cannot read", path);
  return digest.hex();
}

TempDir::TempDir(const fs::path& parent, std::string_view prefix) {
  std::error_code error;
  fs::create_directories(parent, error);
  std::string pattern = (parent / fmt::format("{}.XXXXXX", prefix)).string();
  if (mkdtemp(pattern.data()) == nullptr) fail_system("cannot make a directory like", pattern);
  path_ = pattern;
}

TempDir::~TempDir() {
  if (keep_) return;
  std::error_code error;
  fs::remove_all(path_, error);
  if (error) log("files").warn("cannot remove {}: {}", path_.string(), error.message());
}

FileLock::FileLock(const fs::path& path) {
  fd_ = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd_ < 0) fail_system("cannot open", path);
  bool told = false;
  while (flock(fd_, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) fail_system("cannot lock", path);
    if (!told) log("files").warn("waiting for another klp-diff that holds {}", path.string());
    told = true;
    throw_if_interrupted();
    usleep(200'000);
  }
}

FileLock::~FileLock() {
  if (fd_ >= 0) close(fd_);
}

}  // namespace klp
