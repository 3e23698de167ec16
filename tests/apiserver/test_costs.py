# SPDX-License-Identifier: Apache-2.0
"""The cost of requests: work grows in proportion to the request, and the event loop stays free for others."""

import asyncio
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness.apiserver import opened
from tests.apiserver import make
from tests.conformance.test_kubectl import admit
from tidegate.apiserver.endpoints import bodies, json_body, responses, views, yaml_body
from tidegate.apiserver.registry import ownership
from tidegate.apiserver.registry.api import ApplyOptions
from tidegate.model import errors, kinds
from tidegate.model.admission import Admission, AdmissionRequest
from tidegate.model.config import Configs
from tidegate.model.groups import BUILT_IN_SCHEME
from tidegate.model.kinds import CONFIG_MAP, POD, SERVICE
from tidegate.model.objects import Key, Object
from tidegate.model.registry import metadata_validation, patches, selectors, strategic_merge

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ME, ANOTHER = ownership.FieldManager("me", "Apply"), ownership.FieldManager("another", "Update")


def json_object(pairs: list[tuple[str, Any]]) -> bytes:
    """A JSON object, which may have a key twice."""
    return b"{%s}" % b",".join(b"%s:%s" % (msgspec.json.encode(k), msgspec.json.encode(v)) for k, v in pairs)


def config_map(size: int, **more: Any) -> Object:
    data = {f"key{n}": "x" for n in range(size)}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": make.metadata("a", **more), "data": data}


def service(**spec: Any) -> Object:
    obj = make.service()
    container = {"image": "x", **spec}
    return {**obj, "spec": {"template": {"spec": {"containers": [container]}}}}


# Each case builds a request of a size, and returns the work on it.


def a_body_with_every_key_twice(size: int) -> Callable[[], object]:
    body = json_object([(f"key{n}", "x") for n in range(size)] * 2)
    return lambda: json_body.decoded(body)


def a_body_with_a_key_twice_in_every_object(size: int) -> Callable[[], object]:
    body = b"[%s]" % b",".join([b'{"a":1,"a":2}'] * size)
    return lambda: json_body.decoded(body)


def a_body_of_yaml(size: int) -> Callable[[], object]:
    body = "".join(f"key{n}: value\n" for n in range(size)).encode()
    return lambda: yaml_body.decoded(body)


def a_service_with_wrong_variables(size: int) -> Callable[[], object]:
    wrong = service(env=[{"name": f"-{n}", "value": "x"} for n in range(size)])
    return lambda: Admission(BUILT_IN_SCHEME, Configs).admit(SERVICE, wrong, None, AdmissionRequest("me", "", False))


def a_service_with_variables_of_another_type(size: int) -> Callable[[], object]:
    wrong = service(env=[7] * size)
    return lambda: BUILT_IN_SCHEME[SERVICE].decoded(wrong)


def finalizers_for_an_object_that_is_being_deleted(size: int) -> Callable[[], object]:
    old = config_map(0, deletionTimestamp="now", finalizers=[f"a.b/old{n}" for n in range(size)])
    new = config_map(0, deletionTimestamp="now", finalizers=[f"a.b/new{n}" for n in range(size)])
    return lambda: metadata_validation.check(CONFIG_MAP, new, old)


def finalizers_in_a_strategic_merge_patch(size: int) -> Callable[[], object]:
    old, new = ([f"a.b/{which}{n}" for n in range(size)] for which in ("old", "new"))
    patch = {"metadata": {"finalizers": new, "$deleteFromPrimitiveList/finalizers": old}}
    return lambda: strategic_merge.merge({"metadata": {"finalizers": old}}, patch)


def fields_to_keep_in_a_strategic_merge_patch(size: int) -> Callable[[], object]:
    obj = config_map(size)
    return lambda: strategic_merge.merge(obj, {"data": {"$retainKeys": list(obj["data"])}})


def an_apply_of_new_fields(size: int) -> Callable[[], object]:
    manifest = config_map(size)
    return lambda: ownership.after_apply({}, manifest, manifest, ME, NOW)


