# SPDX-License-Identifier: Apache-2.0
"""Request bodies: bytes of bounded size in, JSON values out, with the paths of duplicate keys.

| a body | error |
| --- | --- |
| malformed, or nested too deep | `BadRequest` |
| with too many bytes or values | `TooLarge` |
| compressed, or of another media type | `UnsupportedMediaType` |

Large bodies are decoded in a thread (`offload`).
"""

from typing import Any, NamedTuple

from starlette.requests import Request

from tidegate.apiserver.endpoints import json_body, protobuf, yaml_body
from tidegate.apiserver.registry import offload
from tidegate.model import errors

LIMIT = 3 * 1024 * 1024  # bytes
_YAML_WORK = 4  # times the work of JSON with the same number of bytes
JSON = "application/json"
YAML = ("application/yaml", "application/x-yaml", "text/yaml")


class Body(NamedTuple):
    """A decoded body of `size` bytes. `duplicates`: the paths of keys that one of its objects has more than once."""

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
    """The decoded body of a request; `EMPTY` if the body is `optional` and missing."""
    sent_as = media_type(request)
    body = await read(request)
    if optional and not body:
        return EMPTY
    if sent_as == JSON:
        return await from_json(body)
    if sent_as == protobuf.MEDIA_TYPE:
        return Body(await offload.run(lambda: protobuf.decoded(body), len(body)), [], len(body))
    if sent_as in YAML:
        return await from_yaml(body)
    accepted = ", ".join((JSON, YAML[0], protobuf.MEDIA_TYPE))
    raise errors.UnsupportedMediaType(
        f"the body of the request was in an unknown format - accepted media types include: {accepted}"
    )


async def from_json(body: bytes) -> Body:
    value, duplicates = await offload.run(lambda: json_body.decoded(body), len(body))
    return Body(value, duplicates, len(body))


async def from_yaml(body: bytes) -> Body:
    """A YAML body, which may be JSON: JSON is YAML too."""
    work = _YAML_WORK * len(body)
    return Body(await offload.run(lambda: yaml_body.decoded(body), work), [], len(body))
