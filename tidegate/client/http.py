# SPDX-License-Identifier: Apache-2.0
"""A `Cluster` over HTTPS: any Kubernetes API that a kubeconfig names, ours or a cluster's.

In: a kubeconfig (read by lightkube: authorities, client certificates, tokens, exec plugins). Out: the protocol of
`client.cluster`, and what only a client at a distance asks for: tables as `kubectl get` prints them, and logs. Who: the
command line, benchmarks, tests. Every failure is a `model.errors.ApiError`; where nobody answers, `Unreachable`.
"""

import re
import urllib.parse
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Literal, Self

import httpx2
import msgspec
import yaml
from lightkube.config import client_adapter
from lightkube.config.kubeconfig import PROXY_CONF, KubeConfig
from lightkube.config.models import User
from lightkube.core.exceptions import ConfigError

from tidegate.client.cluster import EventType, Listing, PatchType, Propagation, WatchEvent
from tidegate.model import errors, objects
from tidegate.model.kinds import POD, Kind
from tidegate.model.logs import LogOptions
from tidegate.model.objects import Key, Object

_TIMEOUT = httpx2.Timeout(30.0, connect=5.0)
_WATCH_SECONDS = 300
_WATCH_TIMEOUT = httpx2.Timeout(30.0, connect=5.0, read=_WATCH_SECONDS + 30.0)  # one that outlasts itself has died
_ENDLESS = httpx2.Timeout(30.0, connect=5.0, read=None)
_NO_LIMITS = httpx2.Limits(max_connections=None, max_keepalive_connections=20)  # each watch holds a connection
_TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
_ESCAPED = re.compile(r"\\(.)")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")

Parameters = Mapping[str, str | int]


class Unreachable(errors.ServiceUnavailable):
    """Nobody answers at the API's address, or somebody who is not it."""


class HttpCluster:
    """A Kubernetes API at a URL. `warn` is told what the server warns of; `strict` has unknown fields refused."""

    def __init__(
        self, client: httpx2.AsyncClient, *, warn: Callable[[str], None] | None = None, strict: bool = False
    ) -> None:
        self._client = client
        self._warn = warn
        self._write_parameters: Parameters = {"fieldValidation": "Strict"} if strict else {}

    @classmethod
    @asynccontextmanager
    async def from_kubeconfig(
        cls, path: Path, *, warn: Callable[[str], None] | None = None, strict: bool = False
    ) -> AsyncIterator[Self]:
        """The API of the kubeconfig's current context, for the time of an `async with`."""
        async with _client(path) as client:
            yield cls(client, warn=warn, strict=strict)

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
        patience = _ENDLESS if asked.follow else _TIMEOUT
        path = _path(POD, pod.namespace, pod.name, "log")
        async with self._stream(path, _log_parameters(container, asked), patience=patience) as response:
            yield _pieces(response)

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
        content = msgspec.json.encode(body) if body is not None else None
        with self._failures():
            response = await self._client.request(method, path, params=parameters, content=content, headers=headers)
        self._tell_warnings(response)
        if response.is_error:
            raise _failure(response)
        return _decoded(response.content)

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
        async with self._stream(path, parameters, patience=_WATCH_TIMEOUT, accept=accept) as response:
            yield _events(response)

    @asynccontextmanager
    async def _stream(
        self, path: str, parameters: Parameters, *, patience: httpx2.Timeout, accept: str = "*/*"
    ) -> AsyncIterator[httpx2.Response]:
        request = self._client.build_request(
            "GET", path, params=parameters, headers={"accept": accept}, timeout=patience
        )
        with self._failures():
            response = await self._client.send(request, stream=True)
            try:
                if response.is_error:
                    await response.aread()
                    raise _failure(response)
                yield response
            finally:
                await response.aclose()

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """What goes wrong on the way, as ours."""
        try:
            yield
        except httpx2.ConnectError as error:
            raise Unreachable(f"cannot reach the API at {self._client.base_url}: {error}") from error
        except httpx2.TimeoutException as error:
            raise errors.ServiceUnavailable(f"the API at {self._client.base_url} does not answer in time") from error
        except httpx2.TransportError as error:
            told = str(error) or type(error).__name__
            raise errors.ServiceUnavailable(
                f"the connection to the API at {self._client.base_url} broke: {told}"
            ) from error

    def _tell_warnings(self, response: httpx2.Response) -> None:
        if self._warn is None:
            return
        for header in response.headers.get_list("warning"):
            # RFC 7234: code, agent, then the text, quoted.
            self._warn(_ESCAPED.sub(r"\1", header.split(" ", 2)[-1][1:-1]))


def _client(path: Path) -> httpx2.AsyncClient:
    try:
        config = KubeConfig.from_file(path).get(default=PROXY_CONF) or PROXY_CONF
        user = config.user or User()
        # A proxy of the environment is for hosts beyond this one.
        trust_env = urllib.parse.urlsplit(config.cluster.server).hostname not in _LOOPBACK
        verify = client_adapter.verify_cluster(config.cluster, user, config.abs_file, trust_env=trust_env)
        auth = client_adapter.user_auth(user)
    except KeyError as error:
        raise errors.ApiError(f"the kubeconfig {path} cannot be used: it has no {error}") from error
    except (ConfigError, msgspec.ValidationError, yaml.YAMLError, AttributeError, TypeError, OSError) as error:
        # lightkube reads the file's shape without a check: what is no mapping fails where it is used as one
        raise errors.ApiError(f"the kubeconfig {path} cannot be used: {error}") from error
    return httpx2.AsyncClient(
        base_url=config.cluster.server,
        verify=verify,
        auth=auth,
        timeout=_TIMEOUT,
        limits=_NO_LIMITS,
        trust_env=trust_env,
    )


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


async def _pieces(response: httpx2.Response) -> AsyncIterator[bytes]:
    async for piece in response.aiter_bytes():
        yield piece


async def _events(response: httpx2.Response) -> AsyncIterator[WatchEvent]:
    left = b""
    async for piece in response.aiter_bytes():
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
        raise errors.ApiError(f"the API sent what is not a JSON object: {error}") from error


def _failure(response: httpx2.Response) -> errors.ApiError:
    """The error of an answer: its Status, or what the code says where it brings none."""
    try:
        status = msgspec.json.decode(response.content, type=dict[str, Any])
    except msgspec.MsgspecError:
        status = {}
    if status.get("kind") == "Status":
        return _from_status(status)
    if response.status_code == httpx2.codes.NOT_FOUND:
        return errors.NotFound(f"the server does not serve {response.url.path}")
    return errors.ApiError(f"the API answered {response.status_code} {response.reason_phrase}")


def _from_status(status: Object) -> errors.ApiError:
    error = errors.from_status(status)
    # Kubernetes says Expired or Gone; only the code is the same.
    if status.get("code") == errors.Expired.code and not isinstance(error, errors.Expired):
        return errors.Expired(error.message)
    return error
