// SPDX-License-Identifier: Apache-2.0
// Requests that have a host: their time limits, and hosts that do not answer.
#include <deque>
#include <memory>
#include <random>

#include "../decision.h"
#include "check.h"
#include "fakes.h"

namespace gate {
namespace {

struct Limited {
  Time response_start, idle, request;
  std::vector<Time> heard;  // when bytes of the answer come
  Time due;                 // kNever: no limit passes during the test
  Overdue why;
};

// Each row is a request that gets its host at 100.
TEST(a_request_is_overdue_when_it_passes_the_first_of_its_limits) {
  const Limited rows[] = {
      {0, 0, 0, {}, kNever, Overdue::kNone},
      {3, 0, 0, {}, 103, Overdue::kResponseStart},
      {3, 0, 0, {102.9}, kNever, Overdue::kNone},
      {0, 2, 0, {}, 102, Overdue::kIdle},
      {0, 2, 0, {101, 102.5, 104}, 106, Overdue::kIdle},
      {0, 0, 5, {}, 105, Overdue::kRequest},
      {0, 0, 5, {101, 102, 103, 104}, 105, Overdue::kRequest},
      {3, 2, 9, {101, 102}, 104, Overdue::kIdle},
      {0.2, 0, 300, {}, 100.2, Overdue::kResponseStart},
  };
  for (const Limited& row : rows) {
    Settings settings;
    settings.response_start = row.response_start;
    settings.idle = row.idle;
    settings.request = row.request;
    World world(settings, {"a"});
    FakeRequest request;
    world.arrive(request, 100);
    auto byte = row.heard.begin();
    Time woken = kNever;
    for (Time time = 100; time < 120; time += 0.05) {
      if (byte != row.heard.end() && *byte <= time) world.revision->heard(request, *byte++);
      world.revision->tick(time);
      if (request.woken > 0 && woken == kNever) woken = time;
    }
    CHECK(row.due == kNever ? woken == kNever : woken >= row.due && woken < row.due + 0.1);
    CHECK_EQ(request.overdue(), row.why);
    CHECK(request.woken <= 1);
    CHECK_EQ(world.revision->report(120).in_flight, 1u);  // until its owner ends it
    world.revision->end(request, 120);
  }
}

TEST(the_time_in_the_queue_does_not_count_toward_the_limits_at_a_host) {
  Settings settings;
  settings.container_concurrency = 1;
  settings.response_start = 3;
  World world(settings, {"a"});
  FakeRequest first, second;
  world.arrive(first, 100);
  world.arrive(second, 100);
  world.revision->heard(first, 101);
  world.revision->end(first, 110, 200);
  world.revision->tick(112);
  CHECK_EQ(second.overdue(), Overdue::kNone);
  world.revision->tick(113);
  CHECK_EQ(second.overdue(), Overdue::kResponseStart);
  world.revision->end(second, 113);
}

// Two hosts. A request waits at the first one, and other requests are answered at once. The least loaded host gets the
// next request.
struct Pair : World {
  Pair() : World({}, {"a", "b"}) {
    arrive(stuck, 100);
    CHECK_EQ(stuck.at(), "a");
  }

  // The host of a request that is answered after `took`, if its host answers.
  std::string at(Time now, Time took = 0.01) {
    FakeRequest request;
    arrive(request, now);
    const std::string host = request.at();
    if (host != "a" || a_answers) revision->heard(request, now + took);
    revision->end(request, now + took, 200);
    return host;
  }

  // How many of `count` requests at that time the first host gets. None is answered before all have arrived.
  int at_first(Time now, int count) {
    std::deque<FakeRequest> requests;
    int first = 0;
    for (int each = 0; each < count; ++each) {
      arrive(requests.emplace_back(), now);
      first += requests.back().at() == "a";
    }
    for (FakeRequest& request : requests) revision->end(request, now);
    return first;
  }

