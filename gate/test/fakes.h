// SPDX-License-Identifier: Apache-2.0
// Fakes around a Revision: requests that count their wake-ups, and a listener that counts its calls.
#pragma once

#include <memory>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "../decision.h"
#include "../http_replies.h"

namespace gate {

struct FakeRequest final : Request {
  explicit FakeRequest(unsigned worker = 0, bool copy = false) : Request(worker, copy), worker(worker) {}
  void wake() override { ++woken; }
  unsigned status_of(Refusal why) const override { return http_status_of(why); }

  std::string at() const { return host() == nullptr ? "" : host()->address; }

  const unsigned worker;
  int woken = 0;
};

struct FakeListener final : Listener {
  void active(Revision&) override { ++actives; }
  void urgent(Revision&) override { ++urgents; }

  int actives = 0, urgents = 0;
};

// A revision whose hosts worker 0 knows.
struct World {
  explicit World(Settings settings = {}, std::vector<std::string_view> hosts = {}) {
    revision->configure(settings, 0);
    revision->learn(0, hosts, 0);
  }

  // Like a filter with a new stream.
  Request::State arrive(FakeRequest& request, Time now = 0) {
    return revision->arrive(request, now) ? Request::State::kPlaced : revision->wait(request, now);
  }

  FakeListener listener;
  std::shared_ptr<Revision> revision = std::make_shared<Revision>("default/hello-00001", listener);
};

using State = Request::State;

inline std::ostream& operator<<(std::ostream& out, State state) { return out << static_cast<int>(state); }
inline std::ostream& operator<<(std::ostream& out, Overdue overdue) { return out << static_cast<int>(overdue); }
inline std::ostream& operator<<(std::ostream& out, Refusal refusal) { return out << static_cast<int>(refusal); }

}  // namespace gate
