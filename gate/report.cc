// SPDX-License-Identifier: Apache-2.0
#include "report.h"

#include <cstdio>

namespace gate {

namespace {

void append_text(std::string& json, std::string_view text) {
  json += '"';
  for (const char each : text) {
    if (each == '"' || each == '\\') json += '\\';
    if (static_cast<unsigned char>(each) < 0x20) {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\u%04x", each);
      json += escaped;
    } else {
      json += each;
    }
  }
  json += '"';
}

void append_seconds(std::string& json, double seconds) {
  char text[40];
  std::snprintf(text, sizeof text, "%.6f", seconds);
  json += text;
}

void append_count(std::string& json, std::string_view name, uint64_t count) {
  if (json.back() != '{') json += ',';
  append_text(json, name);
  json += ':' + std::to_string(count);
}

void append_share(std::string& json, std::string_view address, std::pair<uint64_t, unsigned> share) {
  if (json.back() != '{') json += ',';
  append_text(json, address);
  json += ":[" + std::to_string(share.first) + ',' + std::to_string(share.second) + ']';
}

void append_responses(std::string& json, const Codes& responses) {
  json += ",\"responses\":{";
  for (const auto& [code, count] : responses) append_count(json, std::to_string(code), count);
  json += '}';
}

void append_refused(std::string& json, const std::array<uint64_t, kRefusals>& refused) {
  static constexpr const char* kReasons[kRefusals] = {
      "", "queueFull", "deadline", "heldBytes", "unavailable", "removed", "controlPlaneDown"};
  json += ",\"refused\":{";
  for (size_t why = 0; why < kRefusals; ++why)
    if (refused[why] > 0) append_count(json, kReasons[why], refused[why]);
  json += '}';
}

// Empty buckets are left out. The bounds have at most four digits.
void append_latency(std::string& json, std::string_view name, const Latency& latency) {
  json += ",\"" + std::string(name) + "\":{\"seconds\":";
  append_seconds(json, latency.seconds());
  json += ",\"within\":{";
  for (size_t bound = 0; bound < Latency::kBounds.size(); ++bound) {
    if (latency.within()[bound] == 0) continue;
    char text[16];
    std::snprintf(text, sizeof text, "%g", Latency::kBounds[bound]);
    append_count(json, text, latency.within()[bound]);
  }
  json += "}}";
}

void append_mirrored(std::string& json, const Outcomes& mirrored) {
  json += ",\"mirrored\":{\"requests\":" + std::to_string(mirrored.requests);
  append_responses(json, mirrored.responses);
  append_refused(json, mirrored.refused);
  json += '}';
}

void append_silent(std::string& json, const std::vector<std::string>& hosts) {
  json += ",\"silent\":[";
  for (const std::string& host : hosts) {
    if (json.back() != '[') json += ',';
    append_text(json, host);
  }
  json += ']';
}

}  // namespace

std::string to_json(std::string_view name, const Report& report) {
  std::string json = "{\"name\":";
  append_text(json, name);
  json += ",\"inFlight\":" + std::to_string(report.in_flight);
  json += ",\"queued\":" + std::to_string(report.queued);
  json += ",\"requests\":" + std::to_string(report.requests + report.mirrored.requests);
  json += ",\"concurrencySeconds\":";
  append_seconds(json, report.concurrency_seconds);
  json += ",\"queueSeconds\":";
  append_seconds(json, report.queue_seconds);
  append_responses(json, report.responses);
  append_refused(json, report.refused);
  append_latency(json, "requestLatency", report.request_latency);
  append_latency(json, "appRequestLatency", report.app_request_latency);
  if (report.mirrored.requests > 0) append_mirrored(json, report.mirrored);
  if (!report.silent.empty()) append_silent(json, report.silent);
  json += ",\"hosts\":{";
  for (const auto& [address, requests] : report.hosts) append_count(json, address, requests);
  if (report.shared) {
    json += "},\"shares\":{";
    for (size_t index = 0; index < report.hosts.size(); ++index)
      append_share(json, report.hosts[index].first, report.shares[index]);
  }
  json += "}}";
  return json;
}

std::string to_packet(std::string_view gateway, Time time, std::string_view revisions, bool leaving) {
  std::string packet = "{\"gateway\":";
  append_text(packet, gateway);
  packet += ",\"time\":";
  append_seconds(packet, time);
  packet += ",\"revisions\":[";
  packet += revisions;
  packet += leaving ? "],\"leaving\":true}" : "]}";
  return packet;
}

}  // namespace gate
