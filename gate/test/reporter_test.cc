// SPDX-License-Identifier: Apache-2.0
// The reporter against a real socket.
#include "../reporter.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>

#include "check.h"
#include "fakes.h"

namespace gate {
namespace {

// The control plane's end of the socket.
class Listening {
 public:
  Listening() {
    std::string folder = (std::filesystem::temp_directory_path() / "gate-test-XXXXXX").string();
    CHECK(mkdtemp(folder.data()) != nullptr);
    folder_ = folder;
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path().copy(address.sun_path, sizeof address.sun_path - 1);
    socket_ = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    CHECK(bind(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 && listen(socket_, 1) == 0);
  }
  ~Listening() {
    close(socket_);
    std::filesystem::remove_all(folder_);
  }

  std::string path() const { return folder_ + "/gate.sock"; }
  int accept() const { return ::accept(socket_, nullptr, nullptr); }

 private:
  std::string folder_;
  int socket_;
};

std::string receive(int connection) {
  std::string packet(1 << 17, 0);
  const ssize_t size = recv(connection, packet.data(), packet.size(), 0);
  packet.resize(size < 0 ? 0 : static_cast<size_t>(size));
  return packet;
}

size_t count(std::string_view text, std::string_view part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + part.size())) ++count;
  return count;
}

TEST(every_revision_is_reported_on_connect_even_to_a_slow_reader) {
  constexpr size_t kRevisions = 4000;  // several times as many as fit into a socket's buffer
  static Reporter& reporter = *new Reporter;
  static Table& table = *new Table(reporter);
  std::vector<std::shared_ptr<Revision>> revisions;
  for (size_t each = 0; each < kRevisions; ++each)
    revisions.push_back(table.at("default/" + std::string(100, 'x') + std::to_string(each)));
  for (int connections = 0; connections < 2; ++connections) {
    Listening control_plane;
    reporter.report_to(table, control_plane.path());
    const int connection = control_plane.accept();
    size_t reported = 0;
    while (reported < kRevisions) {
      const std::string packet = receive(connection);
      CHECK(packet.starts_with("{\"gateway\":\"" + std::to_string(getpid()) + "-"));
      CHECK(packet.ends_with("]}"));
      CHECK(packet.size() <= 61'000);
      reported += count(packet, "\"name\"");
    }
    CHECK_EQ(reported, kRevisions);
    close(connection);
  }
  reporter.report_to(table, "");
}

TEST(the_first_waiting_request_is_reported_at_once_and_refused_at_its_deadline) {
  static Reporter& reporter = *new Reporter;
  static Table& table = *new Table(reporter);
  Listening control_plane;
  reporter.report_to(table, control_plane.path());
  const int connection = control_plane.accept();
  auto revision = table.at("default/hello-00001");
  Settings settings;
  settings.queue_deadline = 0.01;
  revision->configure(settings, now());
  FakeRequest request;
  CHECK(!revision->arrive(request, now()));
  revision->wait(request, now());
  std::string packet;
  do packet = receive(connection);
  while (packet.find("\"queued\":1") == packet.npos);
  do packet = receive(connection);
  while (packet.find("\"refused\":{\"deadline\":1}") == packet.npos);
  CHECK(packet.find("\"queued\":0") != packet.npos);
  close(connection);
  reporter.report_to(table, "");
}

TEST(a_change_that_is_reported_at_once_is_not_reported_again) {
  static Reporter& reporter = *new Reporter;
  static Table& table = *new Table(reporter);
  Listening control_plane;
  reporter.report_to(table, control_plane.path());
  const int connection = control_plane.accept();
  auto revision = table.at("default/hello-00001");
  FakeRequest request;
  revision->learn(0, {"a"}, now());
  CHECK(revision->arrive(request, now()));
  revision->learn(0, {}, now());
  std::string packet;
  do packet = receive(connection);
  while (packet.find("\"hosts\":{\"a\":1}") == packet.npos);
  revision->end(request, now());  // the host has drained
  do packet = receive(connection);
  while (packet.find("\"hosts\":{}") == packet.npos);
  const timeval three_periods{0, 300'000};
  setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &three_periods, sizeof three_periods);
  CHECK_EQ(receive(connection), "");
  close(connection);
  reporter.report_to(table, "");
}

TEST(requests_that_wait_for_a_first_instance_are_refused_when_the_control_plane_is_down_for_long) {
  static Reporter& reporter = *new Reporter(0.3);
  static Table& table = *new Table(reporter);
  auto control_plane = std::make_unique<Listening>();
  const std::string path = control_plane->path();
  reporter.report_to(table, path);
  int connection = control_plane->accept();
  auto revision = table.at("default/sleeps-00001");
  auto running = table.at("default/runs-00001");
  Settings settings;
  settings.container_concurrency = 1;
  running->configure(settings, now());
  running->learn(0, {"a"}, now());
  FakeRequest waits, runs, queued;
  CHECK(!revision->arrive(waits, now()));
  revision->wait(waits, now());
  CHECK(running->arrive(runs, now()));
  CHECK(!running->arrive(queued, now()));
  running->wait(queued, now());
  control_plane.reset();
  close(connection);
  Listening later;
  while (revision->report(now()).queued > 0) usleep(1000);
  CHECK_EQ(running->report(now()).queued, 1u);

  reporter.report_to(table, later.path());
  connection = later.accept();
  std::string packet;
  do packet = receive(connection);
  while (packet.find("\"refused\":{\"controlPlaneDown\":1}") == packet.npos);
  CHECK_EQ(waits.refusal(), Refusal::kControlPlaneDown);
  running->end(queued, now());
  running->end(runs, now());
  close(connection);
  reporter.report_to(table, "");
}

}  // namespace
}  // namespace gate
