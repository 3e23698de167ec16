# SPDX-License-Identifier: Apache-2.0
"""Request bodies: bytes of bounded size in, JSON values out, with what was said twice in them.

Broken bodies are `BadRequest`, as are those nested deeper than any object is; ones with more bytes or values than any
object has are `TooLarge`; other media types, and compressed bodies, `UnsupportedMediaType`. Large bodies are decoded
`aside`.
"""

from typing import Any, NamedTuple

from starlette.requests import Request

from tidegate.apiserver.endpoints import json_body, protobuf, yaml_body
from tidegate.apiserver.registry import aside
from tidegate.model import errors

LIMIT = 3 * 1024 * 1024
_YAML_WORK = 4  # times that of JSON with as many bytes
JSON = "application/json"
YAML = ("application/yaml", "application/x-yaml", "text/yaml")


class Body(NamedTuple):
    """A decoded body of `size` bytes. `duplicates` are the paths of keys that an object of it has more than once."""

    value: Any
    duplicates: list[str]
    size: int = 0


EMPTY = Body(None, [])


def media_type(request: Request, default: str = JSON) -> str:
    return (request.headers.get("content-type") or default).partition(";")[0].strip().lower()


async def read(request: Request) -> bytes:
    """The whole body."""
    coding = request.headers.get("content-encoding", "identity")
    if coding.lower() != "identity":
        raise errors.UnsupportedMediaType(f"the body of the request is compressed ({coding}), which is not supported")
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
        return await from_json(body)
    if sent_as == protobuf.MEDIA_TYPE:
        return Body(await aside.run(lambda: protobuf.decoded(body), len(body)), [], len(body))
    if sent_as in YAML:
        return await from_yaml(body)
    accepted = ", ".join((JSON, YAML[0], protobuf.MEDIA_TYPE))
    raise errors.UnsupportedMediaType(
        f"the body of the request was in an unknown format - accepted media types include: {accepted}"
    )


async def from_json(body: bytes) -> Body:
    value, duplicates = await aside.run(lambda: json_body.decoded(body), len(body))
    return Body(value, duplicates, len(body))


async def from_yaml(body: bytes) -> Body:
    """Also of a body that is YAML by the name of its type, which JSON is too."""
    work = _YAML_WORK * len(body)
    return Body(await aside.run(lambda: yaml_body.decoded(body), work), [], len(body))
