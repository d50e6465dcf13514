// References: how the livepatch module shall resolve each one. Pure decisions, no order dependence.
//
//   string, constant, private static, new data, new function   carry: copied into the module
//   a function that is replaced, called or jumped to            direct: to the copy in the module
//   a function that is replaced, its address taken              the original, so that a stored pointer outlives the
//   patch anything else that exists: exported by vmlinux              plain: the module loader resolves it
//                              otherwise                        klp: the livepatch core resolves it by name and
//                              position
// Undecided data is refused.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <unordered_set>

#include "diff/correlation.h"
#include "diff/identity.h"
#include "diff/indirect_entries.h"
#include "elf/klp_abi.h"
#include "elf/symvers.h"
#include "support/finding.h"

namespace klp::diff {

enum class Treatment { none, carry, direct, plain, klp, refuse };

struct Decision {
  Treatment treatment = Treatment::none;
  const Piece* piece = nullptr;  ///< carry, direct
  std::string name;              ///< plain
  std::string name_space;        ///< plain: the export's namespace, if it has one
  elf::KlpReference klp;
  const elf::Symbol* shipped = nullptr;  ///< klp: what it names, where that binary was looked at
  std::string code, message, hint;       ///< refuse
  std::string missing;                   ///< refuse, missing-symbol: the name that nobody defines
  bool late() const { return treatment == Treatment::klp && klp.patched_object != "vmlinux"; }
};

/// Everything a decision depends on. All must outlive the policy.
struct ReferenceContext {
  const Pieces* patched = nullptr;
  const Correlation* correlation = nullptr;
  const elf::DebugInfo* debug = nullptr;      ///< of the patched object
  const Identity* identity = nullptr;         ///< of the original; null when no shipped binary is known
  const elf::SymbolIndex* shipped = nullptr;  ///< the binary that is patched
  const elf::SymbolIndex* vmlinux = nullptr;
  const elf::Exports* exports = nullptr;
  std::string object;                                 ///< "vmlinux" or the module's name
  std::unordered_set<const Piece*> replaced;          ///< patched pieces (leaders) of functions whose copy is called
  std::unordered_set<const Piece*> anew;              ///< read-only data whose copy is used
  std::set<std::string, std::less<>> provided;        ///< global names that other units of this patch define anew
  std::set<std::string, std::less<>> anew_elsewhere;  ///< existing globals of which another unit has a new copy
  bool partial_symbols = false;                       ///< `vmlinux` may lack symbols that the running kernel has
};

class ReferencePolicy {
 public:
  explicit ReferencePolicy(const ReferenceContext& context);

  /// `in_table`: the field belongs to a kernel table entry, whose pointers to its own function mean the copy.
  Decision decide(const Reference& reference, const Piece& from, bool in_table) const;

  /// Whether a piece is data of the running kernel that is carried anew, as all that is done with it is reading.
  bool is_anew(const Piece& piece) const { return context_.anew.count(&piece) != 0; }

 private:
  Decision decide_any(const Reference& reference, const Piece& from, bool in_table) const;
  bool may_be_taken(const Decision& decision) const;
  Decision decide_external(const Reference& reference) const;
  Decision decide_function(const Reference& reference, const Piece& from, bool in_table) const;
  Decision decide_data(const Reference& reference) const;
  bool may_be_end_of_other(const Reference& reference) const;
  Decision original(const Piece& patched) const;
  Decision to_shipped(const elf::Symbol& symbol, const elf::SymbolIndex& index, const std::string& owner) const;
  bool exported_by_vmlinux(std::string_view name) const;
  bool depends_on(std::string_view module) const;

  const ReferenceContext& context_;
  std::optional<IndirectEntries> of_vmlinux_, of_shipped_;  ///< where the kernel checks indirect calls
};

}  // namespace klp::diff
