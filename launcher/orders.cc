// SPDX-License-Identifier: Apache-2.0
#include "orders.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>

int answer = -1;

void fail(const char* step, int error) {
  const std::string text = std::string(step) + " " + std::to_string(error);
  (void)!write(answer, text.data(), text.size());
  _exit(127);
}

void check(long result, const char* step) {
  if (result < 0) fail(step);
}

namespace {

class Reader {
 public:
  explicit Reader(const std::string& all) : all_(all) {}

  std::string text() {
    const std::size_t end = all_.find('\0', at_);
    if (end == std::string::npos) fail("orders", EPIPE);  // the writer ended before it had written all of it
    std::string found = all_.substr(at_, end - at_);
    at_ = end + 1;
    return found;
  }

  long number() { return std::strtol(text().c_str(), nullptr, 10); }

  // The ID of a user or group. A number that does not fit would become another ID, e.g. that of root.
  std::uint32_t id() {
    const long found = number();
    if (found < 0 || found > INT32_MAX) fail("user", EINVAL);
    return static_cast<std::uint32_t>(found);
  }

  Texts texts() {
    Texts found;
    for (long left = number(); left > 0; --left) found.push_back(text());
    return found;
  }

 private:
  const std::string& all_;
  std::size_t at_ = 0;
};

std::string content(int file) {
  std::string all;
  char chunk[16384];
  for (;;) {
    const ssize_t got = ::read(file, chunk, sizeof chunk);
    if (got < 0 && errno == EINTR) continue;
    check(got, "orders");
    if (got == 0) return all;
    all.append(chunk, static_cast<std::size_t>(got));
  }
}

}  // namespace

Orders Orders::read(int file) {
  Orders orders;
  orders.text_ = content(file);
  Reader reader(orders.text_);
  orders.files = reader.number();
  orders.beside = reader.number();
  orders.sandbox = reader.texts();
  orders.covered = reader.texts();
  orders.exposed = reader.texts();
  orders.switches_user = reader.number() != 0;
  orders.capabilities = std::strtoull(reader.text().c_str(), nullptr, 10);
  orders.user = reader.id();
  orders.group = reader.id();
  for (long left = reader.number(); left > 0; --left) orders.groups.push_back(reader.id());
  orders.directory = reader.text();
  orders.gains_privileges = reader.number() != 0;
  orders.read_only = reader.number() != 0;
  orders.filtered = reader.number() != 0;
  orders.attended = reader.number() != 0;
  orders.has_terminal = reader.number() != 0;
  orders.program = reader.texts();
  orders.environment = reader.texts();
  if (reader.text() != "end" || orders.program.empty()) fail("orders", EPIPE);
  return orders;
}

int Orders::copy() const {
  const int file = memfd_create("orders", 0);
  check(file, "orders");
  for (std::size_t done = 0; done < text_.size();) {
    const ssize_t wrote = write(file, text_.data() + done, text_.size() - done);
    check(wrote, "orders");
    done += static_cast<std::size_t>(wrote);
  }
  check(lseek(file, 0, SEEK_SET), "orders");
  return file;
}
