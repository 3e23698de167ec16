# SPDX-License-Identifier: Apache-2.0
"""Request bodies: bytes of bounded size in, JSON values out, with what was said twice in them.

Broken bodies are `BadRequest`, as are those nested deeper than any object is; longer ones than 3 MB are `TooLarge`,
other media types `UnsupportedMediaType`.
"""

import asyncio
import json
from collections.abc import Hashable, Iterable, Iterator
from typing import Any, NamedTuple

import msgspec
import yaml
from starlette.requests import Request

from tidegate.apiserver import protobuf
from tidegate.model import errors

LIMIT = 3 * 1024 * 1024
_DEEPEST = 100  # levels; what works on objects recurses, and Python's stack is bounded
JSON = "application/json"
YAML = ("application/yaml", "application/x-yaml", "text/yaml")


class Body(NamedTuple):
    """A decoded body. `duplicates` are the paths of keys that an object of it has more than once."""

    value: Any
    duplicates: list[str]


EMPTY = Body(None, [])


def media_type(request: Request, default: str = JSON) -> str:
    return (request.headers.get("content-type") or default).partition(";")[0].strip().lower()


async def read(request: Request) -> bytes:
    """The whole body."""
    too_large = errors.TooLarge(f"Request entity too large: limit is {LIMIT}")
    length = request.headers.get("content-length", "0")
    if length.isdigit() and int(length) > LIMIT:
        raise too_large
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LIMIT:
            raise too_large
    return bytes(body)


async def decoded(request: Request, *, optional: bool = False) -> Body:
    """The body of a request that brings an object; `EMPTY` for one that may bring none, and does."""
    sent_as = media_type(request)
    body = await read(request)
    if optional and not body:
        return EMPTY
    if sent_as == JSON:
        return from_json(body)
    if sent_as == protobuf.MEDIA_TYPE:
        return Body(protobuf.decoded(body), [])
    if sent_as in YAML:
        return await asyncio.to_thread(from_yaml, body)  # slow enough to hold up everybody else
    accepted = ", ".join((JSON, YAML[0], protobuf.MEDIA_TYPE))
    raise errors.UnsupportedMediaType(
        f"the body of the request was in an unknown format - accepted media types include: {accepted}"
    )


async def as_yaml(request: Request) -> Body:
    """The body of a request that is YAML by the name of its type, which JSON is too."""
    return await asyncio.to_thread(from_yaml, await read(request))


def from_json(body: bytes) -> Body:
    try:
        return _bounded(Body(msgspec.json.decode(body), _duplicates(body)))
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise errors.BadRequest(f"the body is not valid JSON: {error}") from error


def _bounded(body: Body) -> Body:
    """The body, if it is not nested too deeply."""
    level = [body.value]
    for _ in range(_DEEPEST):
        level = [entry for value in level if isinstance(value, dict | list) for entry in _entries(value)]
        if not level:
            return body
    raise errors.BadRequest(f"the body is nested more than {_DEEPEST} levels deep")


def _entries(value: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value


def _duplicates(body: bytes) -> list[str]:
    doubled: list[tuple[dict[str, Any], str]] = []

    def collect(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        collected = dict(pairs)
        if len(collected) != len(pairs):
            names = [name for name, _ in pairs]
            doubled.extend((collected, name) for name in collected if names.count(name) > 1)
        return collected

    value = json.loads(body, object_pairs_hook=collect, parse_int=str)
    return list(_paths(value, doubled)) if doubled else []


def _paths(value: Any, doubled: list[tuple[dict[str, Any], str]], path: str = "") -> Iterator[str]:
    """The paths of the doubled keys, found by the identity of the objects that have them."""
    if isinstance(value, dict):
        yield from (f"{path}.{name}".lstrip(".") for owner, name in doubled if owner is value)
        for name, entry in value.items():
            yield from _paths(entry, doubled, f"{path}.{name}")
    elif isinstance(value, list):
        for index, entry in enumerate(value):
            yield from _paths(entry, doubled, f"{path}[{index}]")


class _Loader(yaml.SafeLoader):
    """YAML as JSON sees it: string keys, each once; no dates; no aliases, which a few bytes could blow up with."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(None, None, "aliases are not accepted", None)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for name, _ in node.value:
            if name.tag != "tag:yaml.org,2002:str":
                raise yaml.constructor.ConstructorError(None, None, "keys must be strings", name.start_mark)
            if name.value in seen:
                told = f'key "{name.value}" already set in map'
                raise yaml.constructor.ConstructorError(None, None, told, name.start_mark)
            seen.add(name.value)
        return super().construct_mapping(node, deep)


_NOT_JSON = frozenset(f"tag:yaml.org,2002:{name}" for name in ("timestamp", "merge", "value"))
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _NOT_JSON]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def from_yaml(body: bytes) -> Body:
    try:
        value = yaml.load(body, _Loader)  # noqa: S506 (a SafeLoader)
        return _bounded(Body(msgspec.json.decode(msgspec.json.encode(value)), []))
    except (yaml.YAMLError, msgspec.MsgspecError, TypeError, ValueError, RecursionError) as error:
        told = " ".join(str(error).split())
        raise errors.BadRequest(f"the body is not valid YAML: {told}") from error
