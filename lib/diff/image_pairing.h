// Which function or variable of one build of a binary is which of the other, and whether equal forms mean the same.
//
// Names decide, with the file of local ones. Where several have one name (clones and statics that the compiler
// numbers), what refers to them decides: equal functions refer to the same things in the same order. Then equal forms
// belong together, and what is left in its order.
#pragma once

#include <map>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "diff/image_form.h"

namespace klp::diff {

/// Functions or variables with their forms.
struct FormList {
  const std::vector<ImageFunction>& entries;
  std::vector<FormText> forms;
};

/// How often equal code refers to a symbol of one build where the other has a certain one.
class ReferenceVotes {
 public:
  /// `several`: names that more than one symbol of a build has.
  void add(const FormText& before, const FormText& after, const std::unordered_set<std::string>& several);
  size_t of(const elf::Symbol* before, const elf::Symbol* after) const;
  bool has(const elf::Symbol* before) const { return votes_.count(before) != 0; }

 private:
  std::unordered_map<const elf::Symbol*, std::map<const elf::Symbol*, size_t>> votes_;
};

class Pairing {
 public:
  /// Both lists must outlive it, as must `several`.
  Pairing(const FormList& before, const FormList& after, const std::unordered_set<std::string>& several);

  std::vector<std::pair<size_t, size_t>> equal, unequal;
  std::vector<std::pair<size_t, size_t>> moved;    ///< equal ones in another file, also in `equal`
  std::vector<std::pair<size_t, size_t>> renamed;  ///< equal ones of another name
  std::vector<size_t> only_before, only_after;

 private:
  friend class ImagePairing;
  using Group = std::vector<size_t>;
  struct Open {  ///< several of one name in files of one name
    Group before, after;
  };
  enum class By { votes, only_form, form, order };
  using Pairs = std::vector<std::pair<size_t, size_t>>;

  bool pair_open(By way, const ReferenceVotes& votes);  ///< whether it paired any
  void pair_open(Open& open, By way, const ReferenceVotes& votes);
  Pairs by_votes(const Open& open, const ReferenceVotes& votes) const;
  Pairs by_form(const Open& open, bool only_one) const;
  static void add_in_order(const Open& open, Pairs& out);
  void add(size_t i, size_t j);
  void vote(ReferenceVotes& votes);  ///< by equal ones that have not voted yet
  void finish();
  void pair_moved();
  void pair_renamed();

  const FormList &a_, &b_;
  const std::unordered_set<std::string>& several_;
  std::vector<Open> open_;
  size_t voted_ = 0;  ///< of `equal`
};

/// Functions and variables together.
class ImagePairing {
 public:
  struct Lists {
    const FormList &functions_before, &functions_after, &variables_before, &variables_after;
  };
  /// All must outlive it.
  ImagePairing(const ImageForm& before, const ImageForm& after, const Lists& lists);

  const Pairing& functions() const { return functions_; }
  const Pairing& variables() const { return variables_; }

  /// The first of the references of two equal texts that leads to something else, as number in both; npos: none does.
  size_t first_other(const std::vector<FormReference>& before, const std::vector<FormReference>& after) const;

 private:
  bool is_same(const FormReference& before, const FormReference& after) const;
  void add_partners(const Pairing& pairing, const FormList& before, const FormList& after);
  using Starts = std::vector<FormReference>;  // by place: where something begins
  static std::string constant(const ImageForm& form, const FormReference& reference, const Starts& starts);

  std::unordered_set<std::string> several_;
  Pairing functions_, variables_;
  std::unordered_map<const elf::Symbol*, const elf::Symbol*> partners_;  ///< of what has a name that several have
  const ImageForm &a_, &b_;
  Starts starts_before_, starts_after_;
};

}  // namespace klp::diff
