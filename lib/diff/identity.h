// Identity: proof that the compiled original is the shipped code, function by function.
//
// Each function of the original unit is held against the shipped vmlinux or .ko in the normal form of compare.h: same
// instructions, every relocated field referring to the same thing. A wrong compiler, config or source is found here,
// and so is changed code that the shipped binary has inlined elsewhere. It also gives the shipped symbol of every
// function and variable, which is what klp relocations and klp_funcs name.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "diff/pieces.h"
#include "elf/symbol_index.h"

namespace klp::diff {

enum class IdentityState {
  matched,
  different,
  absent,
  overridden  ///< a weak function whose place another definition has taken
};

struct FunctionIdentity {
  const Piece* piece = nullptr;  ///< of the original
  const elf::Symbol* shipped = nullptr;
  IdentityState state = IdentityState::absent;
  std::string difference;  ///< the first one, for people
};

class Identity {
 public:
  /// Compares all functions of `original` with the shipped binary. Their FILE symbols say which locals are theirs; an
  /// object may have been linked from several sources.
  ///
  /// `as_shipped`: where code for a module is compiled otherwise than the shipped binary was, the identity of the same
  /// source compiled as that was, which is what has been compared; of `original` it is then asked whether it has the
  /// same functions and each refers to the same functions and strings (same_callees.h). Must outlive this one.
  Identity(const Pieces& original, const elf::SymbolIndex& shipped, const Identity* as_shipped = nullptr);
  ~Identity();
  Identity(Identity&&) noexcept;

  const std::vector<FunctionIdentity>& functions() const { return functions_; }
  const FunctionIdentity* of(const Piece* piece) const;
  size_t count(IdentityState state) const;

  /// The shipped symbol of a function or variable of the original; null when there is none or it cannot be told which.
  const elf::Symbol* shipped_symbol(const Piece& piece) const;

  /// Compares code in memory or in another image with a function: `place` is where it starts. Returns the first
  /// difference. Used by the read-back of a running kernel as well.
  std::optional<std::string> difference(const Piece& piece, const elf::Section& section, uint64_t offset,
                                        uint64_t size) const;

 private:
  friend class ShippedCode;
  void choose_blocks();
  const elf::FileBlock* choose_block(std::string_view file, const std::vector<const Piece*>& locals) const;
  const elf::FileBlock* block_of(const Piece& piece) const;
  void compare_all();
  void take_over();
  bool lies_elsewhere(const FunctionIdentity& function) const;
  bool is_own(const elf::Symbol& local) const;
  const elf::Symbol* find_symbol(const Piece& piece) const;

  const Pieces& original_;
  const elf::SymbolIndex& shipped_;
  const Identity* as_shipped_;
  std::map<std::string_view, const elf::FileBlock*> blocks_;  ///< by the FILE symbol of the original's locals
  std::vector<FunctionIdentity> functions_;
  std::unordered_map<const Piece*, size_t> by_piece_;
};

}  // namespace klp::diff