  FakeRequest stuck;
  bool a_answers = false;
};

TEST(a_host_that_does_not_answer_while_another_does_gets_no_new_requests) {
  Pair pair;
  CHECK_EQ(pair.at(100.1), "b");
  CHECK_EQ(pair.at_first(100.2, 10), 5);
  pair.revision->tick(101);
  CHECK_EQ(pair.at_first(101.1, 10), 0);
  CHECK_EQ(pair.revision->report(101.1).in_flight, 1u);
  pair.revision->end(pair.stuck, 101.2);
}

TEST(a_silent_host_gets_single_trial_requests_until_it_answers) {
  Pair pair;
  pair.at(100.1);
  pair.revision->tick(101);
  pair.revision->tick(102);
  CHECK_EQ(pair.at_first(102, 10), 1);
  pair.revision->tick(103.9);
  CHECK_EQ(pair.at_first(103.9, 10), 0);
  pair.revision->tick(104);
  pair.a_answers = true;
  FakeRequest elsewhere[2];  // now the first host has no more requests than the other
  for (FakeRequest& each : elsewhere) pair.arrive(each, 104);
  pair.revision->heard(elsewhere[0].at() == "a" ? elsewhere[0] : elsewhere[1], 104.1);
  pair.revision->tick(104.2);
  for (FakeRequest& each : elsewhere) pair.revision->end(each, 104.3, 200);
  CHECK_EQ(pair.at_first(104.4, 9), 4);
  pair.revision->end(pair.stuck, 105);
}

TEST(a_trial_does_not_exceed_the_concurrency) {
  Settings settings;
  settings.container_concurrency = 1;
  World world(settings, {"a", "b"});
  FakeRequest stuck, answered, next, waits;
  world.arrive(stuck, 100);
  world.arrive(answered, 100);
  world.revision->heard(answered, 100.1);
  world.revision->end(answered, 100.1, 200);
  for (Time time = 101; time < 110; time += 0.1) world.revision->tick(time);
  CHECK_EQ(world.arrive(next, 110), State::kPlaced);
  CHECK_EQ(world.arrive(waits, 110), State::kWaiting);
  for (FakeRequest* each : {&waits, &next, &stuck}) world.revision->end(*each, 110);
}

TEST(a_host_is_not_silent_while_no_other_answers) {
  Pair pair;
  for (Time time = 100; time < 120; time += 0.1) pair.revision->tick(time);
  CHECK_EQ(pair.at_first(120, 10), 5);
  pair.revision->end(pair.stuck, 120);
}

TEST(a_host_that_answers_other_requests_is_not_silent) {
  Pair pair;
  pair.a_answers = true;
  for (Time time = 100.1; time < 110; time += 0.1) {
    FakeRequest one, other;
    pair.arrive(one, time);
    pair.arrive(other, time);
    pair.revision->heard(one, time);
    pair.revision->heard(other, time);
    pair.revision->end(one, time, 200);
    pair.revision->end(other, time, 200);
    pair.revision->tick(time);
  }
  CHECK_EQ(pair.at_first(110, 11), 5);
  pair.revision->end(pair.stuck, 110);
}

TEST(a_host_is_not_silent_before_four_times_the_slowest_recent_answer) {
  Pair pair;
  CHECK_EQ(pair.at(100.1, 10), "b");  // a long poll
  pair.at(111);
  for (Time time = 101; time < 139; time += 0.1) pair.revision->tick(time);
  CHECK_EQ(pair.at_first(139, 10), 5);
  for (Time time = 139; time < 141; time += 0.1) pair.revision->tick(time);
  CHECK_EQ(pair.at_first(141, 10), 0);
  pair.revision->end(pair.stuck, 142);
}

TEST(the_last_host_is_used_even_if_it_does_not_answer) {
  Pair pair;
  pair.at(100.1);
  pair.revision->tick(101);
  pair.revision->learn(0, {"a"}, 101.1);
  pair.revision->tick(101.2);
  FakeRequest request;
  CHECK_EQ(pair.arrive(request, 101.3), State::kPlaced);
  CHECK_EQ(request.at(), "a");
  pair.revision->end(request, 102);
  pair.revision->end(pair.stuck, 102);
}

struct Thing : Watched {
  Time next = kNever;  // when the next check is due, after the first
  Time added = 0;
  std::vector<Time> looks;
};

TEST(everything_watched_is_checked_when_it_is_due_until_it_is_removed) {
  constexpr Time kFirst = 1;
  std::mt19937 random(1);
  Watchlist list;
  std::vector<std::unique_ptr<Thing>> things;
  for (Time now = 0; now < 200; now += 0.1) {
    for (unsigned each = random() % 3; each > 0; --each) {
      things.push_back(std::make_unique<Thing>());
      things.back()->added = now;
      list.add(*things.back(), now);
    }
    if (!things.empty() && random() % 2 == 0) {
      const size_t index = random() % things.size();
      list.remove(*things[index]);
      things.erase(things.begin() + static_cast<std::ptrdiff_t>(index));
    }
    list.check(now, kFirst, [&](Watched& watched) {
      Thing& thing = static_cast<Thing&>(watched);
      CHECK(now >= (thing.looks.empty() ? thing.added + kFirst : thing.next));
      thing.looks.push_back(now);
      return thing.next = random() % 4 == 0 ? kNever : now + 0.05 + static_cast<Time>(random() % 40) / 10;
    });
    for (const auto& thing : things) CHECK((thing->looks.empty() ? thing->added + kFirst : thing->next) > now);
  }
  for (const auto& thing : things) list.remove(*thing);
  list.check(kNever, kFirst, [](Watched&) -> Time { check::fail(__FILE__, __LINE__, "one was left"); });
}

}  // namespace
}  // namespace gate
