# SPDX-License-Identifier: Apache-2.0
"""Kubernetes' protobuf, byte for byte as kubectl sends it."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tidegate.apiserver.endpoints import protobuf
from tidegate.model import errors


def field(number: int, value: bytes | str | int) -> bytes:
    """One field on the wire; short ones only."""
    if isinstance(value, int):
        return bytes([number << 3, value])
    raw = value.encode() if isinstance(value, str) else value
    return bytes([number << 3 | 2, len(raw)]) + raw


def body(api_version: str, kind: str, *fields: bytes) -> bytes:
    return b"k8s\0" + field(1, field(1, api_version) + field(2, kind)) + field(2, b"".join(fields)) + field(3, "")


def test_a_namespace_is_decoded() -> None:
    metadata = field(1, field(1, "team") + field(2, "") + field(8, b"") + field(11, field(1, "a") + field(2, "b")))
    assert protobuf.decoded(body("v1", "Namespace", metadata, field(2, b""), field(3, b""))) == {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "team", "labels": {"a": "b"}},
    }


def test_a_secret_with_bytes_texts_and_flags_is_decoded() -> None:
    metadata = field(1, field(1, "s") + field(8, field(1, 60)) + field(14, "x/y"))
    data = [field(2, field(1, name) + field(2, value)) for name, value in (("a", b"\0\xff"), ("b", b""))]
    assert protobuf.decoded(body("v1", "Secret", metadata, *data, field(3, "Opaque"), field(5, 1))) == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s", "creationTimestamp": "1970-01-01T00:01:00Z", "finalizers": ["x/y"]},
        "data": {"a": "AP8=", "b": ""},
        "type": "Opaque",
        "immutable": True,
    }


def test_a_token_request_is_decoded() -> None:
    bound = field(3, field(1, "Pod") + field(2, "v1") + field(3, "app") + field(4, "u1"))
    request = body("authentication.k8s.io/v1", "TokenRequest", field(1, b""), field(2, field(1, "vault") + bound))
    assert protobuf.decoded(request)["spec"] == {
        "audiences": ["vault"],
        "boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "app", "uid": "u1"},
    }


def test_options_of_a_deletion_keep_a_grace_of_zero() -> None:
    options = body("v1", "DeleteOptions", field(1, 0), field(2, field(1, "u")), field(4, "Orphan"), field(5, "All"))
    assert protobuf.decoded(options) == {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "gracePeriodSeconds": 0,
        "preconditions": {"uid": "u"},
        "propagationPolicy": "Orphan",
        "dryRun": ["All"],
    }


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (b"", "does not begin as one"),
        (b"{}", "does not begin as one"),
        (body("v1", "Pod", field(1, b"")), "reads as JSON only"),
        (body("v1", "ConfigMap", field(9, b"")), "field 9 is not known"),
        (body("v1", "ConfigMap", field(1, field(1, "c")))[:-5], "it is malformed"),
        (body("v1", "ConfigMap", field(1, 7)), "not a protobuf object"),
        (body("v1", "ConfigMap", field(1, field(15, ""))), "field 15 is not known"),
        (body("v1", "ConfigMap", field(1, field(1, b"\xff"))), "a text is not UTF-8"),
        (b"k8s\0\x0a" + b"\xff" * 20, "it is malformed"),
    ],
)
def test_a_malformed_body_is_a_bad_request(sent: bytes, message: str) -> None:
    with pytest.raises(errors.BadRequest, match=message):
        protobuf.decoded(sent)


@example(raw=b" \x00", kind="DeleteOptions")  # a number where a text belongs
@given(st.binary(max_size=60), st.sampled_from(["Namespace", "ConfigMap", "Secret", "DeleteOptions"]))
def test_arbitrary_bytes_become_an_object_or_an_error(raw: bytes, kind: str) -> None:
    try:
        assert protobuf.decoded(body("v1", kind, raw))["kind"] == kind
    except errors.BadRequest as error:
        assert "protobuf" in error.message
