// Walking both trees, comparing object by object in the order of their names. Most pairs are equal: bytes are read in
// pieces until the first difference, and objects are parsed only to see that nothing but debug information differs, as
// it always does when the trees were compiled in different directories.
#include "kernel/tree_pairs.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>
#include <span>

#include "elf/same_content.h"
#include "kernel/config.h"
#include "support/log.h"
#include "support/progress.h"
#include "support/run.h"

namespace klp::kernel {
namespace {

constexpr size_t kShown = 5;  // names in one message

std::string listed(const std::vector<std::string>& names) {
  std::string text;
  for (size_t i = 0; i < names.size() && i < kShown; ++i) text += (i == 0 ? "" : ", ") + names[i];
  return names.size() > kShown ? text + fmt::format(" and {} more", names.size() - kShown) : text;
}

/// The relative paths of all .o files, links to directories not followed.
std::vector<std::string> objects_below(const fs::path& root) {
  constexpr std::array kNoUnits = {"scripts", "tools", "Documentation", ".git"};
  std::vector<std::string> objects;
  for (fs::recursive_directory_iterator it(root), end; it != end; ++it) {
    const fs::path& path = it->path();
    if (it.depth() == 0 && std::count(kNoUnits.begin(), kNoUnits.end(), path.filename().string()) != 0)
      it.disable_recursion_pending();
    if (path.extension() == ".o" && it->is_regular_file()) objects.push_back(path.lexically_relative(root).string());
  }
  std::sort(objects.begin(), objects.end());
  return objects;
}

std::vector<std::string> objects_of(const fs::path& root) {
  try {
    return objects_below(root);
  } catch (const fs::filesystem_error& error) {
    throw Error(fmt::format("cannot read {}: {}", error.path1().string(), error.code().message()),
                "a directory that cannot be read may hold changed objects");
  }
}

bool same_bytes(const fs::path& a, const fs::path& b) {
  if (fs::file_size(a) != fs::file_size(b)) return false;
  std::ifstream first(a, std::ios::binary), second(b, std::ios::binary);
  check(first.good() && second.good(), "cannot read {}", (first.good() ? b : a).string());
  std::array<char, 65536> x, y;
  while (first && second) {
    first.read(x.data(), x.size());
    second.read(y.data(), y.size());
    if (first.gcount() != second.gcount() || std::memcmp(x.data(), y.data(), first.gcount()) != 0) return false;
  }
  return first.eof() && second.eof();
}

bool equal_objects(const fs::path& a, const fs::path& b) {
  if (same_bytes(a, b)) return true;
  const std::string x = read_file(a), y = read_file(b);
  // What is no ELF file is judged later, if it is a unit at all.
  if (!x.starts_with("\x7f"
                     "ELF") ||
      !y.starts_with("\x7f"
                     "ELF"))
    return false;
  return with_hint("an interrupted build leaves such files: compile the tree again", [&] {
    return elf::same_but_for_debug_info(std::as_bytes(std::span(x)), std::as_bytes(std::span(y)));
  });
}

/// True when the trees have a source file each for the object, and these differ. kbuild names it in .cmd: relative to
/// the tree, for O= often absolute or with "..". Two trees made from one source directory, one after the other, show
/// one file, which says nothing.
bool source_differs(const BuildTrees& trees, const std::string& object) {
  const auto path = [&](const fs::path& root) {
    const std::string source = saved_command(root, object).source;
    return source.empty() ? fs::path() : root / source;
  };
  const fs::path a = path(trees.original), b = path(trees.patched);
  std::error_code error;
  return fs::is_regular_file(a, error) && fs::is_regular_file(b, error) && !same_bytes(a, b);
}

/// One run of pair_trees().
class Pairing {
 public:
  Pairing(const BuildTrees& trees, const KernelIndex& index, Findings& findings)
      : trees_(trees), index_(index), findings_(findings) {}

  TreeComparison run() {
    const std::vector<std::string> original = objects_of(trees_.original), patched = objects_of(trees_.patched);
    std::vector<std::string> both;
    std::set_union(original.begin(), original.end(), patched.begin(), patched.end(), std::back_inserter(both));
    Progress progress("comparing objects", both.size());
    for (const std::string& object : both) {
      throw_if_interrupted();
      const bool in_original = std::binary_search(original.begin(), original.end(), object);
      const bool in_patched = std::binary_search(patched.begin(), patched.end(), object);
      with_context(object, [&] { look_at(object, in_original, in_patched); });
      progress.advance(object);
    }
    if (result_.units == 0)
      throw Error(fmt::format("{} and {} have no object of this kernel in common", trees_.original.string(),
                              trees_.patched.string()),
                  "give the directories in which make was run, or those named with O=");
    report();
    return std::move(result_);
  }

