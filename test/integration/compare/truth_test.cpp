// The truth about `compare`: what was edited in units of the real kernel is reported, what only moved is not; for
// objects, for modules and for linked images.
#include <catch2/catch.hpp>

#include <atomic>
#include <future>
#include <thread>

#include "builds.h"
#include "edits.h"

namespace klp::test {
namespace {

bool everything() {
  return std::getenv("KLP_TEST_ALL") != nullptr;
}

template <typename Work>
void on_all_processors(size_t count, Work work) {
  std::atomic<size_t> next = 0;
  const auto worker = [&] {
    for (size_t i = next++; i < count; i = next++) work(i);
  };
  std::vector<std::future<void>> workers;
  for (unsigned n = 0; n < std::max(1U, std::thread::hardware_concurrency()); ++n)
    workers.push_back(std::async(std::launch::async, worker));
  for (std::future<void>& w : workers) w.get();
}

std::string text(const std::set<std::string>& names) {
  std::string result;
  for (const std::string& name : names) result += name + " ";
  return result;
}

void check_same(const std::string& what, const Said& said) {
  INFO(what << "\n" << said.reasons);
  CHECK(text(said.units).empty());
  CHECK(text(said.objects).empty());
  CHECK(text(said.images).empty());
}

struct Variants {
  Said lines, debug, order;
};

}  // namespace

TEST_CASE("what only moved is no difference", "[unedited]") {
  const Builds builds;
  const std::vector<std::string> units = builds.spread(everything() ? 104 : 6);
  std::vector<Variants> said(units.size());
  on_all_processors(units.size(), [&](size_t i) {
    const std::string& file = builds.index().units().at(units[i]).source;
    const fs::path base = builds.compile(units[i], fmt::format("{}.o", i));
    const fs::path lines =
        builds.compile(units[i], fmt::format("{}.lines.o", i), {{file, "\n\n\n" + builds.source(file)}});
    const fs::path debug = builds.compile(units[i], fmt::format("{}.debug.o", i), {}, "-g0");
    said[i] = {compare_all_ways(builds, base, lines), compare_all_ways(builds, base, debug),
               compare_all_ways(builds, base, builds.reordered(base))};
  });
  std::map<std::string, uint64_t> noise;
  for (size_t i = 0; i < units.size(); ++i) {
    check_same(units[i] + ", lines moved", said[i].lines);
    check_same(units[i] + ", without debug information", said[i].debug);
    check_same(units[i] + ", in another order", said[i].order);
    for (const auto& [name, count] : said[i].lines.noise) noise[name] += count;
  }
  for (const auto& [name, count] : noise) fmt::print("{}: {}\n", name, count);
  CHECK(noise["line numbers in tables"] > 0);
  if (everything()) CHECK(noise["line numbers"] > 0);
}

TEST_CASE("each edit is reported", "[edited]") {
  const Builds builds;
  const std::vector<EditedUnit> units = edited_units();
  std::vector<Said> said(units.size());
  on_all_processors(units.size(), [&](size_t i) {
    std::map<std::string, std::string> files;
    for (const Edit& edit : units[i].edits) {
      std::string& content = files.emplace(edit.file, "").first->second;
      if (content.empty()) content = builds.source(edit.file);
      const size_t at = content.find(edit.from);
      if (at == std::string::npos) throw std::runtime_error(edit.file + " has no " + edit.from);
      content.replace(at, edit.from.size(), edit.to);
    }
    const fs::path base = builds.compile(units[i].unit, fmt::format("e{}.o", i));
    const fs::path edited = builds.compile(units[i].unit, fmt::format("e{}.edited.o", i), {files.begin(), files.end()});
    said[i] = compare_all_ways(builds, base, edited);
  });
  size_t edits = 0;
  for (size_t i = 0; i < units.size(); ++i) {
    const Said& s = said[i];
    INFO(units[i].unit << "\n" << s.reasons);
    for (const Edit& edit : units[i].edits) {
      ++edits;
      for (const std::string& name : edit.changed) {
        INFO(edit.kind << ": " << name);
        CHECK(s.units.count(name) == 1);
        CHECK(s.objects.count(name) == 1);
        CHECK(s.images.count(name) == 1);
      }
    }
    CHECK(text(s.objects) == text(s.units));
    CHECK(text(s.images) == text(s.objects));
  }
  CHECK(edits >= 30);
}

TEST_CASE("an edit in a unit of a module is reported, and nothing of the other units", "[edited]") {
  const Builds builds;
  const std::string file = "fs/squashfs/dir.c", edited = "return length + 4;";
  std::string content = builds.source(file);
  content.replace(content.find("return length + 3;"), edited.size(), edited);
  const fs::path before = builds.compile("fs/squashfs/dir.o", "m.o");
  const fs::path after = builds.compile("fs/squashfs/dir.o", "m.edited.o", {{file, "\n\n" + content}});
  const std::vector<fs::path> others = {builds.compile("fs/squashfs/namei.o", "m1.o"),
                                        builds.compile("fs/squashfs/xattr.o", "m2.o")};
  const auto read = [](const fs::path& path) { return elf::ElfObject::read(path, elf::ElfObject::Want::allocated); };
  const diff::ImageDifference difference =
      diff::compare_images(read(builds.module(before, others)), read(builds.module(after, {others[1], others[0]})));
  REQUIRE(difference.functions.size() == 1);
  CHECK(difference.functions[0].name == "squashfs_readdir");
  CHECK(difference.variables.empty());
  CHECK(difference.compared > 5);
}

}  // namespace klp::test
