#include "guest_view.h"

#include <algorithm>
#include <sstream>

#include "support/error.h"

namespace klp::test {
namespace {

constexpr uint64_t kPage = 4096;

}  // namespace

std::vector<std::byte> GuestView::memory(uint64_t address, uint64_t size) {
  std::vector<std::byte> result;
  while (result.size() < size) {
    const uint64_t at = address + result.size();
    const uint64_t start = at & ~(kPage - 1);
    auto [page, made] = pages_.try_emplace(start);
    if (made) {
      try {
        page->second = vm_.read_memory(start, kPage);
      } catch (const vm::GuestFault&) {
        throw;
      } catch (const Error&) {
        page->second.assign(kPage, std::byte{0});  // a wild address: the caller compares and tells
      }
    }
    const uint64_t count = std::min(size - result.size(), start + kPage - at);
    const auto from = page->second.begin() + static_cast<std::ptrdiff_t>(at - start);
    result.insert(result.end(), from, from + static_cast<std::ptrdiff_t>(count));
  }
  return result;
}

GuestSymbols GuestView::kallsyms(const std::string& pattern, const std::string& options) {
  GuestSymbols result;
  std::istringstream lines(vm_.run("grep " + options + " '" + pattern + "' /proc/kallsyms").output);
  std::string address, type, name;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    if (words >> address >> type >> name) result[name].push_back(std::stoull(address, nullptr, 16));
  }
  for (auto& [symbol, addresses] : result) std::sort(addresses.begin(), addresses.end());
  return result;
}

const GuestSymbols& GuestView::module_symbols(const std::string& module) {
  auto [found, made] = symbols_.try_emplace(module);
  if (made) found->second = kallsyms("\\[" + module + "\\]$");
  check(!found->second.empty(), "the guest's kallsyms have no symbol of module {}", module);
  return found->second;
}

std::vector<uint64_t> GuestView::in_any_module(const std::string& name) {
  const GuestSymbols found = kallsyms(" " + name + "[[:space:]]\\+\\[");
  return found.empty() ? std::vector<uint64_t>() : found.begin()->second;
}

uint64_t GuestView::section(const std::string& module, const std::string& name) {
  auto [found, made] = sections_.try_emplace(module);
  if (made) {
    const std::string command =
        "cd /sys/module/" + module + "/sections && for s in * .[!.]*; do echo \"$s $(cat \"$s\")\"; done";
    std::istringstream lines(vm_.run(command).output);
    std::string section, address;
    while (lines >> section >> address) {
      if (address.starts_with("0x")) found->second[section] = std::stoull(address, nullptr, 16);
    }
  }
  const auto address = found->second.find(name);
  check(address != found->second.end(), "module {} has no section {} in the guest", module, name);
  return address->second;
}

uint64_t GuestView::text_start() {
  const GuestSymbols found = kallsyms(" _text$", "-m 1");
  check(!found.empty(), "the guest's kallsyms have no _text");
  return found.begin()->second.front();
}

}  // namespace klp::test
