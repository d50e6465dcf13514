// Whether code compiled with one set of types may work on memory, and be called by code, made with another.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "elf/types.h"

namespace klp::elf {

enum class LayoutState {
  same,
  hole_filled,  ///< the size, and each member that both have, are as before: new members lie where nothing was (a hole,
                ///< padding), others are gone. Of an enum: the last enumerator counts more
  changed
};

/// One difference. Offsets and sizes are in bits, so that bit-fields have them too.
struct LayoutChange {
  enum class Kind {
    moved,
    resized,
    retyped,    ///< another type of equal size
    bitfield,   ///< a bit-field now and not before, or the other way round
    bool_bit,   ///< the same, but a bool is now the bit that it had used alone: both understand each other's values
    prototype,  ///< a pointer to a function whose prototype changed
    added,      ///< over bits that a member had, or behind the old end; old_type names a member that shares its place
    added_in_hole,
    removed,
    renamed,     ///< another name at the same place: what live objects hold there may mean something else
    renumbered,  ///< an enumerator's value: the offsets are the values
    count        ///< likewise, but of the last enumerator, whose name says that it counts the others
  };
  Kind kind = Kind::moved;
  std::string member;  ///< "a.b" for a member of an anonymous struct that has a name itself
  uint64_t old_offset = 0, new_offset = 0;
  uint64_t old_size = 0, new_size = 0;
  std::string old_type, new_type;

  /// "member b moved from offset 4 to 8", "member x is a new bit at offset 12, bit 3, where nothing was", ...
  std::string text() const;
  bool is_harmless() const;  ///< of those that leave LayoutState::hole_filled
};

struct LayoutComparison {
  std::string name;  ///< as TypeTable::named
  LayoutState state = LayoutState::same;
  uint64_t old_size = 0, new_size = 0;  ///< in bytes
  TypeId original = 0, patched = 0;
  std::vector<LayoutChange> changes;  ///< by the old offset; added ones last
  /// All that changed comes from the size of these types, which it embeds ("struct inner").
  std::vector<std::string> because_of;
};

/// Compares two tables; both must outlive it. Results of pairs of types are kept, so that comparing everything is
/// linear.
class LayoutComparer {
 public:
  LayoutComparer(const TypeTable& original, const TypeTable& patched) : a_(original), b_(patched) {}

  /// By name ("struct sock"). A type that either table does not have is `same`: a new or unused type is no change, and
  /// neither is a new enumerator.
  LayoutComparison compare(std::string_view name);

  /// The same for two types that the caller has found.
  LayoutComparison compare_as(std::string_view name, TypeId original, TypeId patched);

  /// Every type that both tables have and that is not `same`, in the order of the patched table. Enumerations without a
  /// name are taken for the same when they share an enumerator, and are called "enum of FIRST".
  std::vector<LayoutComparison> differences();

  /// Whether values of these types can stand for each other in memory and in calls: equal size and kind, pointers to
  /// equally named types. Typedefs and qualifiers do not count.
  bool same_type(TypeId original, TypeId patched);

  /// What differs between two prototypes ("the return type is int, was void"); empty when nothing does.
  std::string prototype_difference(TypeId original, TypeId patched);

 private:
  struct Flat;
  void flatten(const TypeTable& table, TypeId id, const std::string& prefix, uint64_t offset, std::vector<Flat>& out,
               int depth = 0);
  bool same_pointee(TypeId original, TypeId patched);
  bool same_array(TypeId original, TypeId patched, bool by_value);
  bool same_record(TypeId original, TypeId patched, bool by_value);
  bool decide(TypeId original, TypeId patched, bool by_value);
  void compare_members(LayoutComparison& result);
  void compare_member(const Flat& before, const Flat& now, LayoutComparison& result);
  void compare_enumerators(LayoutComparison& result) const;
  std::string embedded_resized(const Flat& before, const Flat& now) const;

  const TypeTable& a_;
  const TypeTable& b_;
  std::map<std::pair<TypeId, TypeId>, bool> by_value_, pointees_;
  int depth_ = 0;
};

}  // namespace klp::elf
