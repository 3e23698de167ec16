# SPDX-License-Identifier: Apache-2.0
from typing import Any

import pytest

from tidegate.model import errors, kinds
from tidegate.model.groups import BUILT_IN_SCHEME
from tidegate.model.kinds import Kind
from tidegate.model.objects import Object
from tidegate.model.schemas import language
from tidegate.model.schemas.types import Field, List, Map


def service(**container: Any) -> Object:
    return {"spec": {"template": {"spec": {"containers": [{"image": "hello", **container}]}}}}


def first_container(obj: Object) -> Object:
    found: Object = BUILT_IN_SCHEME[kinds.SERVICE].decoded(obj)["spec"]["template"]["spec"]["containers"][0]
    return found


@pytest.mark.parametrize("kind", kinds.BUILT_IN_KINDS, ids=lambda kind: kind.kind)
def test_every_field_of_every_kind_has_a_description(kind: Kind) -> None:
    def look(schema: Object, path: str) -> None:
        assert schema.get("description") or "[]" in path, path
        for name, inner in schema.get("properties", {}).items():
            look(inner, f"{path}.{name}")
        if "properties" in schema.get("items", {}):
            look(schema["items"], f"{path}[]")

    schema = BUILT_IN_SCHEME.schema(kind)
    assert {"apiVersion", "kind", "metadata"} <= set(schema["properties"])
    look(schema, kind.kind)


def test_a_field_of_a_schema_has_its_type() -> None:
    spec = BUILT_IN_SCHEME.schema(kinds.SERVICE)["properties"]["spec"]["properties"]["template"]["properties"]["spec"]
    container = spec["properties"]["containers"]["items"]["properties"]

    assert spec["properties"]["timeoutSeconds"]["format"] == "int64"
    assert container["resources"]["properties"]["limits"]["additionalProperties"]["x-kubernetes-int-or-string"]
    assert container["env"]["items"]["properties"]["name"]["type"] == "string"


@pytest.mark.parametrize(
    ("obj", "unknown"),
    [
        (service(), []),
        (service(foo=1, env=[{"name": "a", "vlaue": "b"}]), ["containers[0].foo", "containers[0].env[0].vlaue"]),
        ({"spec": {"template": {"spec": {"containers": "x", "bar": 1}}}}, ["bar"]),
    ],
)
def test_unknown_fields_have_paths(obj: Object, unknown: list[str]) -> None:
    assert BUILT_IN_SCHEME.unknown_fields(kinds.SERVICE, obj) == [f"spec.template.spec.{path}" for path in unknown]


def test_unknown_fields_of_kubernetes_own_kinds_are_reported_and_kept() -> None:
    written = {"metadata": {"name": "a"}, "dat": {"a": "b"}}

    assert BUILT_IN_SCHEME.unknown_fields(kinds.CONFIG_MAP, written) == ["dat"]
    assert BUILT_IN_SCHEME[kinds.CONFIG_MAP].decoded(written) == written


def test_a_status_may_have_unknown_fields() -> None:
    written = {"status": {"more": 1, "conditions": [{"type": "Ready", "status": "True", "more": ""}]}}

    assert not BUILT_IN_SCHEME.unknown_fields(kinds.SERVICE, written)
    assert BUILT_IN_SCHEME[kinds.SERVICE].decoded(written)["status"] == written["status"]


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ({"args": [], "workingDir": "", "env": None}, {}),
        ({"resources": {}}, {}),
        ({"resources": {"limits": {"cpu": "1000m"}}}, {"resources": {"limits": {"cpu": "1"}}}),
        ({"securityContext": {}}, {"securityContext": {}}),
        ({"securityContext": {"runAsNonRoot": False}}, {"securityContext": {"runAsNonRoot": False}}),
        ({"ports": [{"name": "h2c"}]}, {"ports": [{"containerPort": 0, "name": "h2c"}]}),
        ({"args": ["a", None]}, {"args": ["a", ""]}),
    ],
)
def test_empty_values_are_stored_in_the_form_of_knative(written: Object, stored: Object) -> None:
    assert first_container(service(**written)) == {"image": "hello", "name": "", **stored}


@pytest.mark.parametrize(
    ("written", "mistake"),
    [
        ({"image": 1}, "image: expected a string, got a number"),
        ({"image": True}, "image: expected a string, got a boolean"),
        ({"args": {}}, "args: expected a list, got an object"),
        ({"args": [1]}, "args[0]: expected a string, got a number"),
        ({"stdin": "yes"}, "stdin: expected a boolean, got a string"),
        ({"ports": [{"containerPort": 1.5}]}, "ports[0].containerPort: expected a whole number, got 1.5"),
        ({"ports": [{"containerPort": 2**31}]}, "ports[0].containerPort: expected a whole number of 32 bits"),
        ({"resources": {"limits": {"cpu": "lots"}}}, "resources.limits[cpu]: quantities must match"),
        ({"resources": {"limits": []}}, "resources.limits: expected an object, got a list"),
        ({"livenessProbe": {"httpGet": {"port": True}}}, "livenessProbe.httpGet.port: expected a number or a string"),
    ],
)
def test_a_field_of_another_type_is_reported_with_path_and_types(written: Object, mistake: str) -> None:
    with pytest.raises(errors.BadRequest) as caught:
        BUILT_IN_SCHEME[kinds.SERVICE].decoded(service(**written))

    assert f"spec.template.spec.containers[0].{mistake}" in caught.value.message


def test_all_wrong_types_are_reported_together() -> None:
    with pytest.raises(errors.BadRequest) as caught:
        BUILT_IN_SCHEME[kinds.SERVICE].decoded(
            {"metadata": {"labels": {"a": 1}}, "spec": {"traffic": [{"percent": "1"}]}}
        )

    assert [cause.field for cause in caught.value.causes] == ["metadata.labels[a]", "spec.traffic[0].percent"]


def test_the_notation_of_schemas_is_parsed() -> None:
    records = language.read("""
Inner*: Keeps what it does not know.
  count!  int32  How many.

Outer: Has an inner one.
  name?   string    A name whose emptiness says something.
  inner   Inner     The inner one.
  many    [Inner]   Several
    of them.
  labels  {string}  Words.
  ...Inner
""")

    assert records["Inner"].open
    assert records["Outer"].fields == {
        "name": Field("string", "A name whose emptiness says something.", "kept"),
        "inner": Field(records["Inner"], "The inner one.", "kept"),
        "many": Field(List(records["Inner"]), "Several of them."),
        "labels": Field(Map("string"), "Words."),
        "count": Field("int32", "How many.", "always"),
    }


@pytest.mark.parametrize("text", ["no head\n", "A: a.\n  field without its columns\n"])
def test_a_line_outside_the_notation_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match=r"^not "):
        language.read(text)
