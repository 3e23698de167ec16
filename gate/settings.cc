// SPDX-License-Identifier: Apache-2.0
#include "settings.h"

#include <cmath>
#include <limits>
#include <stdexcept>
#include <type_traits>

#include "json.h"

namespace gate {
namespace {

using json::Object;

template <typename Type>
const Type* find(const Object& object, std::string_view key, const char* kind) {
  auto entry = object.find(key);
  if (entry == object.end()) return nullptr;
  const Type* value = std::get_if<Type>(&entry->second);
  if (value == nullptr) throw std::invalid_argument(std::string(key) + " must be " + kind);
  return value;
}

void read_count(const Object& object, std::string_view key, double most, auto& count) {
  const double* value = find<double>(object, key, "a whole number");
  if (value == nullptr) return;
  if (*value < 0 || *value > most || *value != std::floor(*value))
    throw std::invalid_argument(std::string(key) + " must be a whole number, 0 or more");
  count = static_cast<std::remove_reference_t<decltype(count)>>(*value);
}

void read_limit(const Object& object, std::string_view key, Time& limit) {
  const double* seconds = find<double>(object, key, "a number of seconds");
  if (seconds == nullptr) return;
  if (*seconds < 0) throw std::invalid_argument(std::string(key) + " must be 0 or more");
  limit = *seconds;
}

}  // namespace

Settings parse_settings(std::string_view text) {
  constexpr double kMostExact = 1LL << 53;  // whole numbers that a JSON number holds exactly
  const Object object = json::parse(text);
  Settings settings;
  read_count(object, "containerConcurrency", std::numeric_limits<unsigned>::max(), settings.container_concurrency);
  read_count(object, "queueLength", kMostExact, settings.queue_length);
  read_count(object, "heldBytes", kMostExact, settings.held_bytes);
  read_count(object, "mirrorQueueLength", kMostExact, settings.mirror_queue_length);
  read_count(object, "mirrorHeldBytes", kMostExact, settings.mirror_held_bytes);
  if (const double* seconds = find<double>(object, "queueDeadlineSeconds", "a number of seconds")) {
    if (*seconds <= 0) throw std::invalid_argument("queueDeadlineSeconds must be more than 0");
    settings.queue_deadline = *seconds;
  }
  read_limit(object, "responseStartTimeoutSeconds", settings.response_start);
  read_limit(object, "idleTimeoutSeconds", settings.idle);
  read_limit(object, "timeoutSeconds", settings.request);
  if (const bool* shared = find<bool>(object, "shared", "true or false")) settings.shared = *shared;
  if (const std::string* why = find<std::string>(object, "unavailable", "a text")) settings.unavailable = *why;
  return settings;
}

std::string parse_socket(std::string_view text) {
  const Object object = json::parse(text);
  const std::string* path = find<std::string>(object, "socket", "a path");
  return path == nullptr ? std::string() : *path;
}

}  // namespace gate
