// Names are numbers here: a pass over all definitions is then a few million comparisons, and ten passes are enough.
#include "kernel/name_closure.h"

#include <algorithm>
#include <deque>
#include <map>
#include <set>

#include "kernel/definition_uses.h"
#include "kernel/name_table.h"
#include "kernel/paste_patterns.h"

namespace klp::kernel {
namespace {

/// A set of name numbers, as one bit a name.
class NameSet {
 public:
  bool has(uint32_t name) const { return name < bits_.size() && bits_[name]; }
  bool add(uint32_t name) {
    if (name >= bits_.size()) bits_.resize(name + 1024);
    const bool is_new = !bits_[name];
    bits_[name] = true;
    return is_new;
  }
  /// The first of `names` that is in the set.
  const uint32_t* first(const std::vector<uint32_t>& names) const {
    const auto found = std::find_if(names.begin(), names.end(), [&](uint32_t n) { return has(n); });
    return found == names.end() ? nullptr : &*found;
  }

 private:
  std::vector<bool> bits_;
};

}  // namespace

struct NameClosure::Data {
  NameTable names;
  std::vector<DefinitionUses> definitions;
  PastePatterns patterns;
  size_t texts = 0;
};

NameClosure::NameClosure() : data_(std::make_unique<Data>()) {}
NameClosure::~NameClosure() = default;
NameClosure::NameClosure(NameClosure&&) noexcept = default;

size_t NameClosure::add(const std::vector<Item>& items, Role role) {
  DefinitionUses source;
  source.makes_code = true;
  source.text = data_->texts;
  for (const Item& item : items) {
    if (item.kind == ItemKind::macro) data_->patterns.add(item, data_->names);
    DefinitionUses uses = uses_of(item, data_->names);
    uses.text = data_->texts;
    uses.local = role == Role::source && item.kind == ItemKind::macro;
    if (role == Role::header || item.kind == ItemKind::condition || item.kind == ItemKind::macro) {
      data_->definitions.push_back(uses);
    }
    if (role == Role::source) source.merge(uses);
  }
  if (role == Role::source) {
    source.sort();
    data_->definitions.push_back(std::move(source));
  }
  return data_->texts++;
}

namespace {

/// For each name the definitions that name it.
class UseIndex {
 public:
  UseIndex(const std::vector<DefinitionUses>& definitions, size_t names) : users_(names) {
    for (const DefinitionUses& d : definitions) {
      for (const uint32_t name : d.uses) users_[name].push_back(&d);
    }
  }
  const std::vector<const DefinitionUses*>& users(uint32_t name) const {
    static const std::vector<const DefinitionUses*> kNone;
    return name < users_.size() ? users_[name] : kNone;
  }

 private:
  std::vector<std::vector<const DefinitionUses*>> users_;
};

bool is_macro(const DefinitionUses& d) {
  return d.kind == ItemKind::macro && !d.names.empty();
}

/// One run of NameClosure::affected().
class Closing {
 public:
  Closing(const std::vector<DefinitionUses>& definitions, PastePatterns& patterns, NameTable& names, size_t texts)
      : definitions_(definitions),
        patterns_(patterns),
        names_(names),
        index_(definitions, names.size()),
        result_(texts) {}

  std::vector<NameClosure::Affected> run(const ChangedNames& change) {
    patterns_.follow(definitions_);
    find_keepers();
    find_typed_macros();
    if (!change.filled.empty()) filled_.add(names_.number(kUnknownType));
    for (const std::string& tag : change.filled) fill(names_.number(tag));
    for (const std::string& name : change.names) {
      const uint32_t number = names_.number(name);
      add(number, change.macros.count(name) != 0, number);
    }
    follow();
    return std::move(result_);
  }

 private:
  /// More than this lead to nearly every unit, and each costs a look at every chain of ##: no proof is given then.
  static constexpr size_t kMostNames = 1000;

  /// Macros that make a definition stay though nothing names it.
  void find_keepers() {
    for (const char* word :
         {"used", "__used", "__used__", "retain", "__retain__", "constructor", "__constructor__", "destructor",
          "__destructor__", "externally_visible", "__externally_visible__", "alias", "__alias__"})
      close_macros(names_.number(word), keepers_);
  }

  /// `name` and the macros that lead to it.
  void close_macros(uint32_t name, NameSet& set) const {
    std::vector<uint32_t> open = {name};
    set.add(name);
    while (!open.empty()) {
      const uint32_t next = open.back();
      open.pop_back();
      for (const DefinitionUses* d : index_.users(next)) {
        if (is_macro(*d) && set.add(d->names.front())) open.push_back(d->names.front());
      }
    }
  }