 private:
  void look_at(const std::string& object, bool in_original, bool in_patched) {
    const fs::path& root = in_patched ? trees_.patched : trees_.original;
    const bool known = index_.units().count(object) != 0;  // then there is no need to read a file for it
    const TreeObject kind = kind_of_object(index_, object, known ? "" : saved_command(root, object).command);
    if (kind == TreeObject::other) return;
    if (kind == TreeObject::unit && in_original && in_patched) ++result_.units;
    if (!in_original || !in_patched) {
      if (kind != TreeObject::boot_image)
        (kind == TreeObject::stranger ? strangers_ : in_patched ? added_ : gone_).push_back(object);
      return;
    }
    if (!equal_objects(trees_.original / object, trees_.patched / object)) differs(kind, object);
  }

  void differs(TreeObject kind, const std::string& object) {
    switch (kind) {
      case TreeObject::unit:
        if (fits_kernel(object)) add_pair(object);
        break;
      case TreeObject::assembly:
        assembly_.push_back(object);
        break;
      case TreeObject::special_image:
        images_.push_back(object);
        break;
      case TreeObject::boot_image:
        // It holds sizes, addresses and the date of the kernel that it starts, so it differs in every build.
        (source_differs(trees_, object) ? images_ : boot_).push_back(object);
        break;
      case TreeObject::stranger:
        strangers_.push_back(object);
        break;
      case TreeObject::other:
        break;
    }
  }

  void add_pair(const std::string& object) {
    const TreePair pair{&index_.units().at(object), trees_.original / object, trees_.patched / object};
    check_unit_object(pair.original);
    check_unit_object(pair.patched);
    result_.differing.push_back(pair);
  }

  /// A unit that is built in in one and a module in the other is other code (MODULE is defined or not).
  bool fits_kernel(const std::string& object) {
    const bool in_vmlinux = index_.units().at(object).objects == std::vector<std::string>{"vmlinux"};
    for (const fs::path& root : {trees_.original, trees_.patched}) {
      const std::string command = saved_command(root, object).command;
      if (command.empty() || (command.find(" -DMODULE ") == std::string::npos) == in_vmlinux) continue;
      refuse("config-mismatch", object,
             fmt::format("{} is {} in {}, and {} in the kernel", object, in_vmlinux ? "part of a module" : "built in",
                         root.string(), in_vmlinux ? "built in" : "part of a module"),
             "compile both trees with the configuration of the kernel that shall be patched");
      return false;
    }
    return true;
  }

  void report() {
    const std::string both = "compile both trees with the same configuration and the same targets";
    for (const std::string& object : assembly_)
      refuse("asm-source", object,
             object + " is made from assembly: its code has no function that the kernel could redirect",
             "make the change in a C function that calls this code, or reboot into a fixed kernel");
    refuse_all("special-image", images_,
               "changed, and not part of the running kernel's code (boot, realmode, vdso, EFI stub or purgatory image)",
               "take this part of the change back if the rest stands without it; else only a reboot into a fixed "
               "kernel helps");
    refuse_all("not-built", added_, "only in " + trees_.patched.string() + ", so what was there before is not known",
               both);
    refuse_all("not-built", gone_,
               "only in " + trees_.original.string() + ": a unit cannot be taken out of a running kernel", both);
    refuse_all(
        "not-built", strangers_, "new, gone or changed, but the kernel that shall be patched does not have them",
        "put the code of a new file into one that exists; else check that the trees are configured for this kernel");
    if (!boot_.empty())
      findings_.add({Severity::note,
                     "special-image",
                     {},
                     boot_.front(),
                     {},
                     fmt::format("differs, but boot code has run, and holds the date and the sizes of its kernel: {}",
                                 listed(boot_)),
                     {}});
  }

  void refuse_all(const std::string& code, const std::vector<std::string>& objects, const std::string& what,
                  const std::string& hint) {
    if (objects.empty()) return;
    refuse(code, objects.front(),
           fmt::format("{} object{} {}: {}", objects.size(), objects.size() == 1 ? "" : "s", what, listed(objects)),
           hint);
  }

  void refuse(const std::string& code, const std::string& unit, const std::string& message, const std::string& hint) {
    findings_.add({Severity::refusal, code, {}, unit, {}, message, hint});
  }

  const BuildTrees& trees_;
  const KernelIndex& index_;
  Findings& findings_;
  TreeComparison result_;
  std::vector<std::string> assembly_, images_, boot_, added_, gone_, strangers_;
};

}  // namespace

TreeComparison pair_trees(const BuildTrees& trees, const KernelIndex& index, Findings& findings) {
  return Pairing(trees, index, findings).run();
}

}  // namespace klp::kernel