def an_apply_that_drops_all_fields(size: int) -> Callable[[], object]:
    before = ownership.after_apply({}, config_map(size), config_map(size), ME, NOW)
    return lambda: ownership.applied(CONFIG_MAP, before, config_map(0), ME, force=False)


def an_apply_with_conflicts(size: int) -> Callable[[], object]:
    theirs = ownership.after_apply({}, config_map(size), config_map(size), ME, NOW)
    mine = {**config_map(0), "data": {f"key{n}": "y" for n in range(size)}}
    return lambda: ownership.applied(CONFIG_MAP, theirs, mine, ANOTHER, force=False)


def a_json_patch(size: int) -> Callable[[], object]:
    operations = [{"op": "add", "path": f"/data/new{n}", "value": "x"} for n in range(size)]
    return lambda: patches.parsed(CONFIG_MAP, patches.JSON_PATCH, operations)(config_map(size))


def commas_of_a_label_selector(size: int) -> Callable[[], object]:
    return lambda: selectors.selection(POD, "a," * (20 * size), "")


def values_of_a_label_selector(size: int) -> Callable[[], object]:
    selector = f"a in ({','.join(f'x{n}' for n in range(20 * size))})"
    return lambda: selectors.selection(POD, selector, "")


@pytest.mark.parametrize(
    "case",
    [
        a_body_with_every_key_twice,
        a_body_with_a_key_twice_in_every_object,
        a_body_of_yaml,
        a_service_with_wrong_variables,
        a_service_with_variables_of_another_type,
        finalizers_for_an_object_that_is_being_deleted,
        finalizers_in_a_strategic_merge_patch,
        fields_to_keep_in_a_strategic_merge_patch,
        an_apply_of_new_fields,
        an_apply_that_drops_all_fields,
        an_apply_with_conflicts,
        a_json_patch,
        commas_of_a_label_selector,
        values_of_a_label_selector,
    ],
)
def test_four_times_as_much_costs_far_less_than_sixteen_times_the_work(
    case: Callable[[int], Callable[[], object]],
) -> None:
    assert work(case(8000)) < 9 * work(case(2000))


def work(of: Callable[[], object]) -> float:
    """The least processor time of this thread for it: other work on the machine does not count."""
    least = float("inf")
    for _ in range(4):
        began = time.thread_time()
        try:
            of()
        except errors.ApiError as error:
            error.status()
        least = min(least, time.thread_time() - began)
    return least


# The event loop


