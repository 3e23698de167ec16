// SPDX-License-Identifier: Apache-2.0
// Reports as JSON.
#include "../report.h"

#include "check.h"

namespace gate {
namespace {

TEST(a_report_is_one_json_object) {
  Report report;
  report.in_flight = 3;
  report.requests = 1027;
  report.concurrency_seconds = 17.25;
  for (unsigned status : {404u, 200u, 503u, 404u}) report.responses.count(status);
  report.refused[static_cast<size_t>(Refusal::kDeadline)] = 2;
  for (Time took : {0.0002, 0.0005, 0.03, 1000.0}) report.request_latency.count(took);
  report.hosts = {{"127.0.0.1:41234", 3}, {"127.0.0.1:41235", 0}};
  CHECK_EQ(to_json("default/hello-\"1\n", report),
           R"({"name":"default/hello-\"1\u000a","inFlight":3,"queued":0,"requests":1027,)"
           R"("concurrencySeconds":17.250000,"queueSeconds":0.000000,"responses":{"200":1,"404":2,"503":1},)"
           R"("refused":{"deadline":2},)"
           R"("requestLatency":{"seconds":1000.030700,"within":{"0.0005":2,"0.05":1,"inf":1}},)"
           R"("appRequestLatency":{"seconds":0.000000,"within":{}},)"
           R"("hosts":{"127.0.0.1:41234":3,"127.0.0.1:41235":0}})");
}

TEST(mirrored_copies_are_reported_separately_if_there_were_any) {
  Report report;
  report.requests = 10;
  report.mirrored.requests = 5;
  report.mirrored.responses.count(500);
  report.mirrored.refused[static_cast<size_t>(Refusal::kQueueFull)] = 4;
  const std::string json = to_json("default/hello", report);
  CHECK(json.find(R"("requests":15,)") != json.npos);
  CHECK(json.find(R"("mirrored":{"requests":5,"responses":{"500":1},"refused":{"queueFull":4}},)") != json.npos);
  CHECK(json.find(R"("responses":{},"refused":{},"requestLatency")") < json.find("mirrored"));
  CHECK_EQ(to_json("default/hello", Report()).find("mirrored"), std::string::npos);
}

TEST(a_report_of_shared_hosts_has_their_shares) {
  Report report;
  report.shared = true;
  report.hosts = {{"a:1", 3}, {"b:1", 0}};
  report.shares = {{17, 2}, {0, 0}};
  const std::string json = to_json("default/hello", report);
  CHECK(json.ends_with(R"("hosts":{"a:1":3,"b:1":0},"shares":{"a:1":[17,2],"b:1":[0,0]}})"));
}

TEST(silent_hosts_are_reported) {
  Report report;
  CHECK(to_json("default/hello-00001", report).find("silent") == std::string::npos);
  report.silent = {"127.0.0.1:1", "127.0.0.1:2"};
  CHECK(to_json("default/hello-00001", report).find(R"(,"silent":["127.0.0.1:1","127.0.0.1:2"],"hosts":{)") !=
        std::string::npos);
}

}  // namespace
}  // namespace gate
