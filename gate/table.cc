// SPDX-License-Identifier: Apache-2.0
#include "table.h"

namespace gate {

std::shared_ptr<Revision> Table::at(std::string_view name) {
  std::lock_guard lock(lock_);
  std::weak_ptr<Revision>& entry = revisions_[std::string(name)];
  std::shared_ptr<Revision> revision = entry.lock();
  if (!revision) {
    revision.reset(new Revision(std::string(name), listener_), [this](Revision* last) { forget(last); });
    entry = revision;
  }
  return revision;
}

std::vector<std::shared_ptr<Revision>> Table::all() {
  std::lock_guard lock(lock_);
  std::vector<std::shared_ptr<Revision>> all;
  all.reserve(revisions_.size());
  for (auto& [name, entry] : revisions_)
    if (auto revision = entry.lock()) all.push_back(std::move(revision));
  return all;
}

size_t Table::size() {
  std::lock_guard lock(lock_);
  return revisions_.size();
}

void Table::forget(Revision* revision) {
  {
    std::lock_guard lock(lock_);
    auto entry = revisions_.find(revision->name());
    if (entry != revisions_.end() && entry->second.expired()) revisions_.erase(entry);  // else it is a successor's
  }
  delete revision;
}

}  // namespace gate
