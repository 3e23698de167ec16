// SPDX-License-Identifier: Apache-2.0
// Workers as threads: each serves its own streams and wakes streams of the others. For ThreadSanitizer, and for the
// limit of requests at a host.
#include <array>
#include <atomic>
#include <deque>
#include <random>
#include <thread>

#include "../table.h"
#include "check.h"
#include "fakes.h"

namespace gate {
namespace {

constexpr unsigned kThreads = 4, kHosts = 3, kConcurrency = 2, kStreams = 20;
constexpr std::array<std::string_view, kHosts> kAddresses = {"0", "1", "2"};
std::array<std::atomic<int>, kHosts> running;

// A worker's event queue, like Envoy's dispatcher.
struct Mail {
  std::mutex lock;
  std::deque<struct MailedRequest*> woken;
};

struct MailedRequest final : Request {
  MailedRequest(unsigned worker, Mail& mail) : Request(worker), mail(mail) {}
  void wake() override {
    std::lock_guard lock(mail.lock);
    mail.woken.push_back(this);
  }

  Mail& mail;
  bool waiting = false;
  int slot = -1;
};

class Worker {
 public:
  Worker(Table& table, unsigned number) : number_(number), random_(number), revision_(table.at("default/busy-00001")) {}

  void run() {
    learn(true);
    for (int step = 0; step < 5000; ++step) {
      read_mail();
      const unsigned dice = random_() % 100;
      if (dice < 2) learn(random_() % 4 != 0);
      if (dice < 50 && streams_.size() < kStreams) arrive();
      if (dice >= 50 && !streams_.empty()) end(random_() % streams_.size());
      if (dice == 99) revision_->tick(step);
    }
    while (!streams_.empty()) {
      read_mail();
      end(0);
    }
    revision_->leave(number_, 0);
  }

 private:
  void learn(bool known) {
    using Addresses = std::vector<std::string_view>;
    revision_->learn(number_, known ? Addresses(kAddresses.begin(), kAddresses.end()) : Addresses{}, 0);
  }

  void arrive() {
    auto stream = std::make_unique<MailedRequest>(number_, mail_);
    const State state = revision_->arrive(*stream, 0) ? State::kPlaced : revision_->wait(*stream, 0);
    stream->waiting = state == State::kWaiting;
    if (state == State::kPlaced) go(*stream);
    streams_.push_back(std::move(stream));
  }

  void read_mail() {
    std::deque<MailedRequest*> woken;
    {
      std::lock_guard lock(mail_.lock);
      woken.swap(mail_.woken);
    }
    for (MailedRequest* stream : woken) {
      if (!stream->waiting) {
        CHECK(stream->overdue() != Overdue::kNone);
        continue;
      }
      const State state = revision_->confirm(*stream, 0);
      stream->waiting = state == State::kWaiting;
      if (state == State::kPlaced) go(*stream);
    }
  }

  static void go(MailedRequest& stream) {
    stream.slot = std::stoi(stream.host()->address);
    CHECK(++running[stream.slot] <= static_cast<int>(kConcurrency));
  }

  void end(size_t index) {
    auto stream = std::move(streams_[index]);
    streams_.erase(streams_.begin() + static_cast<std::ptrdiff_t>(index));
    if (stream->slot >= 0 && random_() % 2 == 0) revision_->heard(*stream, 1);
    if (stream->slot >= 0) --running[stream->slot];
    revision_->end(*stream, 0);
    std::lock_guard lock(mail_.lock);
    std::erase(mail_.woken, stream.get());  // like Envoy: no event for a destroyed stream
  }

  const unsigned number_;
  std::minstd_rand random_;
  std::shared_ptr<Revision> revision_;
  Mail mail_;
  std::vector<std::unique_ptr<MailedRequest>> streams_;
};

TEST(no_thread_sees_a_host_above_its_concurrency) {
  FakeListener listener;
  Table table(listener);
  {
    auto revision = table.at("default/busy-00001");
    Settings settings;
    settings.container_concurrency = kConcurrency;
    settings.response_start = 1;
    settings.request = 100;
    revision->configure(settings, 0);
    std::vector<std::thread> threads;
    for (unsigned number = 0; number < kThreads; ++number)
      threads.emplace_back([&table, number] { Worker(table, number).run(); });
    for (auto& thread : threads) thread.join();
    const Report report = revision->report(0);
    CHECK_EQ(report.in_flight + report.queued, 0u);
    CHECK_EQ(report.hosts.size(), 0u);
  }
  CHECK_EQ(table.size(), 0u);
}

TEST(a_revision_exists_as_long_as_a_pointer_to_it) {
  FakeListener listener;
  Table table(listener);
  auto held = table.at("default/hello-00001");
  CHECK(table.at("default/hello-00001") == held);
  CHECK_EQ(table.all().size(), 1u);
  held.reset();
  CHECK_EQ(table.size(), 0u);
}

}  // namespace
}  // namespace gate
