// Units that are proven unaffected by a change of a header, compiled all the same: none may differ. Six changes of
// headers that over 500 units include; 2 units of each, drawn with a fixed seed, 20 with KLP_TEST_ALL.
#include <catch2/catch.hpp>

#include <cstdlib>
#include <random>
#include <span>

#include "elf/same_content.h"
#include "kernel/header_reach.h"
#include "kernel/workspace.h"
#include "support/run.h"

namespace klp {
namespace {

struct Change {
  const char* what;
  const char* header;
  const char* before;  ///< a text in it, once
  const char* after;
};

const Change kChanges[] = {
    {"an inline function that is folded", "include/linux/fs.h",
     "return vma->vm_file && IS_DAX(vma->vm_file->f_mapping->host);", "return false;"},
    {"a macro in a header of inline functions", "include/linux/fs.h", "#define SB_I_RETIRED\t0x00000800",
     "#define SB_I_RETIRED\t0x00001000"},
    {"an enumerator", "include/net/dropreason.h", "\n\tSKB_DROP_REASON_MAX,",
     "\n\tSKB_DROP_REASON_NEW,\n\tSKB_DROP_REASON_MAX,"},
    {"an attribute", "include/linux/fs.h", "extern int sb_set_blocksize(struct super_block *, int);",
     "extern int __must_check sb_set_blocksize(struct super_block *, int);"},
    {"a member in a hole of a struct that others hold", "include/net/sock.h", "\t\t\t\tsk_txtime_unused : 6;\n",
     "\t\t\t\tsk_txtime_unused : 6;\n\tbool\t\t\tsk_new_member;\n"},
    {"a member of a struct that is nested in another", "include/linux/skbuff.h", "\t\tunsigned int num_pg;\n",
     "\t\tunsigned int num_pg;\n\t\tu64 new_member;\n"},
};

bool equal(const fs::path& a, const fs::path& b) {
  const std::string x = read_file(a), y = read_file(b);
  return elf::same_but_for_debug_info(std::as_bytes(std::span(x)), std::as_bytes(std::span(y)));
}

fs::path make_patch(const fs::path& source, const Change& change, const fs::path& work) {
  std::string text = read_file(source / change.header);
  const size_t at = text.find(change.before);
  INFO(change.what);
  REQUIRE(at != std::string::npos);
  text.replace(at, std::string(change.before).size(), change.after);
  write_file_atomically(work / "new.h", text);
  const std::string name = change.header;
  const RunResult diff = run({"diff", "-u", "--label", "a/" + name, "--label", "b/" + name, (source / name).string(),
                              (work / "new.h").string()});
  write_file_atomically(work / "change.patch", diff.output);
  return work / "change.patch";
}

}  // namespace

TEST_CASE("units that are proven unaffected compile to the same objects", "[header_proofs]") {
  const char* name = std::getenv("KLP_TEST_KERNEL");
  kernel::KernelSelection selection;
  selection.name = name != nullptr ? name : "debian:6.1-cloud-amd64";
  const kernel::Kernel kernel = kernel::open_kernel(selection);
  const kernel::KernelIndex index = kernel::KernelIndex::open(kernel);
  const size_t sample = std::getenv("KLP_TEST_ALL") != nullptr ? 20 : 2;
  std::mt19937 random(6);
  for (const Change& change : kChanges) {
    TempDir work(fs::temp_directory_path(), "klp-proofs");
    fs::create_directories(work.path() / "tree");
    kernel::Workspace workspace(kernel, index, work.path() / "tree");
    Findings findings;
    const auto touched = workspace.apply({make_patch(kernel.source, change, work.path())}, findings);
    const kernel::SourceTrees trees{workspace.source_tree(), workspace.patched_tree()};
    std::vector<kernel::ReachedUnit> reached = kernel::reached_units(index, trees, touched, {});
    kernel::prove_by_names(reached, index, trees, touched, [](const kernel::GrownType&) { return true; });
    std::vector<const kernel::Unit*> proven;
    for (const kernel::ReachedUnit& unit : reached) {
      const bool ordinary = unit.unit->unit.ends_with(".o") && unit.unit->source.ends_with(".c");
      if (unit.proof == kernel::Proof::names && ordinary) proven.push_back(unit.unit);
    }
    fmt::print("{}: {} reached, {} units proven by names\n", change.what, reached.size(), proven.size());
    CHECK(reached.size() > 500);
    CHECK(proven.size() * 10 > reached.size() * 9);
    std::vector<const kernel::Unit*> drawn;
    std::sample(proven.begin(), proven.end(), std::back_inserter(drawn), sample, random);
    for (const kernel::CompiledUnit& unit : workspace.compile(drawn, touched, {}, findings)) {
      INFO(change.what << ": " << unit.unit->unit);
      CHECK(equal(unit.original, unit.patched));
    }
    CHECK_FALSE(findings.has_refusal());
  }
}

}  // namespace klp
