# SPDX-License-Identifier: Apache-2.0
"""What a gate tells of one revision: the record that the gateway hands to the autoscaler."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from tidegate.model.objects import Key

LATENCY_BOUNDS = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25),
    *(0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, math.inf),
)
"""Seconds; the gate counts requests by how long they took in these (`gate/latency.h`)."""


class Share(NamedTuple):
    """Requests that one gateway may have at an instance at a time. Of two, the one with the higher version holds."""

    version: int
    slots: int


@dataclass(frozen=True, slots=True)
class Latency:
    """How long requests took that were answered."""

    seconds: float = 0.0  # the sum of all
    within: Mapping[float, int] = field(default_factory=dict)  # by the least of the bounds that each was within


@dataclass(frozen=True, slots=True)
class Mirrored:
    """What became of the copies of other revisions' requests that a revision gets. Nobody waits for their answers."""

    requests: int = 0
    responses: Mapping[int, int] = field(default_factory=dict)  # of its instances, by status code
    refused: Mapping[str, int] = field(default_factory=dict)  # dropped by the gate, by reason


@dataclass(frozen=True, slots=True)
class LoadReport:
    """One gateway's counters of one revision at one moment.

    All counts and integrals are cumulative since that gateway's process started; a new `gateway` starts from zero. Two
    reports of the same gateway therefore give the exact mean over any time between them.
    """

    revision: Key
    gateway: str
    time: float  # seconds, CLOCK_MONOTONIC
    in_flight: int  # at an instance now
    queued: int  # waiting for one now
    requests: int  # arrived so far, copies too
    concurrency_seconds: float  # integral over time of in_flight + queued
    queue_seconds: float  # integral over time of queued
    responses: Mapping[int, int]  # answered so far to clients, by status code
    refused: Mapping[str, int]  # clients' requests that the gate refused so far, by reason: "queueFull"
    hosts: Mapping[str, int]  # requests in flight by "ip:port"; a host that is not listed has drained and gone
    request_latency: Latency = Latency()  # clients' requests, from their arrival to the end of the answer
    app_request_latency: Latency = Latency()  # of those that had an instance, from when they got it
    mirrored: Mirrored = Mirrored()
    shares: Mapping[str, Share] | None = None  # by the same; None: all of every host is this gateway's
