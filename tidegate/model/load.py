# SPDX-License-Identifier: Apache-2.0
"""The load of one revision as a gate reports it. The gateway passes it to the autoscaler, metrics and shares."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from tidegate.model.objects import Key

LATENCY_BOUNDS = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25),
    *(0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, math.inf),
)
"""Upper bounds of the gate's latency histogram, in seconds (`gate/latency.h`)."""


class SlotShare(NamedTuple):
    """The number of concurrent requests that one gateway may have at an instance. The share with the highest version
    counts."""

    version: int
    slots: int


@dataclass(frozen=True, slots=True)
class Latency:
    """Durations of requests that got a response."""

    seconds: float = 0.0  # the sum of all durations
    within: Mapping[float, int] = field(default_factory=dict)  # number of requests by the lowest bound they were within


@dataclass(frozen=True, slots=True)
class Mirrored:
    """Mirrored requests: copies of other revisions' requests. Their responses are discarded."""

    requests: int = 0
    responses: Mapping[int, int] = field(default_factory=dict)  # of the instances, by status code
    refused: Mapping[str, int] = field(default_factory=dict)  # dropped by the gate, by reason


class Counters(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The counters of one revision as a gate sends them; the gateway decodes them straight into this record.

    All counts and integrals are cumulative since the process of the gateway started; a new gateway starts from zero.
    Two reports of the same gateway therefore give the exact mean of the time between them.
    """

    in_flight: int  # at an instance now
    queued: int  # waiting for one now
    requests: int  # arrived so far, copies too
    concurrency_seconds: float  # integral over time of in_flight + queued
    queue_seconds: float  # integral over time of queued
    responses: Mapping[int, int]  # responses to clients so far, by status code
    refused: Mapping[str, int]  # requests of clients that the gate rejected so far, by reason, e.g. "queueFull"
    hosts: Mapping[str, int]  # requests in flight by "ip:port"; a host that is not listed has drained
    request_latency: Latency = Latency()  # requests of clients, from arrival to the end of the response
    app_request_latency: Latency = Latency()  # those with an instance, from its assignment
    mirrored: Mirrored = Mirrored()
    shares: Mapping[str, SlotShare] | None = None  # by "ip:port"; None: the gateway may use all of each host


class LoadReport(Counters, frozen=True, kw_only=True):
    """One gateway's counters of one revision at one moment."""

    revision: Key
    gateway: str
    time: float  # seconds, CLOCK_MONOTONIC
