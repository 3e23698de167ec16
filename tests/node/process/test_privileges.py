# SPDX-License-Identifier: Apache-2.0
"""The effect of security contexts, by table."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.node.runtime import LaunchRejected
from tidegate.node.runtimes.process.confinement import Confinement
from tidegate.node.runtimes.process.privileges import HostPrivileges, capability, confinement
from tidegate.node.runtimes.process.reach import Reach

OWN = 70_001
ALL = capability("ALL")
ROOT = HostPrivileges(
    0, 0, capabilities=ALL & ~capability("SYS_RESOURCE"), has_app_users=True, uids=range(70_000, 80_000)
)
USER = HostPrivileges(1000, 1000, frozenset({27}))
APP = Confinement(user=OWN, group=OWN)


def of(
    host: HostPrivileges, context: Any = None, pod: Any = None, account_group: int | None = None, **spec: Any
) -> Confinement:
    container = {"name": "c", **({"securityContext": context} if context is not None else {})}
    whole = {"metadata": {}, "spec": {"containers": [container], **({"securityContext": pod} if pod else {}), **spec}}
    return confinement(whole, container, host, OWN if host.has_app_users else host.user, account_group)


def rejection(host: HostPrivileges, context: Any = None, pod: Any = None, **spec: Any) -> str:
    with pytest.raises(LaunchRejected) as refused:
        of(host, context, pod, **spec)
    assert refused.value.reason == "CreateContainerConfigError"
    return refused.value.message


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        ({}, APP),
        ({"runAsUser": 1001}, replace(APP, user=1001)),
        ({"runAsUser": 1001, "runAsGroup": 1002}, replace(APP, user=1001, group=1002)),
        ({"runAsNonRoot": True}, APP),
        ({"capabilities": {"drop": ["ALL"]}}, APP),
        ({"capabilities": {"add": ["NET_BIND_SERVICE"]}}, replace(APP, capabilities=capability("NET_BIND_SERVICE"))),
        ({"allowPrivilegeEscalation": False}, APP),
        ({"allowPrivilegeEscalation": True}, replace(APP, gains=True)),
        ({"readOnlyRootFilesystem": True}, replace(APP, read_only=True)),
        ({"seccompProfile": {"type": "RuntimeDefault"}}, replace(APP, filtered=True)),
        ({"seccompProfile": {"type": "Unconfined"}}, APP),
    ],
)
def test_an_app_that_root_starts_runs_as_its_namespaces_user_unless_it_asks_for_another(
    context: Any, expected: Confinement
) -> None:
    assert of(ROOT, context) == expected


def test_an_account_keeps_its_own_group_unless_that_is_roots() -> None:
    assert of(ROOT, {"runAsUser": 33}, account_group=33).group == 33
    assert of(ROOT, {"runAsUser": 34}, account_group=0).group == OWN


def test_an_app_has_the_requested_groups_and_no_others() -> None:
    assert of(ROOT, pod={"supplementalGroups": [5, 6], "fsGroup": 7}).groups == (5, 6, 7)
    assert of(ROOT).groups == ()


def test_a_container_overrides_its_pod() -> None:
    assert of(ROOT, {"runAsUser": 5}, pod={"runAsUser": 4, "runAsGroup": 3}) == replace(APP, user=5, group=3)


def test_common_manifests_run() -> None:
    context = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert of(ROOT, context, serviceAccountName="default") == replace(APP, filtered=True)
    assert of(USER, context, serviceAccountName="default") == Confinement(filtered=True)


@pytest.mark.parametrize(
    ("context", "message"),
    [
        ({"runAsUser": 0}, "securityContext.runAsUser: 0 is root: an app may be root only if"),
        ({"runAsGroup": 0}, "securityContext.runAsGroup: 0 is root"),
        ({"supplementalGroups": [0]}, "securityContext.supplementalGroups: 0 is root"),
        ({"runAsUser": 70_002}, "securityContext.runAsUser: 70002 is among the users of other namespaces"),
        ({"runAsGroup": 70_002}, "securityContext.runAsGroup: 70002 is among the users of other namespaces"),
        ({"runAsUser": -1}, "securityContext.runAsUser: -1 is not between 0 and 2147483647"),
        ({"runAsUser": 2**32 - 1}, "securityContext.runAsUser: 4294967295 is not between"),
        ({"runAsGroup": 2**32}, "securityContext.runAsGroup: 4294967296 is not between"),
        ({"fsGroup": 2**31}, "securityContext.supplementalGroups: 2147483648 is not between"),
        ({"privileged": True}, "securityContext.privileged: "),
        ({"capabilities": {"drop": ["FLY"]}}, "securityContext.capabilities.drop: there is no capability 'FLY'"),
        (
            {"capabilities": {"add": ["SYS_RESOURCE"]}},
            "capabilities.add: Tidegate itself does not have",
        ),
        ({"seccompProfile": {"type": "Localhost"}}, "securityContext.seccompProfile.type: Localhost is not"),
        ({"allowPrivilegeEscalation": True, "readOnlyRootFilesystem": True}, "allowPrivilegeEscalation: the kernel"),
    ],
)
def test_a_field_that_cannot_take_effect_is_refused_by_its_name(context: Any, message: str) -> None:
    assert message in rejection(ROOT, context)


def test_root_is_allowed_by_a_setting_only_and_loses_dropped_capabilities() -> None:
    host = replace(ROOT, allows_root=True, reach=Reach(("/root",), ("/root/bundles",)))

    given = of(host, {"runAsUser": 0, "capabilities": {"drop": ["NET_RAW"], "add": ["CHOWN"]}})

    assert given == Confinement(user=0, group=0, capabilities=host.capabilities & ~capability("NET_RAW"))
    assert "would run as root" in rejection(host, {"runAsUser": 0, "runAsNonRoot": True})
    assert of(host).covered == ("/root",)


def test_the_lack_of_landlock_refuses_a_read_only_file_system() -> None:
    assert "readOnlyRootFilesystem" in rejection(replace(ROOT, landlock=False), {"readOnlyRootFilesystem": True})


@pytest.mark.parametrize(
    ("context", "message"),
    [
        ({"runAsUser": 1001}, "securityContext.runAsUser: 1001 is not 1000"),
        ({"runAsUser": 0}, "securityContext.runAsUser: 0 is not 1000"),
        ({"runAsGroup": 5}, "securityContext.runAsGroup: 5 is not"),
        ({"supplementalGroups": [5]}, "securityContext.supplementalGroups: 5 is not"),
        ({"fsGroup": 5}, "securityContext.fsGroup: 5 is not"),
        ({"capabilities": {"add": ["CHOWN"]}}, "securityContext.capabilities.add: "),
    ],
)
def test_another_user_than_root_runs_apps_as_itself_only(context: Any, message: str) -> None:
    assert of(USER, {"runAsUser": 1000, "runAsGroup": 1000, "supplementalGroups": [27]}) == Confinement()
    assert message in rejection(USER, context)


IDS = st.integers(0, 2**31 - 1) | st.sampled_from([-1, 2**31, 2**32 - 1, 2**32]) | st.integers()


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "runAsUser": IDS,
            "runAsGroup": IDS,
            "fsGroup": IDS,
            "supplementalGroups": st.lists(IDS, max_size=3),
            "allowPrivilegeEscalation": st.booleans(),
            "capabilities": st.fixed_dictionaries({"drop": st.just(["ALL"])}),
        },
    ),
    st.none() | st.integers(0, 100),
)
def test_no_app_becomes_root_or_another_namespaces_user(context: Any, account_group: int | None) -> None:
    try:
        given = of(ROOT, context, account_group=account_group)
    except LaunchRejected:
        return
    numbers = {given.user, given.group, *given.groups}
    assert {number % 2**32 for number in numbers if number is not None}.isdisjoint(
        {0, 2**32 - 1}
    )  # as the kernel has it
    assert numbers.isdisjoint(set(ROOT.uids) - {OWN})
    assert given.capabilities == 0
