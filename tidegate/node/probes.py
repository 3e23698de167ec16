# SPDX-License-Identifier: Apache-2.0
"""Probes of a container: what one attempt says, and when to make which attempt.

In: a probe as a Pod's spec has it, and the address of the instance. Out: `attempt`, which returns None for good and a
sentence for bad; `Schedule`, when to try until a probe succeeds; `Ticks`, when to try from then on.

A failure counts once a period, at the period's end. So an app has `initialDelaySeconds` and `failureThreshold` times
`periodSeconds` to start. Meanwhile it is tried in a tight schedule, whose failures do not count. The wait is a
twentieth of the time that has passed, at least 1 ms and at most 10 ms, so that an app is found ready within 5 % of its
own start time; after its first second the wait is 1 %, up to 1 s.

An attempt may take longer than a period (`timeoutSeconds`). It counts once, and the periods that it spans do not.
"""

import asyncio
import errno
import os
import random
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import grpc
import grpc.aio

from tidegate.kit.processes import SHORTAGES
from tidegate.model.objects import Object

Kind = Literal["readiness", "liveness", "startup"]

_PERIOD = 10.0

_SHORTEST, _TIGHT, _LONGEST = 0.001, 0.010, 1.0
_AT_PORTS = ("httpGet", "grpc", "tcpSocket")
_SERVING = 1  # grpc.health.v1.HealthCheckResponse.ServingStatus


async def _not_asked(port: int) -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class ProbeTarget:
    """What a probe reaches: an address, the ports of the serving container by what the spec calls them, and the way to
    run a program beside the container. `foreign`: what is wrong with the listener on a port, or None."""

    host: str
    ports: Mapping[str, int]
    execute: Callable[[list[str]], Awaitable[int]]
    foreign: Callable[[int], Awaitable[str | None]] = _not_asked

    def port(self, named: object) -> int:
        """The port that a probe means: the serving port where it names none, or 0."""
        name = str(named or "")
        number = int(name) if name.isdecimal() else 0
        return self.ports.get(name) or number or self.ports.get("", 0)


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
    """When to try a probe that has not succeeded yet, and whether a failure counts. `age`: seconds for which the
    container has run at `now`; `initialDelaySeconds` is of its start."""

    def __init__(self, probe: Probe, now: float, age: float = 0.0) -> None:
        self._probe = probe
        self._began = now + max(0.0, probe.initial_delay - age)
        self._end = self._began + probe.period  # of the present period
        self._first = probe.tight

    def wait(self, now: float) -> float:
        """Seconds until the next attempt; asked once for each."""
        if self._first:
            self._first = False
            return max(0.0, self._began - now)
        due = self._end - now
        return max(0.0, min(due, self._gap(now - self._began)) if self._probe.tight else due)

    def counts(self, now: float) -> bool:
        """Whether a failure that was seen at `now` counts, as the one of a period that is over. Asked once for each
        failure."""
        if now < self._end:
            return False
        self._end += self._probe.period * ((now - self._end) // self._probe.period + 1)
        return True

    def _gap(self, passed: float) -> float:
        if "tcpSocket" not in self._probe.action and passed < _LONGEST:
            passed *= 2  # every other attempt costs the app something
        return max(_SHORTEST, min(passed / 20, _TIGHT) if passed < 1 else min(passed / 100, _LONGEST))


class Ticks:
    """When to try a probe from then on: once a period, and at once after an attempt that took longer than one."""

    def __init__(self, probe: Probe, first: float) -> None:
        self._period = probe.period
        self._due = first

    def wait(self, now: float) -> float:
        """Seconds until the next attempt; asked once for each."""
        wait = max(0.0, self._due - now)
        self._due = max(self._due, now) + self._period
        return wait


def spread(period: float) -> float:
    """The first wait of a probe that goes on for long: so that those of many instances do not fall together."""
    return period * random.random()  # noqa: S311 - spreads, guards nothing


async def attempt(probe: Probe, target: ProbeTarget) -> str | None:
    """Try once; None, or what was tried and what is wrong. Raises `OSError` where we lack what a try takes."""
    try:
        async with asyncio.timeout(probe.timeout):
            problem = await _attempt(probe.action, target) or await _foreign(probe.action, target)
    except TimeoutError:
        problem = f"timed out after {probe.timeout:g} s"
    return f"{_described(probe.action, target)}: {problem}" if problem else None


async def _attempt(action: Object, target: ProbeTarget) -> str | None:
    if (http := action.get("httpGet")) is not None:
        return await _http(http, target)
    if (command := action.get("exec")) is not None:
        code = await target.execute(list(command.get("command") or ()))
        return None if code == 0 else f"exit code {code}"
    if (health := action.get("grpc")) is not None:
        return await _grpc(target.host, target.port(health.get("port")), health.get("service") or "")
    tcp = action.get("tcpSocket") or {}
    port = target.port(tcp.get("port"))
    return await _tcp_elsewhere(tcp["host"], port) if tcp.get("host") else await _tcp(target.host, port)


async def _foreign(action: Object, target: ProbeTarget) -> str | None:
    """What is wrong with who has answered: after the answer, for from then on nobody else can listen there."""
    named = next((action[kind] for kind in _AT_PORTS if action.get(kind) is not None), None)
    if named is None or named.get("host"):
        return None
    return await target.foreign(target.port(named.get("port")))


def _described(action: Object, target: ProbeTarget) -> str:
    if (http := action.get("httpGet")) is not None:
        scheme, authority = _scheme(http).lower(), f"{http.get('host') or target.host}:{target.port(http.get('port'))}"
        return f"GET {scheme}://{authority}{_path(http)}"
    if (command := action.get("exec")) is not None:
        return f"exec {' '.join(command.get('command') or ())}"
    if (health := action.get("grpc")) is not None:
        return f"grpc {target.host}:{target.port(health.get('port'))}"
    tcp = action.get("tcpSocket") or {}
    return f"dial tcp {tcp.get('host') or target.host}:{target.port(tcp.get('port'))}"


def _why(error: Exception) -> str:
    """A fault in the system's own words, without the address, which is said already. Raises one that is ours."""
    number = error.errno if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) else None
    if number in SHORTAGES:
        raise error
    return os.strerror(number).lower() if number is not None and number in errno.errorcode else str(error)


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
        except (OSError, OverflowError) as raised:
            return _why(raised)
        return None if error in (0, errno.EISCONN) else os.strerror(error).lower()


