# SPDX-License-Identifier: Apache-2.0
"""One attempt of a probe.

In: a probe and the container that it reaches. Out: None for a success, else a sentence with the action and the fault.
Called by: `prober.py`.
"""

import asyncio
import errno
import os
import socket
import ssl
from contextlib import suppress
from functools import cache
from typing import Any

import grpc
import grpc.aio

from tidegate.kit.processes import SHORTAGES
from tidegate.model.objects import Object
from tidegate.node.probe import Probe, ProbeTarget

_AT_PORTS = ("httpGet", "grpc", "tcpSocket")
_SERVING = 1  # grpc.health.v1.HealthCheckResponse.ServingStatus


async def attempt(probe: Probe, target: ProbeTarget) -> str | None:
    """Try once: None, or the action and its fault. Raises `OSError` if Tidegate itself lacks files or memory."""
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
    """The fault of the listener that has answered. It is checked after the answer: from then on no other program can
    listen there."""
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
    """The error in the system's words, without the address, which the message has already. Raises an error of our
    own."""
    number = error.errno if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) else None
    if number in SHORTAGES:
        raise error
    return os.strerror(number).lower() if number is not None and number in errno.errorcode else str(error)


async def _tcp(host: str, port: int) -> str | None:
    """On loopback the kernel has decided when `connect` returns: an attempt takes 20 µs and no turn of the event
    loop."""
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
    """A probe with a host of its own, which may have to be resolved."""
    try:
        _, writer = await asyncio.open_connection(host, port)
    except (OSError, ValueError, OverflowError) as error:
        return _why(error)
    writer.transport.abort()
    return None


async def _http(action: Object, target: ProbeTarget) -> str | None:
    """A GET. Only the status of the response is read; 2xx and 3xx are a success."""
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
    """An app's certificate is not verified, as in the kubelet."""
    return _any_certificate() if _scheme(action) == "HTTPS" else None


@cache
def _any_certificate() -> ssl.SSLContext:
    """One for all probes, without the authorities of this host, which take some 50 ms to load."""
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
