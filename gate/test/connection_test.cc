// SPDX-License-Identifier: Apache-2.0
#include "../connection.h"

#include <string_view>

#include "check.h"

namespace gate {
namespace {

// Whether a connection that closes after these writes and reads is stale.
bool is_stale(std::string_view events, bool multiplexed = false) {
  Connection connection(multiplexed);
  for (const char event : events) event == 'w' ? connection.wrote() : connection.read();
  return connection.is_stale();
}

TEST(a_connection_is_stale_when_no_byte_follows_a_request_that_is_not_its_first) {
  for (std::string_view events : {"wrw", "wwrrww", "wrwrw"}) CHECK(is_stale(events));
  for (std::string_view events : {"", "w", "ww", "wr", "wrwr", "wwrrwwr"}) CHECK(!is_stale(events));
}

TEST(a_connection_of_several_simultaneous_requests_is_never_stale) { CHECK(!is_stale("wrw", true)); }

}  // namespace
}  // namespace gate