@pytest.fixture(autouse=True)
def quick_turns() -> Iterator[None]:
    """Let threads take turns often, so that a thread is noticed by its many turns."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.0001)
    yield
    sys.setswitchinterval(before)


async def turns_during(work: Awaitable[object]) -> int:
    """The number of turns of the event loop during the work."""
    task, turns = asyncio.ensure_future(work), 0
    while not task.done():
        await asyncio.sleep(0)
        turns += 1
    await asyncio.gather(task, return_exceptions=True)
    return turns


AT_ONCE = 5
"""The most turns that small work takes: it waits for nothing."""

LARGE = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": make.metadata("large")} | {
    "data": {f"key{n}": "x" for n in range(20_000)}
}


@pytest.mark.parametrize(
    ("decode", "body"),
    [
        (bodies.from_json, msgspec.json.encode(LARGE)),
        (bodies.from_yaml, b"".join(b"key%d: value\n" % n for n in range(5000))),
    ],
    ids=["json", "yaml"],
)
async def test_the_event_loop_stays_free_while_a_large_body_is_decoded(
    decode: Callable[[bytes], Any], body: bytes
) -> None:
    assert await turns_during(decode(body)) > AT_ONCE


async def test_the_event_loop_stays_free_while_a_large_object_is_admitted(tmp_path: Path) -> None:
    async with opened(tmp_path, admit=admit) as api:
        assert await turns_during(api.create(CONFIG_MAP, "default", LARGE, user=make.USER, dry_run=True)) > AT_ONCE
        await api.create(CONFIG_MAP, "default", LARGE, user=make.USER)

        name = Key("default", "large")
        labelled = {**LARGE, "metadata": make.metadata("large", labels={"a": "b"})}
        assert (
            await turns_during(api.update(CONFIG_MAP, name, labelled, user=make.USER, options=make.DRY_RUN)) > AT_ONCE
        )
        small = patches.parsed(CONFIG_MAP, patches.MERGE_PATCH, {"metadata": {"labels": {"a": "b"}}})
        assert await turns_during(api.patch(CONFIG_MAP, name, small, user=make.USER, options=make.DRY_RUN)) > AT_ONCE
        asked = api.apply(CONFIG_MAP, name, LARGE, ApplyOptions(ME, force=True, dry_run=True), user=make.USER)
        assert await turns_during(asked) > AT_ONCE


async def test_decisions_about_a_large_object_do_not_overlap(tmp_path: Path) -> None:
    async with opened(tmp_path, admit=admit) as api:
        await api.create(CONFIG_MAP, "default", LARGE, user=make.USER)
        name = Key("default", "large")

        def counted(old: Object) -> Object:
            return {**old, "data": {**old["data"], "count": str(int(old["data"].get("count", 0)) + 1)}}

        await asyncio.gather(*(api.patch(CONFIG_MAP, name, counted, user=make.USER) for _ in range(5)))

        assert api.get(CONFIG_MAP, name)["data"]["count"] == "5"


async def test_a_quota_holds_for_simultaneous_large_objects(tmp_path: Path) -> None:
    async with opened(tmp_path, admit=admit) as api:
        await api.create(
            kinds.RESOURCE_QUOTA, "default", make.resource_quota(**{"count/configmaps": "2"}), user=make.USER
        )
        wanted = [{**LARGE, "metadata": make.metadata(f"large{n}")} for n in range(4)]

        outcomes = await asyncio.gather(
            *(api.create(CONFIG_MAP, "default", obj, user=make.USER) for obj in wanted), return_exceptions=True
        )

        assert [type(outcome) for outcome in outcomes].count(errors.Forbidden) == 2


async def test_a_long_list_is_selected_in_a_thread_and_sent_in_parts(tmp_path: Path) -> None:
    threads = set[int]()

    def term(obj: Object) -> bool:
        threads.add(threading.get_ident())
        return True

    async with opened(tmp_path) as api:
        made = [make.config_map(f"m{n}", data={"a": "x" * 2000}) for n in range(200)]
        await asyncio.gather(*(api.create(CONFIG_MAP, "default", obj, user=make.USER) for obj in made))

        page = await api.list_offloaded(CONFIG_MAP, "default", selectors.Selection((term,) * selectors.MOST_TERMS))
        assert threading.get_ident() not in threads
        response = responses.in_parts(views.FullView(CONFIG_MAP).many(page.items, {}))
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> Any:
            await asyncio.sleep(3600)

        turns = await turns_during(response({"type": "http"}, receive, send))
        assert turns >= len(sent) - 2 > 1
        assert len(msgspec.json.decode(b"".join(part.get("body", b"") for part in sent))["items"]) == 200


def test_a_selector_with_too_many_terms_is_rejected() -> None:
    many = ",".join(f"x{n}" for n in range(selectors.MOST_TERMS + 1))
    for labels, fields in ((many, ""), ("", ",".join(f"metadata.name!={n}" for n in range(101)))):
        with pytest.raises(errors.BadRequest, match="at most 100 terms"):
            selectors.selection(POD, labels, fields)


@pytest.mark.parametrize("decode", [json_body.decoded, yaml_body.decoded])
def test_a_body_with_too_many_values_is_rejected_and_commas_in_a_text_do_not_count(
    decode: Callable[[bytes], Any],
) -> None:
    most = json_body.MOST_VALUES
    decode(b"[%s]" % b",".join([b"1"] * (most - 1)))
    decode(b'["%s"]' % (b"," * (2 * most)))
    with pytest.raises(errors.TooLarge, match=f"more than {most} values"):
        decode(b"[%s]" % b",".join([b"1"] * most))
