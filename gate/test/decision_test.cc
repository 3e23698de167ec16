// SPDX-License-Identifier: Apache-2.0
// The rules of the decision, one by one.
#include "../decision.h"

#include <cmath>
#include <deque>
#include <map>

#include "check.h"
#include "fakes.h"

namespace gate {
namespace {

Settings one_at_a_time() {
  Settings settings;
  settings.container_concurrency = 1;
  return settings;
}

TEST(a_request_takes_the_least_loaded_host) {
  World world({}, {"a", "b"});
  FakeRequest first, second, third;
  world.arrive(first);
  world.arrive(second);
  const std::string freed = first.at();
  CHECK(freed != second.at());
  world.revision->end(first, 1);
  world.arrive(third);
  CHECK_EQ(third.at(), freed);
}

TEST(ties_are_spread_evenly) {
  World world({}, {"a", "b", "c"});
  std::map<std::string, int> used;
  for (int each = 0; each < 300; ++each) {
    FakeRequest request;
    world.arrive(request);
    ++used[request.at()];
    world.revision->end(request, 0);
  }
  CHECK_EQ(used["a"], 100);
  CHECK_EQ(used["b"], 100);
  CHECK_EQ(used["c"], 100);
}

TEST(a_host_never_gets_more_than_its_concurrency) {
  World world(one_at_a_time(), {"a", "b"});
  FakeRequest first, second, third;
  CHECK_EQ(world.arrive(first), State::kPlaced);
  CHECK_EQ(world.arrive(second), State::kPlaced);
  CHECK_EQ(world.arrive(third), State::kWaiting);
  world.revision->end(third, 0);
}

TEST(the_request_that_waits_longest_gets_a_freed_slot) {
  World world(one_at_a_time(), {"a"});
  FakeRequest running, older, newer;
  world.arrive(running);
  world.arrive(older);
  world.arrive(newer);
  world.revision->end(running, 1);
  CHECK_EQ(older.woken, 1);
  CHECK_EQ(older.at(), "a");
  CHECK_EQ(newer.woken, 0);
}

TEST(waiting_requests_get_a_new_host_at_once) {
  World world(one_at_a_time());
  FakeRequest first, second;
  world.arrive(first);
  world.arrive(second);
  world.revision->learn(0, {"a", "b"}, 1);
  CHECK_EQ(first.woken + second.woken, 2);
  CHECK(first.at() != second.at());
}

TEST(a_request_whose_client_disconnects_leaves_the_queue_at_once) {
  World world(one_at_a_time(), {"a"});
  FakeRequest running, gone, next;
  world.arrive(running);
  world.arrive(gone);
  world.arrive(next);
  world.revision->end(gone, 1);
  CHECK_EQ(world.revision->report(1).queued, 1u);
  world.revision->end(running, 2);
  CHECK_EQ(next.at(), "a");
}

TEST(a_worker_gives_its_streams_only_hosts_that_it_knows) {
  World world({}, {"a"});
  world.revision->learn(1, {}, 0);
  FakeRequest other(1);
  CHECK_EQ(world.arrive(other), State::kWaiting);
  world.revision->learn(1, {"a"}, 1);
  CHECK_EQ(other.woken, 1);
  CHECK_EQ(other.at(), "a");
}

TEST(a_younger_request_gets_a_slot_that_the_oldest_cannot_use) {
  World world(one_at_a_time(), {"a"});
  world.revision->learn(1, {}, 0);
  FakeRequest running, elsewhere(1), here;
  world.arrive(running);
  world.arrive(elsewhere);
  world.arrive(here);
  world.revision->end(running, 1);
  CHECK_EQ(elsewhere.woken, 0);
  CHECK_EQ(here.at(), "a");
}

TEST(a_deleted_host_gets_no_new_requests_and_is_reported_until_its_last_request_ends) {
  World world({}, {"a"});
  FakeRequest running, next;
  world.arrive(running);
  world.revision->learn(0, {}, 1);
  CHECK_EQ(world.arrive(next), State::kWaiting);
  CHECK_EQ(world.revision->report(1).hosts.size(), 1u);
  const int before = world.listener.urgents;
  world.revision->end(running, 2);
  CHECK_EQ(world.revision->report(2).hosts.size(), 0u);
  CHECK_EQ(world.listener.urgents, before + 1);
}

TEST(a_host_that_comes_back_is_used_again_with_the_requests_it_still_has) {
  World world(one_at_a_time(), {"a"});
  FakeRequest running, next;
  world.arrive(running);
  world.revision->learn(0, {}, 1);
  world.revision->learn(0, {"a"}, 2);
  CHECK_EQ(world.arrive(next), State::kWaiting);
  world.revision->end(running, 3);
  CHECK_EQ(next.at(), "a");
}

TEST(a_request_whose_host_is_deleted_before_it_leaves_gets_another_host_or_its_old_turn) {
  World world(one_at_a_time(), {"a"});
  FakeRequest running, first, second;
  world.arrive(running);
  world.arrive(first);
  world.arrive(second);
  world.revision->end(running, 1);
  world.revision->learn(0, {}, 2);
  CHECK_EQ(world.revision->confirm(first, 2), State::kWaiting);
  world.revision->learn(0, {"b"}, 3);
  CHECK_EQ(first.woken, 2);
  CHECK_EQ(second.woken, 0);
  CHECK_EQ(world.revision->confirm(first, 3), State::kPlaced);
}

TEST(a_failed_attempt_is_retried_at_another_host_with_a_free_slot) {
  World world(one_at_a_time(), {"a", "b"});
  FakeRequest request;
  world.arrive(request);
  const std::string failed = request.at();
  CHECK(world.revision->retry(request, 1));
  CHECK(request.at() != failed);
  CHECK_EQ(world.revision->report(1).in_flight, 1u);
}

TEST(a_failed_attempt_is_retried_at_the_same_host_when_no_other_is_free) {
  World world(one_at_a_time(), {"a", "b"});
  FakeRequest request, other;
  world.arrive(request);
  world.arrive(other);
  const std::string failed = request.at();
  CHECK(world.revision->retry(request, 1));
  CHECK_EQ(request.at(), failed);
}

TEST(the_next_free_slot_is_reserved_for_a_retry) {
  World world(one_at_a_time(), {"a", "b"});
  FakeRequest failed, other, waits;
  world.arrive(failed);
  world.arrive(other);
  world.arrive(waits);
  const std::string alive = other.at();
  CHECK(world.revision->retry(failed, 1));
  world.revision->end(other, 2);
  CHECK_EQ(waits.woken, 0);
  CHECK(world.revision->retry(failed, 2.05));
  CHECK_EQ(failed.at(), alive);
  world.revision->tick(3);
  CHECK(waits.at() != alive);
}

TEST(a_waiting_request_gets_a_reserved_slot_that_the_retry_does_not_need) {
  for (const int way : {0, 1, 2}) {
    World world(one_at_a_time(), {"a", "b"});
    FakeRequest failed, other, waits;
    world.arrive(failed);
    world.arrive(other);
    world.arrive(waits);
    CHECK(world.revision->retry(failed, 1));
    world.revision->end(other, 1);
    CHECK_EQ(waits.woken, 0);
    if (way == 0) world.revision->settle(failed, 1);
    if (way == 1) world.revision->end(failed, 1);
    if (way == 2) world.revision->tick(2);
    CHECK_EQ(waits.woken, 1);
  }
}

TEST(a_retry_finds_no_host_when_its_host_is_deleted_and_no_other_is_free) {
  World world(one_at_a_time(), {"a"});
  FakeRequest request;
  world.arrive(request);
  world.revision->learn(0, {}, 1);
  CHECK(!world.revision->retry(request, 1));
}

TEST(a_host_that_failed_rests_and_is_used_again) {
  World world(one_at_a_time(), {"a"});
  FakeRequest failed, next;
  world.arrive(failed);
  world.revision->unreached(failed, 1);
  world.revision->end(failed, 1);
  CHECK_EQ(world.arrive(next, 1), State::kWaiting);
  CHECK(!world.revision->idle());
  world.revision->tick(1.05);
  CHECK_EQ(next.woken, 0);
  world.revision->tick(1.2);
  CHECK_EQ(next.at(), "a");
}

TEST(a_request_that_replaces_another_keeps_its_turn_and_its_deadline) {
  World world(one_at_a_time(), {"a"});
  FakeRequest running, first, second, again;
  world.arrive(running);
  world.arrive(first, 1);
  world.arrive(second, 2);
  const Turn turn = world.revision->end(first, 3);
  CHECK(!world.revision->arrive(again, 3, &turn));
  CHECK_EQ(world.revision->wait(again, 3), State::kWaiting);
  CHECK_EQ(world.revision->report(3).requests, 3u);
  world.revision->tick(301);
  CHECK_EQ(again.refusal(), Refusal::kDeadline);
  CHECK_EQ(second.woken, 0);
}

TEST(a_full_queue_refuses_a_request) {
  Settings settings = one_at_a_time();
  settings.queue_length = 1;
  World world(settings);
  FakeRequest waits, refused;
  CHECK_EQ(world.arrive(waits), State::kWaiting);
  CHECK_EQ(world.arrive(refused), State::kRefused);
  CHECK_EQ(refused.refusal(), Refusal::kQueueFull);
  const Report report = world.revision->report(0);
  CHECK_EQ(report.refused[static_cast<size_t>(Refusal::kQueueFull)], 1u);
  CHECK_EQ(report.responses.of(503), 1u);
  CHECK_EQ(report.queued, 1u);
}

TEST(a_request_that_waits_past_its_deadline_is_refused) {
  Settings settings;
  settings.queue_deadline = 10;
  World world(settings);
  FakeRequest old, young;
  world.arrive(old, 0);
  world.arrive(young, 5);
  world.revision->tick(9.9);
  CHECK_EQ(old.woken, 0);
  world.revision->tick(10);
  CHECK_EQ(old.refusal(), Refusal::kDeadline);
  CHECK_EQ(young.woken, 0);
  CHECK_EQ(world.revision->report(10).queued, 1u);
}

TEST(held_bytes_count_only_while_their_request_waits) {
  Settings settings;
  settings.held_bytes = 100;
  World world(settings);
  FakeRequest first, second, third;
  world.arrive(first);
  CHECK(world.revision->hold(first, 100, 0));
  world.arrive(second);
  CHECK(!world.revision->hold(second, 1, 0));
  CHECK_EQ(second.refusal(), Refusal::kHeldBytes);
  world.revision->end(second, 0);
  world.revision->end(first, 0);
  world.arrive(third);
  CHECK(world.revision->hold(third, 100, 0));
}

TEST(copies_hold_slots_like_other_requests_and_wait_behind_them) {
  World world(one_at_a_time(), {"a"});
  FakeRequest copy(0, true), waiting_copy(0, true), client;
  CHECK_EQ(world.arrive(copy), State::kPlaced);
  CHECK_EQ(world.arrive(waiting_copy), State::kWaiting);
  CHECK_EQ(world.arrive(client), State::kWaiting);
  world.revision->end(copy, 1);
  CHECK_EQ(client.at(), "a");
  CHECK_EQ(waiting_copy.woken, 0);
  world.revision->end(client, 2);
  CHECK_EQ(waiting_copy.at(), "a");
  CHECK(std::abs(world.revision->report(2).queue_seconds - (1 + 2)) < 1e-9);
}

TEST(copies_have_their_own_queue_limits_and_take_no_room_from_clients) {
  Settings settings = one_at_a_time();
  settings.queue_length = 1;
  settings.held_bytes = 100;
  settings.mirror_queue_length = 2;
  settings.mirror_held_bytes = 10;
  World world(settings);
  FakeRequest copies[] = {FakeRequest(0, true), FakeRequest(0, true), FakeRequest(0, true)}, client, refused;
  CHECK_EQ(world.arrive(copies[0]), State::kWaiting);
  CHECK_EQ(world.arrive(copies[1]), State::kWaiting);
  CHECK_EQ(world.arrive(copies[2]), State::kRefused);
  CHECK_EQ(world.arrive(client), State::kWaiting);
  CHECK_EQ(world.arrive(refused), State::kRefused);
  CHECK(!world.revision->hold(copies[0], 11, 0));
  CHECK(world.revision->hold(client, 100, 0));
  CHECK(world.revision->hold(copies[1], 10, 0));
}

TEST(a_copy_behind_any_number_of_requests_is_refused_at_its_deadline) {
  Settings settings = one_at_a_time();
  settings.queue_deadline = 10;
  World world(settings);
  FakeRequest copy(0, true), client;
  world.arrive(copy, 0);
  world.arrive(client, 5);
  world.revision->tick(9.9);
  CHECK_EQ(copy.woken, 0);
  world.revision->tick(10);
  CHECK_EQ(copy.refusal(), Refusal::kDeadline);
  CHECK_EQ(client.woken, 0);
}

TEST(the_outcomes_of_copies_are_counted_separately) {
  Settings settings = one_at_a_time();
  settings.mirror_queue_length = 0;
  World world(settings, {"a"});
  FakeRequest copy(0, true), dropped(0, true), client;
  world.arrive(copy);
  world.arrive(dropped);
  world.revision->end(copy, 1, 500);
  world.arrive(client, 1);
  world.revision->end(client, 2, 200);
  const Report report = world.revision->report(2);
  CHECK_EQ(report.requests, 1u);
  CHECK_EQ(report.responses.of(200), 1u);
  CHECK_EQ(report.responses.of(500), 0u);
  CHECK_EQ(report.refused[static_cast<size_t>(Refusal::kQueueFull)], 0u);
  CHECK_EQ(report.mirrored.requests, 2u);
  CHECK_EQ(report.mirrored.responses.of(500), 1u);
  CHECK_EQ(report.mirrored.responses.of(503), 0u);
  CHECK_EQ(report.request_latency.seconds(), 1.0);
  CHECK_EQ(report.mirrored.refused[static_cast<size_t>(Refusal::kQueueFull)], 1u);
  CHECK(std::abs(report.concurrency_seconds - 2) < 1e-9);
}

TEST(an_unavailable_revision_refuses_only_requests_that_find_no_host) {
  Settings settings = one_at_a_time();
  World world(settings);
  FakeRequest waiting, late, runs, waits;
  world.arrive(waiting);
  settings.unavailable = "it does not start";
  world.revision->configure(settings, 1);
  CHECK_EQ(waiting.refusal(), Refusal::kUnavailable);
  CHECK_EQ(waiting.woken, 1);
  CHECK_EQ(world.arrive(late), State::kRefused);
  world.revision->learn(0, {"a"}, 2);
  CHECK_EQ(world.arrive(runs), State::kPlaced);
  CHECK_EQ(world.arrive(waits), State::kWaiting);
  world.revision->learn(0, {}, 3);
  CHECK_EQ(waits.refusal(), Refusal::kUnavailable);
}

TEST(a_worker_whose_cluster_is_deleted_refuses_its_waiting_requests) {
  World world;
  world.revision->learn(1, {}, 0);
  FakeRequest here, there(1);
  world.arrive(here);
  world.arrive(there);
  world.revision->leave(1, 1);
  CHECK_EQ(there.refusal(), Refusal::kRemoved);
  CHECK_EQ(here.woken, 0);
}

TEST(a_worker_whose_cluster_is_replaced_keeps_its_slots) {
  World world(one_at_a_time(), {"a"});
  FakeRequest running, next;
  world.arrive(running);
  world.revision->configure(one_at_a_time(), 1);
  world.revision->learn(0, {"a"}, 1);
  CHECK_EQ(world.arrive(next), State::kWaiting);
  CHECK_EQ(world.revision->report(1).requests, 2u);
}

TEST(waiting_requests_get_the_slots_of_a_raised_concurrency) {
  Settings settings = one_at_a_time();
  World world(settings, {"a"});
  FakeRequest running, next;
  world.arrive(running);
  world.arrive(next);
  settings.container_concurrency = 2;
  world.revision->configure(settings, 1);
  CHECK_EQ(next.at(), "a");
}

TEST(the_integrals_are_exact) {
  World world(one_at_a_time(), {"a"});
  FakeRequest first, second;
  world.arrive(first, 10);
  world.arrive(second, 11);
  world.revision->end(first, 13);
  world.revision->end(second, 14);
  const Report report = world.revision->report(20);
  CHECK(std::abs(report.concurrency_seconds - (3 + 3)) < 1e-9);
  CHECK(std::abs(report.queue_seconds - 2) < 1e-9);
}

TEST(the_integrals_are_exact_when_times_come_out_of_order) {
  World world({}, {"a"});
  FakeRequest first, second;
  world.arrive(first, 10);
  world.arrive(second, 9);
  world.revision->end(first, 12);
  world.revision->end(second, 11);
  CHECK(std::abs(world.revision->report(20).concurrency_seconds - (2 + 2)) < 1e-9);
}

TEST(answers_are_counted_by_status_code) {
  World world({}, {"a"});
  for (unsigned status : {404u, 200u, 201u, 200u, 101u, 0u, 99u, 600u, 599u}) {
    FakeRequest request;
    world.arrive(request);
    world.revision->end(request, 0, valid_http_status(status));
  }
  const Report report = world.revision->report(0);
  const std::vector<std::pair<unsigned, uint64_t>> counted(report.responses.begin(), report.responses.end());
  const std::vector<std::pair<unsigned, uint64_t>> expected = {{101, 1}, {200, 2}, {201, 1}, {404, 1}, {599, 1}};
  CHECK(counted == expected);
}

TEST(a_latency_counts_once_in_the_first_bucket_whose_bound_it_does_not_exceed) {
  Latency latency;
  for (Time took : {0.0, 0.0005, 0.00051, 300.0, 301.0}) latency.count(took);
  const auto& within = latency.within();
  CHECK_EQ(within.front(), 2u);
  CHECK_EQ(within[1], 1u);
  CHECK_EQ(within[Latency::kBounds.size() - 2], 1u);
  CHECK_EQ(within.back(), 1u);
  CHECK(std::abs(latency.seconds() - 601.00101) < 1e-9);
}

TEST(latencies_of_answers_are_counted_with_and_without_the_time_in_the_queue) {
  World world(one_at_a_time(), {"a"});
  FakeRequest first, second, aborted;
  world.arrive(first, 0);
  world.arrive(second, 1);
  world.arrive(aborted, 1);
  world.revision->end(first, 3, 200);
  world.revision->end(aborted, 3);
  world.revision->end(second, 7, 500);
  const Report report = world.revision->report(7);
  CHECK_EQ(report.request_latency.seconds(), 3.0 + 6.0);
  CHECK_EQ(report.app_request_latency.seconds(), 3.0 + 4.0);
}

TEST(a_refusal_has_a_request_latency_and_no_app_latency) {
  Settings settings;
  settings.queue_deadline = 10;
  World world(settings);
  FakeRequest refused;
  world.arrive(refused, 1);
  world.revision->tick(11);
  world.revision->end(refused, 12);
  const Report report = world.revision->report(12);
  CHECK_EQ(report.request_latency.seconds(), 10.0);
  CHECK_EQ(report.app_request_latency.seconds(), 0.0);
}

TEST(the_answer_of_a_request_that_is_not_replaced_after_all_is_counted) {
  World world({}, {"a"});
  FakeRequest request;
  world.arrive(request);
  world.revision->end(request, 1);
  world.revision->end(request, 2, 502);
  const Report report = world.revision->report(2);
  CHECK_EQ(report.responses.of(502), 1u);
  CHECK_EQ(report.in_flight, 0u);
}

TEST(a_queue_is_urgent_with_its_first_request_and_each_time_it_has_doubled) {
  World world;
  std::deque<FakeRequest> waiting;
  std::vector<size_t> urgent;
  while (waiting.size() < 100) {
    const int before = world.listener.urgents;
    world.arrive(waiting.emplace_back());
    if (world.listener.urgents > before) urgent.push_back(waiting.size());
  }
  CHECK(urgent == (std::vector<size_t>{1, 2, 4, 8, 16, 32, 64}));
}

TEST(a_queue_that_fills_and_empties_is_urgent_once_a_tick) {
  World world;
  for (const Time tick : {0.0, 0.1}) {
    const int before = world.listener.urgents;
    for (int turn = 0; turn < 10; ++turn) {
      FakeRequest request;
      world.arrive(request, tick);
      world.revision->end(request, tick);
    }
    CHECK_EQ(world.listener.urgents, before + 1);
    world.revision->tick(tick + 0.1);
  }
}

TEST(a_queue_is_urgent_again_when_it_is_twice_as_long_as_at_its_tick) {
  World world;
  std::deque<FakeRequest> waiting;
  for (int request = 0; request < 6; ++request) world.arrive(waiting.emplace_back());
  world.revision->tick(0.1);
  const int before = world.listener.urgents;
  while (waiting.size() < 11) world.arrive(waiting.emplace_back());
  CHECK_EQ(world.listener.urgents, before);
  world.arrive(waiting.emplace_back());
  CHECK_EQ(world.listener.urgents, before + 1);
}

TEST(a_revision_is_active_from_its_first_change_until_all_is_reported_and_no_request_runs) {
  World world({}, {"a"});
  CHECK_EQ(world.listener.actives, 1);
  world.revision->reported(world.revision->report(0).version);
  CHECK(world.revision->idle());
  FakeRequest request;
  world.arrive(request);
  CHECK_EQ(world.listener.actives, 2);
  world.revision->reported(world.revision->report(0).version);
  CHECK(!world.revision->idle());
  world.revision->end(request, 1);
  CHECK(!world.revision->idle());
  world.revision->reported(world.revision->report(1).version);
  CHECK(world.revision->idle());
}

TEST(a_worker_that_learns_a_known_host_changes_nothing_to_report) {
  World world({}, {"a"});
  world.revision->reported(world.revision->report(0).version);
  world.revision->learn(1, {"a"}, 0);
  CHECK(world.revision->is_reported());
  world.revision->learn(1, {"a", "b"}, 0);
  CHECK(!world.revision->is_reported());
  world.revision->reported(world.revision->report(0).version);
  world.revision->learn(0, {"b"}, 0);
  CHECK(world.revision->is_reported());  // worker 1 still knows the other host
  world.revision->learn(1, {"b"}, 0);
  CHECK(!world.revision->is_reported());
}

TEST(a_revision_whose_hosts_become_shared_reports_their_shares) {
  World world({}, {"a"});
  world.revision->reported(world.revision->report(0).version);
  Settings settings;
  settings.shared = true;
  world.revision->configure(settings, 0);
  CHECK(!world.revision->is_reported());
}

Settings shared(unsigned concurrency) {
  Settings settings;
  settings.container_concurrency = concurrency;
  settings.shared = true;
  return settings;
}

TEST(only_the_share_of_a_shared_host_is_used) {
  World world(shared(3), {"a", "b"});
  FakeRequest none;
  CHECK_EQ(world.arrive(none), State::kWaiting);  // no share is known yet
  world.revision->share({{"a", 1, 2}, {"b", 2, 0}}, 0);
  CHECK_EQ(none.at(), "a");
  FakeRequest second, third;
  CHECK_EQ(world.arrive(second), State::kPlaced);
  CHECK_EQ(second.at(), "a");
  CHECK_EQ(world.arrive(third), State::kWaiting);
  world.revision->share({{"b", 3, 1}}, 0);
  CHECK_EQ(third.at(), "b");
  for (FakeRequest* each : {&none, &second, &third}) world.revision->end(*each, 0);
}

TEST(a_share_is_never_more_than_the_concurrency) {
  World world(shared(1), {"a"});
  world.revision->share({{"a", 1, 5}}, 0);
  FakeRequest first, second;
  world.arrive(first);
  CHECK_EQ(world.arrive(second), State::kWaiting);
  world.revision->end(second, 0);
  world.revision->end(first, 0);
}

TEST(a_lowered_share_lets_running_requests_end_and_accepts_no_new_ones) {
  World world(shared(2), {"a"});
  world.revision->share({{"a", 1, 2}}, 0);
  FakeRequest first, second, third;
  world.arrive(first);
  world.arrive(second);
  world.revision->share({{"a", 2, 1}}, 0);
  CHECK_EQ(world.arrive(third), State::kWaiting);
  CHECK_EQ(world.revision->report(0).hosts[0].second, 2u);
  const int urgent = world.listener.urgents;
  world.revision->end(first, 0);
  CHECK_EQ(world.listener.urgents, urgent + 1);  // the slot belongs to another gateway now
  CHECK_EQ(third.state(), State::kWaiting);
  world.revision->end(second, 0);
  CHECK_EQ(third.at(), "a");
  CHECK_EQ(world.listener.urgents, urgent + 1);
  world.revision->end(third, 0);
}

TEST(an_older_share_changes_nothing) {
  World world(shared(2), {"a"});
  world.revision->share({{"a", 7, 1}}, 0);
  world.revision->share({{"a", 6, 2}}, 0);
  world.revision->share({{"a", 7, 2}}, 0);
  const Report report = world.revision->report(0);
  CHECK(report.shared);
  CHECK_EQ(report.shares.size(), 1u);
  CHECK_EQ(report.shares[0].first, 7u);
  CHECK_EQ(report.shares[0].second, 1u);
}

TEST(a_host_that_is_no_longer_shared_is_used_up_to_its_concurrency) {
  World world(shared(2), {"a"});
  FakeRequest first, second;
  world.arrive(first);
  world.arrive(second);
  Settings alone = shared(2);
  alone.shared = false;
  world.revision->configure(alone, 0);
  CHECK_EQ(first.at() + second.at(), "aa");
  CHECK(!world.revision->report(0).shared);
  world.revision->end(first, 0);
  world.revision->end(second, 0);
}

TEST(the_least_loaded_host_with_a_share_is_used) {
  World world(shared(4), {"a", "b", "c"});
  world.revision->share({{"a", 1, 4}, {"b", 1, 1}, {"c", 1, 2}}, 0);
  std::deque<FakeRequest> requests;
  std::map<std::string, int> used;
  for (int each = 0; each < 7; ++each) {
    CHECK_EQ(world.arrive(requests.emplace_back()), State::kPlaced);
    ++used[requests.back().at()];
    if (each == 4) CHECK_EQ(used["a"], 2);
  }
  CHECK_EQ(used["a"], 4);
  CHECK_EQ(used["b"], 1);
  CHECK_EQ(used["c"], 2);
  for (FakeRequest& each : requests) world.revision->end(each, 0);
}

}  // namespace
}  // namespace gate
