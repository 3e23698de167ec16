# SPDX-License-Identifier: Apache-2.0
"""Arbitrary requests over a socket. Each gets an answer; an error is a Status with a reason, never a 500 or a closed
connection."""

import asyncio
import copy
import tempfile
import urllib.parse
from pathlib import Path
from typing import Any

import httpx
import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.apiserver import served
from tests.apiserver import make
from tests.apiserver.registry.test_anything import WHOLE
from tests.conformance.test_kubectl import admit
from tidegate.model import kinds
from tidegate.model.groups import BUILT_IN_SCHEME
from tidegate.model.kinds import Kind
from tidegate.model.objects import Object
from tidegate.model.registry import patches

WORDS = st.sampled_from(
    [
        "",
        "a",
        "default",
        "status",
        "log",
        "-",
        ".",
        "..",
        "a" * 300,
        "\0",
        "ü",
        "\ud800",
        "%",
        "a/b",
        "xn--ü",
        "İ",
        "[]",
    ]
) | st.text(max_size=8)
RAW_VALUES = st.sampled_from(
    [
        b"null", b"true", b"0", b"-0", b"-1", b"1e308", b"-1e308", b"1e400", b"1e-400", b"NaN", b"Infinity", b"9" * 30,
        b"9" * 5000, b"1.5", b'""', b'"x"', b'"\\u0000"', b'"\\ud800"', b'"1e308"', b'"1e999"', b'"-1"', b'"9Ei"',
        b"[]", b"[null]", b"[[]]", b"[{}]", b"{}", b'{"\\u0000": "x"}', b'{"": null}', b'{"a": 1, "a": 2}',
        b'"' + b"a" * 5000 + b'"', b'"a\\u0000b"', b'"b\xc3\xbccher.example"', b'"2026-13-45T99:99:99Z"',
    ]
)  # fmt: skip
PARAMETERS = st.sampled_from(
    [
        "labelSelector", "fieldSelector", "limit", "continue", "resourceVersion", "resourceVersionMatch", "dryRun",
        "fieldManager", "fieldValidation", "force", "propagationPolicy", "gracePeriodSeconds", "container", "tailLines",
        "sinceSeconds", "sinceTime", "limitBytes", "timestamps", "previous", "follow", "includeObject", "pretty",
        "sendInitialEvents", "allowWatchBookmarks", "orphanDependents",
    ]
)  # fmt: skip
VALUES = WORDS | st.sampled_from(
    [
        "0", "-1", "1e400", "9" * 18, "9" * 400, "true", "All", "Exact", "NotOlderThan", "a=b", "a in (b",
        "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "WzEsImEiLCJiIl0", "Wy0xLCJhIiwiYiJd", "Orphan",
        "metadata.name=a", "Table",
    ]
)  # fmt: skip
MEDIA_TYPES = st.sampled_from(
    [
        "application/json", "application/yaml", patches.APPLY, patches.MERGE_PATCH, patches.JSON_PATCH, "",
        patches.STRATEGIC_MERGE_PATCH, "application/vnd.kubernetes.protobuf", "text/plain", ";", "application/json;a=b",
    ]
)  # fmt: skip
ACCEPT = st.sampled_from(
    ["", "*/*", "application/json;as=Table;v=v1;g=meta.k8s.io", "application/json;as=Table", ";;,=", "a/b", "\xff"]
)


def collection(kind: Kind, namespace: str) -> str:
    base = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
    return f"{base}/namespaces/{quoted(namespace)}/{kind.plural}" if kind.namespaced else f"{base}/{kind.plural}"


def quoted(text: str) -> str:
    return urllib.parse.quote(text, safe="", errors="surrogatepass")


def whole(kind: Kind) -> Object:
    named = {"metadata": make.metadata("a", "default" if kind.namespaced else ""), "spec": {}}
    return copy.deepcopy({"apiVersion": kind.api_version, "kind": kind.kind, **named, **WHOLE.get(kind, {})})


@st.composite
def bodies(draw: st.DrawFn, kind: Kind) -> bytes:
    """An object of the kind with an odd value in one or two places, or an odd value alone."""
    if draw(st.integers(0, 5)) == 0:
        return draw(RAW_VALUES | st.binary(max_size=40))
    obj = whole(kind)
    for _ in range(draw(st.integers(0, 2))):
        places: list[tuple[Any, Any]] = []
        found = [obj]
        for value in found:  # grows while it is walked
            entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
            for name, entry in entries:
                places.append((value, name))
                found.append(entry)
        holder, name = draw(st.sampled_from(places))
        holder[name] = msgspec.Raw(draw(RAW_VALUES))
    body = msgspec.json.encode(obj)
    as_patch = st.sampled_from(
        [b"[%s]", b'[{"op":"add","path":"/spec","value":%s}]', b'[{"op":"test","path":"/a/-","value":%s}]']
    )
    return draw(as_patch) % body if draw(st.integers(0, 5)) == 0 else body


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(list(kinds.BUILT_IN_KINDS)))
    path = collection(kind, draw(st.just("default") | WORDS))
    parts = draw(st.sampled_from([(), ("a",), ("a", "status"), ("a", "log")]) | st.lists(WORDS, max_size=3))
    query = draw(st.lists(st.tuples(PARAMETERS, VALUES), max_size=3))
    return {
        "method": draw(st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "X"])),
        "url": "/".join((path, *map(quoted, parts)))
        + "?"
        + "&".join(f"{name}={quoted(value)}" for name, value in query if name != "follow"),
        "headers": [
            (b"content-type", draw(MEDIA_TYPES).encode("latin-1")),
            (b"accept", draw(ACCEPT).encode("latin-1")),
            (b"user-agent", draw(st.sampled_from([b"kubectl/1", b"", b"/", b"\xff", b"a" * 300]))),
        ],
        "content": draw(bodies(kind)),
    }


@settings(max_examples=12, suppress_health_check=list(HealthCheck))
@given(st.lists(requests(), min_size=40, max_size=40))
def test_every_request_is_answered_and_every_error_is_a_status(asked: list[dict[str, Any]]) -> None:
    asyncio.run(all_are_answered(asked))


async def all_are_answered(asked: list[dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with (
            served(Path(folder), admit=admit, unknown_fields=BUILT_IN_SCHEME.unknown_fields) as server,
            server.client() as client,
        ):
            for kind in kinds.BUILT_IN_KINDS:
                await client.post(collection(kind, "default"), content=msgspec.json.encode(whole(kind)))
            for request in asked:
                require_answer(await client.request(**request), request)


def require_answer(answer: httpx.Response, request: dict[str, Any]) -> None:
    assert answer.status_code < 500 or answer.status_code == 504, (answer.text, request)
    if answer.status_code < 400 or request["method"] == "HEAD" or answer.text == "404 page not found\n":
        return
    status = answer.json()
    assert (status["kind"], status["code"]) == ("Status", answer.status_code), request
    assert all((status["reason"], status["message"])), request