  /// Macros that declare something of a type that they are given.
  void find_typed_macros() {
    std::vector<std::pair<Place, const DefinitionUses*>> open;
    std::map<Place, std::vector<const DefinitionUses*>> passing;
    for (const DefinitionUses& d : definitions_) {
      if (!is_macro(d)) continue;
      for (const uint32_t parameter : d.type_parameters) open.push_back({{d.names.front(), parameter}, &d});
      for (const Argument& a : d.arguments) {
        if (a.parameter && a.whole) passing[{a.callee, a.index}].push_back(&d);
      }
    }
    while (!open.empty()) {
      const auto [place, d] = open.back();
      open.pop_back();
      if (!(d->local ? typed_in_[place].insert(d->text).second : typed_.insert(place).second)) continue;
      for (const DefinitionUses* user : passing[place]) {
        for (const Argument& a : user->arguments) {
          if (a.parameter && a.whole && Place(a.callee, a.index) == place)
            open.push_back({{user->names.front(), a.word}, d->local ? d : user});
        }
      }
    }
  }

  /// A type whose padding is now a member, and all types and variables that hold one by value.
  void fill(uint32_t first) {
    filled_.add(first);
    for (bool moved = true; moved;) {
      moved = false;
      for (const DefinitionUses& d : definitions_) {
        const uint32_t* held = held_by_value(d);
        // Of a variable that is declared here the code of a unit can take the type.
        if (held == nullptr || (d.kind != ItemKind::type && d.kind != ItemKind::declaration) || d.is_typedef) continue;
        for (const uint32_t name : d.names) moved = filled_.add(name) || moved;
      }
    }
    for (const DefinitionUses& d : definitions_) {
      mark_local_uses(d);
      const uint32_t* held = held_by_value(d);
      const bool only_declares = (d.kind == ItemKind::type || d.kind == ItemKind::declaration) && !d.is_typedef;
      if (held != nullptr && !only_declares) reach(d, *held, false);
    }
  }

  /// A filled type given to a macro that only some sources define as one that takes a type.
  void mark_local_uses(const DefinitionUses& d) {
    for (const auto& [place, tag] : d.type_arguments) {
      const auto found = filled_.has(tag) ? typed_in_.find(place) : typed_in_.end();
      if (found == typed_in_.end()) continue;
      for (const size_t text : found->second) mark(text, tag);
    }
  }

  const uint32_t* held_by_value(const DefinitionUses& d) const {
    if (const uint32_t* tag = filled_.first(d.by_value)) return tag;
    for (const auto& [place, tag] : d.type_arguments) {
      if (filled_.has(tag) && typed_.count(place) != 0) return &tag;
    }
    return nullptr;
  }

  void add(uint32_t name, bool macro, uint32_t cause) {
    const bool is_new = changed_.add(name);
    if (is_new) causes_[name] = cause;
    if (is_new || (macro && !macros_.has(name))) open_.push_back(name);
    if (macro) macros_.add(name);
  }

  void follow() {
    while (!open_.empty() && causes_.size() < kMostNames) {
      const uint32_t name = open_.front();
      open_.pop_front();
      const bool macro = macros_.has(name);
      for (const uint32_t pasting : patterns_.making(name, names_)) add(pasting, macro, name);
      for (const DefinitionUses* d : index_.users(name)) {
        if (d->kind == ItemKind::condition ? macro : true) reach(*d, name, macro);
      }
    }
    if (open_.empty()) return;
    for (NameClosure::Affected& text : result_) {
      if (!text.is) text = {true, false, "too many names"};
    }
  }

  /// `d` names `name`.
  void reach(const DefinitionUses& d, uint32_t name, bool macro) {
    if (d.makes_code || d.kind == ItemKind::condition || keepers_.first(d.head) != nullptr) {
      mark(d.text, name);
      return;
    }
    if (d.local) return;  // its source names the same
    for (const uint32_t defined : d.names) add(defined, macro && is_macro(d), name);
  }

  void mark(size_t number, uint32_t name) {
    NameClosure::Affected& text = result_[number];
    if (text.is) return;
    const auto cause = causes_.find(name);
    text = {true, cause != causes_.end() && cause->second == name, std::string(names_.text(name))};
    constexpr int kShown = 4;
    for (int i = 0; i < kShown && causes_.count(name) != 0 && causes_[name] != name; ++i) {
      name = causes_[name];
      text.why += ", which uses " + std::string(names_.text(name));
    }
  }

  const std::vector<DefinitionUses>& definitions_;
  PastePatterns& patterns_;
  NameTable& names_;
  UseIndex index_;
  std::vector<NameClosure::Affected> result_;
  NameSet changed_, macros_, filled_, keepers_;
  std::set<Place> typed_;                       ///< arguments of which a macro makes an object
  std::map<Place, std::set<size_t>> typed_in_;  ///< the same of macros that these texts define for themselves
  std::map<uint32_t, uint32_t> causes_;         ///< name -> the changed one that it uses
  std::deque<uint32_t> open_;                   ///< names whose users are still to be looked at: the changed ones first
};

}  // namespace

std::vector<NameClosure::Affected> NameClosure::affected(const ChangedNames& change) {
  return Closing(data_->definitions, data_->patterns, data_->names, data_->texts).run(change);
}

}  // namespace klp::kernel
