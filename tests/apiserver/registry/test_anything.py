# SPDX-License-Identifier: Apache-2.0
"""Odd objects, with the real admission: each is stored and can be shown, selected and deleted, or it is rejected."""

import asyncio
import copy
import random
import tempfile
from pathlib import Path
from typing import Any

import pytest

from harness.apiserver import opened
from tests.apiserver import make
from tests.conformance.test_kubectl import admit
from tidegate.apiserver.registry.api import Api, WriteOptions
from tidegate.apiserver.upkeep import event_expiry
from tidegate.kit.clock import RealClock
from tidegate.model import errors, kinds
from tidegate.model.groups import BUILT_IN_SCHEME
from tidegate.model.kinds import Kind
from tidegate.model.objects import Object, key
from tidegate.model.registry import selectors
from tidegate.model.registry.deletion import DeleteOptions

OWNER = {"apiVersion": "v1", "kind": "Pod", "name": "x", "uid": "u"}
ODD: list[Any] = [
    None,
    True,
    0,
    -1,
    2**62,
    1.5,
    "",
    "x",
    "\0",
    "ü" * 300,
    [],
    ["x"],
    [None],
    [{}],
    {},
    {"x": {}},
    {"": None},
]

WHOLE: dict[Kind, Object] = {
    kinds.SERVICE: make.service(annotations={"serving.knative.dev/rollout-duration": "10s"})
    | {"status": {"url": "x", "conditions": [{"type": "Ready", "status": "True", "reason": "x"}], "traffic": [{}]}},
    kinds.ROUTE: {"spec": {"traffic": [{"configurationName": "a", "percent": 100, "tag": "b"}]}},
    kinds.INGRESS: {"spec": {"rules": [{"hosts": ["a"], "http": {"paths": [{"splits": [{"percent": 100}]}]}}]}},
    kinds.POD: make.pod(node="here", labels={"a": "b"}, ownerReferences=[OWNER])
    | {
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [
                {
                    "ready": True,
                    "restartCount": 1,
                    "state": {"waiting": {"reason": "x"}, "terminated": {"exitCode": 1}},
                    "lastState": {"terminated": {"finishedAt": "2026-01-01T00:00:00Z"}},
                }
            ],
        }
    },
    kinds.EVENT: {
        "involvedObject": {"kind": "Pod", "name": "a", "namespace": "default"},
        "source": {"component": "x", "host": "y"},
        "series": {"lastObservedTime": "2026-01-01T00:00:00Z"},
        "message": "x",
        "count": 1,
    },
    kinds.SECRET: make.secret(data={"a": "YQ=="}, stringData={"b": "c"}),
    kinds.CONFIG_MAP: make.config_map(data={"a": "b"}) | {"binaryData": {"c": "YQ=="}},
    kinds.NODE: {
        "spec": {"unschedulable": True},
        "status": {"addresses": [{"type": "InternalIP", "address": "x"}], "nodeInfo": {"osImage": "x"}},
    },
}  # fmt: skip


def spoiled(obj: Object, chance: random.Random) -> Object:
    """The object with an odd value in some place."""
    obj = copy.deepcopy(obj)
    places: list[tuple[Any, Any]] = []

    def collect(value: Any) -> None:
        entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for name, entry in list(entries):
            places.append((value, name))
            collect(entry)

    collect(obj)
    for holder, name in chance.sample(places, chance.choice([1, 1, 1, 2])):
        holder[name] = chance.choice(ODD)
    return obj


@pytest.mark.parametrize("kind", kinds.BUILT_IN_KINDS, ids=str)
def test_odd_objects_are_stored_or_rejected(kind: Kind) -> None:
    chance = random.Random(str(kind))
    whole = {"metadata": make.metadata("a", "default" if kind.namespaced else ""), "spec": {}, **WHOLE.get(kind, {})}

    async def try_all() -> None:
        with tempfile.TemporaryDirectory() as folder:
            async with opened(Path(folder), admit=admit) as api:
                for _ in range(150):
                    await tried(api, kind, whole, spoiled(whole, chance))

    asyncio.run(try_all())


async def tried(api: Api, kind: Kind, whole: Object, odd: Object) -> None:
    namespace = "default" if kind.namespaced else ""
    BUILT_IN_SCHEME.unknown_fields(kind, odd)
    for attempt in (odd, whole):
        try:
            obj = (await api.create(kind, namespace, attempt, user=make.USER)).object
        except errors.ApiError as error:
            assert 400 <= error.code < 500, error
            continue
        await changed(api, kind, obj, odd)
        await api.delete(kind, key(obj), DeleteOptions(grace_seconds=0))


async def changed(api: Api, kind: Kind, obj: Object, odd: Object) -> None:
    """Update spec and status with the odd object, and show the result."""
    for subresource in ("", "status"):
        try:
            sent = {**odd, "metadata": obj["metadata"]}
            obj = (await api.update(kind, key(obj), sent, user=make.USER, options=WriteOptions(subresource))).object
        except errors.ApiError as error:
            assert 400 <= error.code < 500, error
        show(kind, obj)


def show(kind: Kind, obj: Object) -> None:
    for column in BUILT_IN_SCHEME[kind].columns:
        column.cell(obj, RealClock().wall())
    for field in selectors.fields_of(kind):
        selectors.selection(kind, "", f"{field}=x")(obj)
    if kind is kinds.EVENT:
        event_expiry.last_seen(obj)
