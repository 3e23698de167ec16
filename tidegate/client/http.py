# SPDX-License-Identifier: Apache-2.0
"""A `Cluster` over HTTPS, for clients in other processes.

In: a kubeconfig. Out: the protocol of `client.cluster`; also tables as `kubectl get` prints them, and logs. Called by:
the command line, benchmarks, tests. Every failure is a `model.errors.ApiError`; if nothing answers, `Unreachable`.
"""

import base64
import os
import re
import ssl
import urllib.parse
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, Literal, Self

import msgspec

from tidegate.client import discovery, kubeconfig, wire
from tidegate.client.cluster import EventType, Listing, PatchType, WatchEvent
from tidegate.model import errors, objects
from tidegate.model.kinds import POD, SERVICE, Kind
from tidegate.model.logs import LogOptions
from tidegate.model.objects import Key, Object
from tidegate.model.registry.deletion import Propagation
from tidegate.streaming.duplex import SocketDuplex

_SECONDS = 30.0
_WATCH_SECONDS = 300  # a longer watch is broken
_TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
_ESCAPED = re.compile(r"\\(.)")

Parameters = Mapping[str, str | int]


class Unreachable(errors.ServiceUnavailable):
    """Nothing listens at the API's address, or another server does."""


class ResponseTimeout(errors.ServiceUnavailable):
    """The server at the API's address does not answer in time."""


