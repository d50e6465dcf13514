#include "diff/image_pairing.h"

#include <algorithm>
#include <tuple>

#include "diff/stable_name.h"

namespace klp::diff {
namespace {

using Names = std::unordered_set<std::string>;

void add_several(const FormList& functions, const FormList& variables, Names& out) {
  Names seen;
  for (const FormList* list : {&functions, &variables}) {
    for (const ImageFunction& f : list->entries) {
      if (!seen.insert(f.name).second) out.insert(f.name);
    }
  }
}

Names several_of(const ImagePairing::Lists& lists) {
  Names result;
  add_several(lists.functions_before, lists.variables_before, result);
  add_several(lists.functions_after, lists.variables_after, result);
  return result;
}

bool is_before(const FormReference& a, const FormReference& b) {
  return std::tuple(a.section->index, a.value) < std::tuple(b.section->index, b.value);
}

bool is_constant(const elf::Symbol& s) {
  return holds_constants(*s.section) && s.size != 0;
}

/// Every place in data where something begins: what anything refers to, and what has a name.
std::vector<FormReference> starts_of(const elf::ElfObject& image, const FormList& functions,
                                     const FormList& variables) {
  std::vector<FormReference> result;
  for (const elf::Symbol& s : image.symbols()) {
    if (s.is_defined() && !s.is_section() && !s.section->is_exec()) result.push_back({&s, s.section, s.value});
  }
  for (const FormList* list : {&functions, &variables}) {
    for (const FormText& form : list->forms) {
      for (const FormReference& r : form.references) {
        if (r.symbol == nullptr || is_constant(*r.symbol)) result.push_back(r);
      }
    }
  }
  std::sort(result.begin(), result.end(), is_before);
  const auto same = [](const FormReference& a, const FormReference& b) { return !is_before(a, b); };
  result.erase(std::unique(result.begin(), result.end(), same), result.end());
  return result;
}

}  // namespace

void ReferenceVotes::add(const FormText& before, const FormText& after, const Names& several) {
  if (before.references.size() != after.references.size()) return;
  for (size_t i = 0; i < before.references.size(); ++i) {
    const elf::Symbol *a = before.references[i].symbol, *b = after.references[i].symbol;
    if (a != nullptr && b != nullptr && several.count(stable_name(a->name)) != 0) ++votes_[a][b];
  }
}

size_t ReferenceVotes::of(const elf::Symbol* before, const elf::Symbol* after) const {
  const auto found = votes_.find(before);
  if (found == votes_.end()) return 0;
  const auto votes = found->second.find(after);
  return votes == found->second.end() ? 0 : votes->second;
}

Pairing::Pairing(const FormList& before, const FormList& after, const Names& several)
    : a_(before), b_(after), several_(several) {
  using Key = std::pair<std::string_view, std::string_view>;  // name, file
  std::map<Key, Open> groups;
  for (size_t i = 0; i < a_.entries.size(); ++i) groups[{a_.entries[i].name, a_.entries[i].file}].before.push_back(i);
  for (size_t j = 0; j < b_.entries.size(); ++j) groups[{b_.entries[j].name, b_.entries[j].file}].after.push_back(j);
  for (auto& [key, group] : groups) {
    if (group.after.empty())
      only_before.insert(only_before.end(), group.before.begin(), group.before.end());
    else if (group.before.empty())
      only_after.insert(only_after.end(), group.after.begin(), group.after.end());
    else if (group.before.size() == 1 && group.after.size() == 1)
      add(group.before[0], group.after[0]);
    else
      open_.push_back(std::move(group));
  }
}

void Pairing::add(size_t i, size_t j) {
  (a_.forms[i].text == b_.forms[j].text ? equal : unequal).emplace_back(i, j);
}

void Pairing::vote(ReferenceVotes& votes) {
  for (; voted_ < equal.size(); ++voted_)
    votes.add(a_.forms[equal[voted_].first], b_.forms[equal[voted_].second], several_);
}

bool Pairing::pair_open(By way, const ReferenceVotes& votes) {
  const size_t before = equal.size() + unequal.size();
  for (Open& open : open_) pair_open(open, way, votes);
  std::erase_if(open_, [&](const Open& open) {
    if (!open.before.empty() && !open.after.empty()) return false;
    only_before.insert(only_before.end(), open.before.begin(), open.before.end());
    only_after.insert(only_after.end(), open.after.begin(), open.after.end());
    return true;
  });
  return equal.size() + unequal.size() != before;
}

Pairing::Pairs Pairing::by_votes(const Open& open, const ReferenceVotes& votes) const {
  std::vector<std::tuple<size_t, bool, size_t, size_t>> all;  // ~votes, unequal, before, after
  for (const size_t i : open.before) {
    if (!votes.has(a_.entries[i].symbol)) continue;
    for (const size_t j : open.after) {
      const size_t count = votes.of(a_.entries[i].symbol, b_.entries[j].symbol);
      if (count != 0) all.emplace_back(~count, a_.forms[i].text != b_.forms[j].text, i, j);
    }
  }
  std::sort(all.begin(), all.end());
  Pairs result;
  for (const auto& [count, differs, i, j] : all) result.emplace_back(i, j);
  return result;
}

Pairing::Pairs Pairing::by_form(const Open& open, bool only_one) const {
  std::map<std::string_view, Open> groups;
  for (const size_t i : open.before) groups[a_.forms[i].text].before.push_back(i);
  for (const size_t j : open.after) groups[b_.forms[j].text].after.push_back(j);
  Pairs result;
  for (const auto& [form, same] : groups) {
    if (!only_one || same.before.size() + same.after.size() == 2) add_in_order(same, result);
  }
  return result;
}

void Pairing::add_in_order(const Open& open, Pairs& out) {
  for (size_t n = 0; n < std::min(open.before.size(), open.after.size()); ++n)
    out.emplace_back(open.before[n], open.after[n]);
}

void Pairing::pair_open(Open& open, By way, const ReferenceVotes& votes) {
  Pairs chosen;
  if (way == By::votes)
    chosen = by_votes(open, votes);
  else if (way == By::order)
    add_in_order(open, chosen);
  else
    chosen = by_form(open, way == By::only_form);
  std::unordered_set<size_t> done_a, done_b;
  for (const auto& [i, j] : chosen) {
    if (done_a.count(i) != 0 || done_b.count(j) != 0) continue;
    done_a.insert(i);
    done_b.insert(j);
    add(i, j);
  }
  std::erase_if(open.before, [&](size_t i) { return done_a.count(i) != 0; });
  std::erase_if(open.after, [&](size_t j) { return done_b.count(j) != 0; });
}

void Pairing::finish() {
  pair_moved();
  pair_renamed();
  for (auto* pairs : {&equal, &unequal}) std::sort(pairs->begin(), pairs->end());
}

/// What has gone to another file, or became static, keeps its name.
void Pairing::pair_moved() {
  std::map<std::string_view, Open> by_name;
  for (const size_t i : only_before) by_name[a_.entries[i].name].before.push_back(i);
  for (const size_t j : only_after) by_name[b_.entries[j].name].after.push_back(j);
  std::unordered_set<size_t> done_a, done_b;
  for (const auto& [name, group] : by_name) {
    if (group.before.size() != 1 || group.after.size() != 1) continue;
    const size_t i = group.before.front(), j = group.after.front();
    done_a.insert(i);
    done_b.insert(j);
    if (a_.forms[i].text == b_.forms[j].text) moved.emplace_back(i, j);
    add(i, j);
  }
  std::erase_if(only_before, [&](size_t i) { return done_a.count(i) != 0; });
  std::erase_if(only_after, [&](size_t j) { return done_b.count(j) != 0; });
}

/// What is gone and what is new have got another name when they are equal, and nothing else is like them. Short ones
/// are equal by chance.
void Pairing::pair_renamed() {
  constexpr uint64_t kTelling = 24;  // bytes
  std::map<std::string_view, Open> by_form;
  const auto is_telling = [](const FormList& list, size_t n) {
    return list.entries[n].symbol->size >= kTelling && list.entries[n].symbol->section->is_exec();
  };
  for (const size_t i : only_before) {
    if (is_telling(a_, i)) by_form[a_.forms[i].text].before.push_back(i);
  }
  for (const size_t j : only_after) {
    if (is_telling(b_, j)) by_form[b_.forms[j].text].after.push_back(j);
  }
  std::unordered_set<size_t> done_a, done_b;
  for (const auto& [form, group] : by_form) {
    if (group.before.size() != 1 || group.after.size() != 1) continue;
    renamed.emplace_back(group.before[0], group.after[0]);
    done_a.insert(group.before[0]);
    done_b.insert(group.after[0]);
  }
  std::erase_if(only_before, [&](size_t i) { return done_a.count(i) != 0; });
  std::erase_if(only_after, [&](size_t j) { return done_b.count(j) != 0; });
}

ImagePairing::ImagePairing(const ImageForm& before, const ImageForm& after, const Lists& lists)
    : several_(several_of(lists)),
      functions_(lists.functions_before, lists.functions_after, several_),
      variables_(lists.variables_before, lists.variables_after, several_),
      a_(before),
      b_(after),
      starts_before_(starts_of(before.image(), lists.functions_before, lists.variables_before)),
      starts_after_(starts_of(after.image(), lists.functions_after, lists.variables_after)) {
  ReferenceVotes votes;
  using By = Pairing::By;
  for (const By way : {By::only_form, By::form, By::order}) {
    bool found = true;
    while (found) {
      functions_.vote(votes);
      variables_.vote(votes);
      const bool functions = functions_.pair_open(By::votes, votes), variables = variables_.pair_open(By::votes, votes);
      found = functions || variables;
    }
    functions_.pair_open(way, votes);
    variables_.pair_open(way, votes);
  }
  functions_.finish();
  variables_.finish();
  add_partners(functions_, lists.functions_before, lists.functions_after);
  add_partners(variables_, lists.variables_before, lists.variables_after);
}

void ImagePairing::add_partners(const Pairing& pairing, const FormList& before, const FormList& after) {
  for (const auto* pairs : {&pairing.equal, &pairing.unequal}) {
    for (const auto& [i, j] : *pairs) {
      if (several_.count(before.entries[i].name) != 0)
        partners_.emplace(before.entries[i].symbol, after.entries[j].symbol);
    }
  }
}

size_t ImagePairing::first_other(const std::vector<FormReference>& before,
                                 const std::vector<FormReference>& after) const {
  const size_t common = std::min(before.size(), after.size());
  for (size_t i = 0; i < common; ++i) {
    if (!is_same(before[i], after[i])) return i;
  }
  return before.size() == after.size() ? std::string::npos : common;
}

bool ImagePairing::is_same(const FormReference& before, const FormReference& after) const {
  const elf::Symbol *a = before.symbol, *b = after.symbol;
  if (a == nullptr || b == nullptr) return constant(a_, before, starts_before_) == constant(b_, after, starts_after_);
  if (several_.count(stable_name(a->name)) == 0) return true;  // the text has told them apart
  const auto partner = partners_.find(a);
  if (partner != partners_.end() ? partner->second == b : a->name == b->name) return true;
  // Which of two equal constants it is, is no difference.
  return is_constant(*a) && is_constant(*b) &&
         constant(a_, before, starts_before_) == constant(b_, after, starts_after_);
}

/// What is there up to where something else begins, without the zeros at the end.
std::string ImagePairing::constant(const ImageForm& form, const FormReference& reference, const Starts& starts) {
  const elf::Section& section = *reference.section;
  uint64_t end = section.address + section.size;
  if (reference.symbol != nullptr) {
    end = std::min(end, reference.symbol->value + reference.symbol->size);
  } else {
    FormReference last = reference;  // The linker merges strings: a part of a text can be one of its own.
    const uint64_t start = std::min<uint64_t>(reference.value - section.address, section.data.size());
    const std::string_view rest(reinterpret_cast<const char*>(section.data.data()) + start,
                                section.data.size() - start);
    const std::string_view first = rest.substr(0, rest.find('\0'));
    if (is_text(first)) last.value += first.size();
    const auto next = std::upper_bound(starts.begin(), starts.end(), last, is_before);
    if (next != starts.end() && next->section == &section) end = next->value;
  }
  std::string content = form.content(section, reference.value, end - std::min(end, reference.value)).text;
  content.resize(content.find_last_not_of('\0') + 1);
  return content;
}

}  // namespace klp::diff