async def _tcp_elsewhere(host: str, port: int) -> str | None:
    """Where a probe names a host of its own, which may have to be resolved."""
    try:
        _, writer = await asyncio.open_connection(host, port)
    except (OSError, ValueError, OverflowError) as error:
        return _why(error)
    writer.transport.abort()
    return None


async def _http(action: Object, target: ProbeTarget) -> str | None:
    """A GET whose answer's status is all that is read; 2xx and 3xx are good."""
    host, port = action.get("host") or target.host, target.port(action.get("port"))
    writer: asyncio.StreamWriter | None = None
    try:
        reader, writer = await asyncio.open_connection(host, port, ssl=_trusting(action))
        writer.write(_request(action, f"{host}:{port}"))
        status = await reader.readline()
    except (OSError, ValueError, OverflowError) as error:
        return _why(error)
    finally:
        if writer is not None:
            writer.transport.abort()
    code = status.split(b" ", 2)[1] if status.startswith(b"HTTP/") and status.count(b" ") else b""
    if code[:1] in (b"2", b"3"):
        return None
    return code.decode(errors="replace") or "the answer is not HTTP"


def _request(action: Object, authority: str) -> bytes:
    headers = {"host": authority, "user-agent": "kube-probe/1.33", "accept": "*/*", "connection": "close"}
    for header in action.get("httpHeaders") or ():
        headers[str(header.get("name", "")).lower()] = str(header.get("value", ""))
    lines = [f"GET {_path(action)} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    if any("\r" in line or "\n" in line for line in lines):
        raise ValueError("a header or the path holds a line break")
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode()


def _path(action: Object) -> str:
    path = str(action.get("path") or "/")
    return path if path.startswith("/") else f"/{path}"


def _scheme(action: Object) -> str:
    return str(action.get("scheme") or "HTTP").upper()


def _trusting(action: Object) -> ssl.SSLContext | None:
    """As the kubelet does: an app's own certificate is not looked at."""
    return _any_certificate() if _scheme(action) == "HTTPS" else None


@cache
def _any_certificate() -> ssl.SSLContext:
    """One for all, without the authorities of this host, which take some 50 ms to load."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
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
            return f"{error.code().name}: {error.details()}"
    with suppress(IndexError):
        if answer[0] == 0x08 and answer[1] == _SERVING:
            return None
    return "service unhealthy"