class HttpCluster:
    """A Kubernetes API at a URL. `warn` gets the server's warnings; `strict`: reject unknown fields."""

    def __init__(
        self, server: wire.ConnectionPool, *, warn: Callable[[str], None] | None = None, strict: bool = False
    ) -> None:
        self._server = server
        self._warn = warn
        self._write_parameters: Parameters = {"fieldValidation": "Strict"} if strict else {}

    @classmethod
    @asynccontextmanager
    async def from_kubeconfig(
        cls, path: Path, *, warn: Callable[[str], None] | None = None, strict: bool = False
    ) -> AsyncIterator[Self]:
        """The API of the kubeconfig's current context, for the time of an `async with`."""
        access = kubeconfig.read(path)
        tls = ssl.create_default_context(cadata=access.authority or None)
        headers = {"authorization": f"Bearer {access.token}"} if access.token else {}
        async with wire.ConnectionPool(access.server, tls, headers) as server:
            yield cls(server, warn=warn, strict=strict)

    # Reading

    async def get(self, kind: Kind, key: Key) -> Object:
        return await self._object("GET", _path(kind, key.namespace, key.name))

    async def list(self, kind: Kind, namespace: str = "", *, labels: str = "", fields: str = "") -> Listing:
        answer = await self._object("GET", _path(kind, namespace), parameters=_selectors(labels, fields))
        # Items of a list carry no type of their own on a Kubernetes API.
        typed = {"apiVersion": kind.api_version, "kind": kind.kind}
        return Listing(
            [{**typed, **item} for item in answer.get("items") or ()], str(answer["metadata"]["resourceVersion"])
        )

    async def table(
        self, kind: Kind, namespace: str = "", name: str = "", *, labels: str = "", fields: str = ""
    ) -> Object:
        """One object, or all selected, as a `meta.k8s.io/v1 Table`, whose rows carry their object's metadata."""
        path = _path(kind, namespace, name)
        return await self._object("GET", path, parameters=_selectors(labels, fields), accept=_TABLE)

    @asynccontextmanager
    async def watch(
        self, kind: Kind, namespace: str = "", *, resource_version: str, labels: str = "", fields: str = ""
    ) -> AsyncIterator[AsyncIterator[WatchEvent]]:
        selectors = _selectors(labels, fields)
        async with self._watch(_path(kind, namespace), resource_version, selectors) as events:
            yield events

    @asynccontextmanager
    async def watch_table(
        self, kind: Kind, namespace: str = "", *, resource_version: str, labels: str = "", fields: str = ""
    ) -> AsyncIterator[AsyncIterator[WatchEvent]]:
        """As `watch`, with Tables of one row for objects."""
        selectors = _selectors(labels, fields)
        async with self._watch(_path(kind, namespace), resource_version, selectors, accept=_TABLE) as events:
            yield events

    @asynccontextmanager
    async def logs(
        self, pod: Key, container: str = "", options: LogOptions | None = None
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """The log of a Pod's container ("": its main one), in pieces as they come."""
        asked = options or LogOptions()
        seconds = None if asked.follow else _SECONDS
        path = _path(POD, pod.namespace, pod.name, "log")
        async with self._stream(path, _log_parameters(container, asked), seconds) as answer:
            yield answer.pieces

    @asynccontextmanager
    async def switched(
        self, pod: Key, subresource: str, parameters: Sequence[tuple[str, str]], protocol: str
    ) -> AsyncIterator[SocketDuplex]:
        """A WebSocket to a subresource of a Pod, after its handshake, for the time of an `async with`."""
        path = _path(POD, pod.namespace, pod.name, subresource)
        headers = {
            "connection": "Upgrade",
            "upgrade": "websocket",
            "sec-websocket-version": "13",
            "sec-websocket-key": base64.b64encode(os.urandom(16)).decode(),
            "sec-websocket-protocol": protocol,
        }
        request = wire.ClientRequest("GET", f"{path}?{urllib.parse.urlencode(parameters)}", headers, seconds=_SECONDS)
        with self._failures():
            async with self._server.switched(request) as answer:
                if isinstance(answer, wire.ClientResponse):
                    raise _failure(path, answer, await answer.read())
                yield answer

    async def ended(self, service: Key) -> Sequence[Object]:
        """The Pods of a service's instances that have ended and whose logs are kept, the oldest first."""
        answer = await self._object("GET", _path(SERVICE, service.namespace, service.name, "ended"))
        return list(answer.get("items") or ())

    async def kinds(self) -> Sequence[Kind]:
        """The kinds that the server lists, in all groups but the core group."""
        return list(discovery.kinds_of(await self._object("GET", "/apis", accept=discovery.ACCEPT)))

    async def statusz(self) -> Object:
        """The health of a Tidegate's parts."""
        return await self._object("GET", "/statusz")

    # Writing

    async def create(self, kind: Kind, obj: Object) -> Object:
        namespace = obj["metadata"].get("namespace", "")
        return await self._write("POST", _path(kind, namespace), obj)

    async def update(self, kind: Kind, obj: Object) -> Object:
        return await self._write("PUT", _path_of(kind, obj), obj)

    async def update_status(self, kind: Kind, obj: Object) -> Object:
        return await self._write("PUT", _path_of(kind, obj, "status"), obj)

    async def patch(
        self,
        kind: Kind,
        key: Key,
        patch: Object | Sequence[Object],
        *,
        patch_type: PatchType = "application/merge-patch+json",
        subresource: Literal["", "status"] = "",
    ) -> Object:
        path = _path(kind, key.namespace, key.name, subresource)
        return await self._write("PATCH", path, patch, content_type=patch_type)

    async def delete(
        self,
        kind: Kind,
        key: Key,
        *,
        uid: str = "",
        resource_version: str = "",
        propagation: Propagation = "Background",
        grace_seconds: int | None = None,
    ) -> None:
        preconditions = {"uid": uid, "resourceVersion": resource_version}
        options: Object = {
            "kind": "DeleteOptions",
            "apiVersion": "v1",
            "propagationPolicy": propagation,
            "preconditions": {name: value for name, value in preconditions.items() if value},
        }
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        await self._object("DELETE", _path(kind, key.namespace, key.name), options)

    # The wire

    async def _write(self, method: str, path: str, body: Any, *, content_type: str = "application/json") -> Object:
        return await self._object(method, path, body, parameters=self._write_parameters, content_type=content_type)

    async def _object(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        parameters: Parameters | None = None,
        accept: str = "application/json",
        content_type: str = "application/json",
    ) -> Object:
        headers = {"accept": accept, **({"content-type": content_type} if body is not None else {})}
        content = msgspec.json.encode(body) if body is not None else b""
        request = wire.ClientRequest(method, _target(path, parameters), headers, content, _SECONDS)
        with self._failures():
            async with self._server.exchange(request) as answer:
                content = await answer.read()
        self._report_warnings(answer)
        if answer.status >= HTTPStatus.BAD_REQUEST:
            raise _failure(path, answer, content)
        return _decoded(content)

    @asynccontextmanager
    async def _watch(
        self, path: str, resource_version: str, selectors: Parameters, *, accept: str = "application/json"
    ) -> AsyncIterator[AsyncIterator[WatchEvent]]:
        parameters: Parameters = {
            **selectors,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": _WATCH_SECONDS,
        }
        async with self._stream(path, parameters, _WATCH_SECONDS + _SECONDS, accept=accept) as answer:
            yield _events(answer.pieces)

    @asynccontextmanager
    async def _stream(
        self, path: str, parameters: Parameters, seconds: float | None, *, accept: str = "*/*"
    ) -> AsyncIterator[wire.ClientResponse]:
        request = wire.ClientRequest("GET", _target(path, parameters), {"accept": accept}, seconds=seconds)
        with self._failures():
            async with self._server.exchange(request) as answer:
                if answer.status >= HTTPStatus.BAD_REQUEST:
                    raise _failure(path, answer, await answer.read())
                yield answer

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """Raise failures of the connection as ours."""
        url = self._server.url
        try:
            yield
        except wire.ConnectFailed as error:
            raise Unreachable(f"cannot reach the API at {url}: {error}") from error
        except wire.ProtocolError as error:
            raise errors.ServiceUnavailable(f"the connection to the API at {url} broke: {error}") from error
        except wire.ReadTimeout as error:
            raise ResponseTimeout(f"the API at {url} does not answer in time") from error

    def _report_warnings(self, answer: wire.ClientResponse) -> None:
        if self._warn is None:
            return
        for name, value in answer.headers:
            if name == "warning":
                # RFC 7234: code, agent, then the text, quoted.
                self._warn(_ESCAPED.sub(r"\1", value.split(" ", 2)[-1][1:-1]))


def _target(path: str, parameters: Parameters | None) -> str:
    return f"{path}?{urllib.parse.urlencode(parameters)}" if parameters else path


def _path(kind: Kind, namespace: str, name: str = "", subresource: str = "") -> str:
    prefix = f"apis/{kind.group}" if kind.group else "api"
    within = ("namespaces", namespace) if kind.namespaced and namespace else ()
    parts = (kind.version, *within, kind.plural, name, subresource)
    return f"/{prefix}/{'/'.join(urllib.parse.quote(part, safe='') for part in parts if part)}"


def _path_of(kind: Kind, obj: Object, subresource: str = "") -> str:
    key = objects.key(obj)
    return _path(kind, key.namespace, key.name, subresource)


def _selectors(labels: str, fields: str) -> Parameters:
    given = {"labelSelector": labels, "fieldSelector": fields}
    return {name: value for name, value in given.items() if value}


def _log_parameters(container: str, options: LogOptions) -> Parameters:
    given = {
        "container": container or None,
        "follow": "true" if options.follow else None,
        "previous": "true" if options.previous else None,
        "timestamps": "true" if options.timestamps else None,
        "tailLines": options.tail_lines,
        "sinceTime": options.since.isoformat() if options.since is not None else None,
        "limitBytes": options.limit_bytes,
    }
    return {name: value for name, value in given.items() if value is not None}


async def _events(pieces: AsyncIterator[bytes]) -> AsyncIterator[WatchEvent]:
    left = b""
    async for piece in pieces:
        *lines, left = (left + piece).split(b"\n")
        for line in lines:
            if line:
                yield _event(_decoded(line))


def _event(frame: Object) -> WatchEvent:
    if frame["type"] == "ERROR":
        raise _from_status(frame["object"])
    kind: EventType = frame["type"]
    return WatchEvent(kind, frame["object"])


def _decoded(content: bytes) -> Object:
    try:
        return msgspec.json.decode(content, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise errors.ApiError(f"the API sent invalid JSON: {error}") from error


def _failure(path: str, answer: wire.ClientResponse, content: bytes) -> errors.ApiError:
    """The error of a response: its Status, or an error for its code if it has none."""
    try:
        status = msgspec.json.decode(content, type=dict[str, Any])
    except msgspec.MsgspecError:
        status = {}
    if status.get("kind") == "Status":
        return _from_status(status)
    if answer.status == HTTPStatus.NOT_FOUND:
        return errors.NotFound(f"the server does not serve {path}")
    return errors.ApiError(f"the API answered {answer.status} {answer.reason}")


def _from_status(status: Object) -> errors.ApiError:
    error = errors.from_status(status)
    # Kubernetes uses the reason Expired or the reason `Gone` with the same code.
    if status.get("code") == errors.Expired.code and not isinstance(error, errors.Expired):
        return errors.Expired(error.message)
    return error
