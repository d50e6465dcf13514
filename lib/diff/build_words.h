// The words by which two builds call themselves: releases, versions, dates.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "elf/elf_object.h"

namespace klp::diff {

class BuildWords {
 public:
  /// Of two vmlinux the words of linux_banner, of modules those of vermagic= (init/version.c, include/linux/vermagic.h,
  /// 5.10-6.12), as far as the two builds have as many and they differ. None where either is not there.
  BuildWords(const elf::ElfObject& before, const elf::ElfObject& after);

  /// Whether two texts that differ are equal once the second build's words stand for the first's.
  bool explain(const std::string& before, const std::string& after) const;

 private:
  std::vector<std::pair<std::string, std::string>> words_;  ///< the longest first
};

}  // namespace klp::diff
