# SPDX-License-Identifier: Apache-2.0
"""Probes of a container: what one attempt says, and when to make which attempt.

In: a probe as a Pod's spec has it, and the address of the instance. Out: `attempt`, which returns None for good and a
sentence for bad; `Schedule`, when to try again.

Until a container was ready once, it is tried in a tight schedule: the wait is a twentieth of the time that has passed,
so that an app is found ready within 5 % of its own start time, at least 1 ms and at most 10 ms apart; after its first
second 1 %, up to once a second. Attempts between two periods are extra: they can only succeed, and never count as a
failure.
"""

import asyncio
import errno
import random
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

import grpc
import grpc.aio

from tidegate.model.objects import Object

Kind = Literal["readiness", "liveness", "startup"]

_PERIOD = 10.0

_SHORTEST, _TIGHT, _LONGEST = 0.001, 0.010, 1.0
_SERVING = 1  # grpc.health.v1.HealthCheckResponse.ServingStatus


@dataclass(frozen=True, slots=True)
class Target:
    """What a probe reaches: an address, the ports of the serving container by what the spec calls them, and the way to
    run a program beside the container."""

    host: str
    ports: Mapping[str, int]
    execute: Callable[[list[str]], Awaitable[int]]

    def port(self, named: object) -> int:
        """0 where nothing is named: the serving port."""
        name = str(named or "")
        return self.ports.get(name) or (int(name) if name.isdecimal() else self.ports.get("", 0))


@dataclass(frozen=True, slots=True)
class Probe:
    """One probe with its defaults filled in; times are seconds."""

    action: Object
    initial_delay: float
    period: float
    timeout: float
    failures: int
    successes: int
    tight: bool  # whether it may be tried between its periods until it first succeeds

    @classmethod
    def of(cls, kind: Kind, spec: Object | None) -> "Probe | None":
        """None where the container has no such probe."""
        if not spec:
            return None
        return cls(
            action=spec,
            initial_delay=float(spec.get("initialDelaySeconds") or 0),
            period=float(spec.get("periodSeconds") or _PERIOD),
            timeout=float(spec.get("timeoutSeconds") or 1),
            failures=int(spec.get("failureThreshold") or 3),
            successes=int(spec.get("successThreshold") or 1) if kind == "readiness" else 1,
            tight=kind != "liveness",
        )


class Schedule:
    """When to try a probe that has not succeeded yet, and whether the next attempt counts."""

    def __init__(self, probe: Probe, now: float) -> None:
        self._probe = probe
        self._began = now + probe.initial_delay
        self._periods = 0

    def wait(self, now: float) -> float:
        """Seconds until the next attempt."""
        if not self._periods:
            return max(0.0, self._began - now)
        due = self._began + self._periods * self._probe.period - now
        return max(0.0, min(due, self._gap(now - self._began)) if self._probe.tight else due)

    def counts(self, now: float) -> bool:
        """Whether an attempt at `now` is the one of a period; asked once for each attempt."""
        if now < self._began + self._periods * self._probe.period:
            return False
        self._periods += 1
        return True

    def _gap(self, passed: float) -> float:
        if "tcpSocket" not in self._probe.action and passed < _LONGEST:
            passed *= 2  # every other attempt costs the app something
        return max(_SHORTEST, min(passed / 20, _TIGHT) if passed < 1 else min(passed / 100, _LONGEST))


def spread(period: float) -> float:
    """The first wait of a probe that goes on for long: so that those of many instances do not fall together."""
    return period * random.random()  # noqa: S311 - spreads, guards nothing


async def attempt(probe: Probe, target: Target) -> str | None:
    """Try once; None, or what is wrong."""
    try:
        async with asyncio.timeout(probe.timeout):
            return await _attempt(probe.action, target)
    except TimeoutError:
        return f"timed out after {probe.timeout:g} s"


async def _attempt(action: Object, target: Target) -> str | None:
    if (http := action.get("httpGet")) is not None:
        return await _http(http, target)
    if (command := action.get("exec")) is not None:
        code = await target.execute(list(command.get("command") or ()))
        return None if code == 0 else f"{' '.join(command.get('command') or ())} ended with {code}"
    if (health := action.get("grpc")) is not None:
        return await _grpc(target.host, target.port(health.get("port")), health.get("service") or "")
    tcp = action.get("tcpSocket") or {}
    return await _tcp(tcp.get("host") or target.host, target.port(tcp.get("port")))


async def _tcp(host: str, port: int) -> str | None:
    """On loopback the kernel has decided when `connect` returns: an attempt is 20 µs and no turn of the event loop."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as attempt:
        try:
            error = attempt.connect_ex((host, port))
            if error == errno.EINPROGRESS:
                error = attempt.connect_ex((host, port))
            if error in (errno.EALREADY, errno.EINPROGRESS):
                await asyncio.get_running_loop().sock_connect(attempt, (host, port))
                error = 0
        except OSError as raised:
            return f"dial tcp {host}:{port}: {raised.strerror or raised}"
        return None if error in (0, errno.EISCONN) else f"dial tcp {host}:{port}: {errno.errorcode.get(error, error)}"


async def _http(action: Object, target: Target) -> str | None:
    """A GET whose answer's status is all that is read; 2xx and 3xx are good."""
    host, port = action.get("host") or target.host, target.port(action.get("port"))
    writer: asyncio.StreamWriter | None = None
    try:
        reader, writer = await asyncio.open_connection(host, port, ssl=_trusting(action))
        writer.write(_request(action, f"{host}:{port}"))
        status = await reader.readline()
    except (OSError, ValueError) as error:
        return f"Get http://{host}:{port}{action.get('path') or '/'}: {error}"
    finally:
        if writer is not None:
            writer.transport.abort()
    code = status.split(b" ", 2)[1] if status.startswith(b"HTTP/") and status.count(b" ") else b""
    if code[:1] in (b"2", b"3"):
        return None
    return f"HTTP probe failed with statuscode: {code.decode(errors='replace') or 'none'}"


def _request(action: Object, authority: str) -> bytes:
    headers = {"host": authority, "user-agent": "kube-probe/1.33", "accept": "*/*", "connection": "close"}
    for header in action.get("httpHeaders") or ():
        headers[str(header.get("name", "")).lower()] = str(header.get("value", ""))
    lines = [f"GET {action.get('path') or '/'} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    if any("\r" in line or "\n" in line for line in lines):
        raise ValueError("a header or the path holds a line break")
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode()


def _trusting(action: Object) -> ssl.SSLContext | None:
    """As the kubelet does: an app's own certificate is not looked at."""
    if str(action.get("scheme") or "HTTP").upper() != "HTTPS":
        return None
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def _grpc(host: str, port: int, service: str) -> str | None:
    """grpc.health.v1.Health/Check, whose messages are one field each."""
    name = service.encode()
    length = bytes([len(name)]) if len(name) < 128 else bytes([len(name) & 0x7F | 0x80, len(name) >> 7 & 0x7F])
    request = b"\x0a" + length + name if name else b""
    async with grpc.aio.insecure_channel(f"{host}:{port}", options=(("grpc.enable_http_proxy", 0),)) as channel:
        check: Any = channel.unary_unary("/grpc.health.v1.Health/Check", None, None)
        try:
            answer = await check(request, wait_for_ready=False)
        except grpc.aio.AioRpcError as error:
            return f"grpc: {error.code().name}: {error.details()}"
    with suppress(IndexError):
        if answer[0] == 0x08 and answer[1] == _SERVING:
            return None
    return "grpc: service unhealthy"
