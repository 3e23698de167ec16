# SPDX-License-Identifier: Apache-2.0
"""The texts of all responses that Envoy and the gate send in place of an app.

In: nothing. Out: the `LocalReplyConfig` of the listeners. Called by: `listener.py`.

Any client may read these texts. So a response has a sentence, a reason, and the request's id in the access log. It
never has the output of an app, an address, a name, or Envoy's internal messages. Envoy and the gate give a detail with
each response, e.g. `gate_queue_full`: the first row whose detail is a prefix of it applies. A redirect has no row and
no text.
"""

from typing import NamedTuple

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.config.core.v3 import base_pb2, substitution_format_string_pb2
from envoy.extensions.access_loggers.filters.cel.v3 import cel_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from google.protobuf.wrappers_pb2 import UInt32Value

from tidegate.xds.headers import overwriting
from tidegate.xds.resource import packed_any

GATE_REASON = "%LOCAL_REPLY_BODY%"
"""Placeholder for a reason that the gate has from `Backend.unavailable`, and sends as its body."""

_REQUEST_ID = "%REQ(X-REQUEST-ID)%"


class Reply(NamedTuple):
    """`details`: prefixes of the details to which this reply belongs."""

    reason: str
    status: int
    text: str
    details: tuple[str, ...]


_RESET = "upstream_reset_before_response_started{"
_NOT_REACHED = tuple(
    _RESET + why for why in ("remote_connection_failure", "local_connection_failure", "connection_timeout", "overflow")
)
_TIMEOUT = "request timeout"  # Knative's text

REPLIES = (
    Reply("NoRoute", 404, "no app answers at this host and path; the Host header says which app", ("route_not_found",)),
    Reply("QueueFull", 503, "pending request queue full", ("gate_queue_full", "gate_held_bytes")),
    Reply("QueueTimeout", 504, f"{_TIMEOUT}: no instance was free in time", ("gate_deadline",)),
    Reply("ResponseStartTimeout", 504, f"{_TIMEOUT}: the answer did not begin", ("gate_response_start_timeout",)),
    Reply("IdleTimeout", 504, f"{_TIMEOUT}: the app sent nothing", ("gate_idle_timeout",)),
    Reply("RequestTimeout", 504, f"{_TIMEOUT}: the answer was not complete", ("gate_request_timeout",)),
    Reply(
        GATE_REASON,
        503,
        "no instance of this app can run; its owner sees why in `tidegate logs`",
        ("gate_unavailable",),
    ),
    Reply(
        "ControlPlaneDown",
        503,
        "no instance runs, and `tidegate up` is not there to start one",
        ("gate_control_plane_down",),
    ),
    Reply("RevisionRemoved", 503, "the revision was removed", ("gate_removed", "cluster_not_found")),
    Reply("NoInstance", 503, "no instance could be reached", ("no_healthy_upstream", *_NOT_REACHED)),
    Reply("InvalidResponse", 502, "the app's answer was not valid HTTP", (f"{_RESET}protocol_error",)),
    Reply("ConnectionClosed", 503, "the app closed the connection before it answered", (_RESET,)),
    Reply("GatewayOverloaded", 503, "the gateway has no memory left for more requests", ("overload",)),
    Reply("TooManyRequests", 429, "too many requests from this address", ("local_rate_limited",)),
    Reply(
        "UnderscoreInHeader",
        400,
        "the name of a header has an underscore, which apps may take for a dash",
        ("http1.unexpected_underscore", "http2.unexpected_underscore"),
    ),
    Reply("RequestHeadTimeout", 408, "the head of the request took too long", ("request_header_timeout",)),
)

OTHERS = (
    ("MethodNotAllowed", "== 405", "the gateway takes no TRACE"),
    ("GatewayError", ">= 500", "the gateway could not handle the request"),
    ("InvalidRequest", ">= 400", "the request is not valid HTTP, or exceeds a limit of the gateway"),
)
"""All other responses of Envoy, by their status code."""


def build_replies() -> hcm_pb2.LocalReplyConfig:
    known = [_mapper(_begins(reply.details), reply.reason, reply.text, reply.status) for reply in REPLIES]
    others = [_mapper(f"response.code {codes}", reason, text) for reason, codes, text in OTHERS]
    return hcm_pb2.LocalReplyConfig(mappers=[*known, *others])


def _begins(details: tuple[str, ...]) -> str:
    return " || ".join(f"response.code_details.startsWith('{detail}')" for detail in details)


def _mapper(condition: str, reason: str, text: str, status: int | None = None) -> hcm_pb2.ResponseMapper:
    chosen = accesslog_pb2.ExtensionFilter(
        name="cel", typed_config=packed_any(cel_pb2.ExpressionFilter(expression=condition))
    )
    answer = f"{text} (reason: {reason}, request: {_REQUEST_ID})\n"
    return hcm_pb2.ResponseMapper(
        filter=accesslog_pb2.AccessLogFilter(extension_filter=chosen),
        status_code=UInt32Value(value=status) if status is not None else None,
        body_format_override=substitution_format_string_pb2.SubstitutionFormatString(
            text_format_source=base_pb2.DataSource(inline_string=answer)
        ),
        headers_to_add=overwriting([("x-request-id", _REQUEST_ID)]),
    )
