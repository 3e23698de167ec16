// SPDX-License-Identifier: Apache-2.0
#include "../settings.h"

#include <stdexcept>

#include "check.h"

namespace gate {
namespace {

std::string refusal(std::string_view json) {
  try {
    parse_settings(json);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "";
}

TEST(absent_settings_are_the_defaults) {
  for (std::string_view json : {"", "{}", " { } "}) {
    const Settings settings = parse_settings(json);
    CHECK_EQ(settings.container_concurrency, 0u);
    CHECK_EQ(settings.queue_length, 10'000u);
    CHECK_EQ(settings.queue_deadline, 300);
    CHECK_EQ(settings.held_bytes, 67'108'864u);
    CHECK_EQ(settings.unavailable, "");
    CHECK(!settings.is_limited());
  }
}

TEST(settings_are_read_by_their_keys) {
  const Settings settings = parse_settings(
      R"({"containerConcurrency": 3, "queueLength": 1e2, "queueDeadlineSeconds": 0.5, "heldBytes": 0, "unavailable": "no"})");
  CHECK_EQ(settings.container_concurrency, 3u);
  CHECK_EQ(settings.queue_length, 100u);
  CHECK_EQ(settings.queue_deadline, 0.5);
  CHECK_EQ(settings.held_bytes, 0u);
  CHECK_EQ(settings.unavailable, "no");
  CHECK(!settings.shared);
  CHECK(parse_settings(R"({"shared": true})").shared);
}

TEST(time_limits_are_read_by_the_names_of_knative) {
  const Settings settings =
      parse_settings(R"({"timeoutSeconds": 300, "responseStartTimeoutSeconds": 1.5, "idleTimeoutSeconds": 0})");
  CHECK_EQ(settings.request, 300);
  CHECK_EQ(settings.response_start, 1.5);
  CHECK_EQ(settings.idle, 0);
  CHECK(settings.is_limited());
  CHECK_EQ(refusal(R"({"idleTimeoutSeconds": -1})"), "idleTimeoutSeconds must be 0 or more");
  CHECK_EQ(refusal(R"({"timeoutSeconds": "5"})"), "timeoutSeconds must be a number of seconds");
}

TEST(mirrored_copies_have_their_own_limits) {
  const Settings settings = parse_settings(R"({"mirrorQueueLength": 7, "mirrorHeldBytes": 9})");
  CHECK_EQ(settings.mirror_queue_length, 7u);
  CHECK_EQ(settings.mirror_held_bytes, 9u);
  CHECK_EQ(settings.queue_length, 10'000u);
  CHECK_EQ(settings.held_bytes, 67'108'864u);
}

TEST(unknown_keys_are_ignored_with_any_value) {
  const Settings settings = parse_settings(
      R"({"a": null, "b": [1, {"c": [true, false, "]"]}], "d": {}, "e": [], "containerConcurrency": 2, "f": -1.5e-3})");
  CHECK_EQ(settings.container_concurrency, 2u);
}

TEST(text_is_unescaped) {
  CHECK_EQ(parse_settings(R"({"unavailable": "a\n\"\\\/\u00e9\u20ac\ud83d\ude00"})").unavailable, "a\n\"\\/é€😀");
}

TEST(a_value_of_a_wrong_type_is_refused_with_its_key) {
  CHECK_EQ(refusal(R"({"containerConcurrency": "1"})"), "containerConcurrency must be a whole number");
  CHECK_EQ(refusal(R"({"containerConcurrency": -1})"), "containerConcurrency must be a whole number, 0 or more");
  CHECK_EQ(refusal(R"({"containerConcurrency": 1.5})"), "containerConcurrency must be a whole number, 0 or more");
  CHECK_EQ(refusal(R"({"containerConcurrency": 4294967296})"),
           "containerConcurrency must be a whole number, 0 or more");
  CHECK_EQ(refusal(R"({"queueLength": null})"), "queueLength must be a whole number");
  CHECK_EQ(refusal(R"({"queueDeadlineSeconds": 0})"), "queueDeadlineSeconds must be more than 0");
  CHECK_EQ(refusal(R"({"heldBytes": []})"), "heldBytes must be a whole number");
  CHECK_EQ(refusal(R"({"unavailable": {}})"), "unavailable must be a text");
  CHECK_EQ(refusal(R"({"containerConcurrency": true})"), "containerConcurrency must be a whole number");
  CHECK_EQ(refusal(R"({"shared": 1})"), "shared must be true or false");
}

TEST(text_that_is_not_a_json_object_is_refused) {
  for (std::string_view json : {"1", "[]", "{", "{\"a\"}", "{\"a\": }", "{\"a\": 1,}", "{} {}", "{\"a\": \"",
                                "{\"a\": \"\\x\"}", "{\"a\": \"\\ud800\"}", "{\"a\": nul}", "{\"a\": 1e999}"})
    CHECK(refusal(json).starts_with("not a JSON object: "));
  CHECK(refusal("{\"a\": " + std::string(100, '[')).starts_with("not a JSON object: nested too deep"));
}

TEST(the_socket_is_a_path_or_absent) {
  CHECK_EQ(parse_socket(R"({"socket": "/run/gate.sock"})"), "/run/gate.sock");
  CHECK_EQ(parse_socket(""), "");
}

}  // namespace
}  // namespace gate
