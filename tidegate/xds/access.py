# SPDX-License-Identifier: Apache-2.0
"""Envoy's access log: one line of JSON for each request, written when the request has ended.

| field | meaning |
| --- | --- |
| `revision`, `instance` | "namespace/name" and "ip:port" that served the request; null if none did |
| `queueMicroseconds` | from the request's first byte to the first byte sent to the instance: mostly the wait |
| `upstreamMicroseconds` | from then to the first byte of the instance's response |
| `mirrored` | whether it is a mirrored copy; the original has the same `requestId` |
| `details`, `flags` | why the request ended this way, in Envoy's terms; the gate's details begin with `gate_` |

Times are null if there was no instance. Called by: `listener.py`, `mirror.py`.
"""

from pathlib import Path

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.config.core.v3 import substitution_format_string_pb2
from envoy.extensions.access_loggers.file.v3 import file_pb2

from tidegate.xds.resource import packed_any

FIELDS = {
    "time": "%START_TIME(%Y-%m-%dT%H:%M:%S.%6fZ)%",
    "client": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "protocol": "%PROTOCOL%",
    "method": "%REQ(:METHOD)%",
    "host": "%REQ(X-ENVOY-ORIGINAL-HOST?:AUTHORITY)%",
    "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
    "status": "%RESPONSE_CODE%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "flags": "%RESPONSE_FLAGS%",
    "revision": "%UPSTREAM_CLUSTER_RAW%",
    "instance": "%UPSTREAM_HOST%",
    "queueMicroseconds": "%COMMON_DURATION(DS_RX_BEG:US_TX_BEG:us)%",
    "upstreamMicroseconds": "%COMMON_DURATION(US_TX_BEG:US_RX_BEG:us)%",
    "milliseconds": "%DURATION%",
    "requestBytes": "%BYTES_RECEIVED%",
    "responseBytes": "%BYTES_SENT%",
    "requestId": "%REQ(X-REQUEST-ID)%",
    "traceparent": "%REQ(TRACEPARENT)%",
    "userAgent": "%REQ(USER-AGENT)%",
}


def build_access_log(path: Path, *, mirrored: bool = False) -> accesslog_pb2.AccessLog:
    """Envoy appends to that file, with a delay of at most a few seconds. `mirrored`: all requests are copies."""
    lines = substitution_format_string_pb2.SubstitutionFormatString()
    lines.json_format.update({**FIELDS, "mirrored": mirrored})
    config = file_pb2.FileAccessLog(path=str(path), log_format=lines)
    return accesslog_pb2.AccessLog(name="file", typed_config=packed_any(config))
