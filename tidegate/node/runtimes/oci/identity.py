# SPDX-License-Identifier: Apache-2.0
"""The user that a container's processes run as. Pure.

In: the USER of the image, the `securityContext` of Pod and container, and the accounts of the image. Out: numbers; or
`LaunchRejected` in the kubelet's words. Called by: `security.py`, `created.py`.

| | user | group | other groups |
| --- | --- | --- | --- |
| runAsUser | that number | runAsGroup, else its group in the image, else 0 | the groups of the image that name it |
| the image's USER | that name or number | runAsGroup, else the group of USER, else as above | the same |
| neither | 0 | runAsGroup, else 0 | the same |

supplementalGroups and fsGroup are added; with supplementalGroupsPolicy Strict the image adds none.

Rule: kubelet pkg/kubelet/kuberuntime/security_context.go, verifyRunAsNonRoot; containerd pkg/oci, WithUser and
WithAdditionalGIDs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tidegate.model.objects import Object, spec
from tidegate.node.runtime import CONFIG_ERROR, LaunchRejected
from tidegate.node.runtimes.oci.accounts import MOST, Accounts, numeric


@dataclass(frozen=True, slots=True)
class ContainerUser:
    """`groups`: the supplementary groups."""

    user: int
    group: int
    groups: Sequence[int]


def security_context(pod: Object, container: Object) -> Object:
    """The fields of a container, and the fields of its Pod that the container does not set."""
    return {**(spec(pod).get("securityContext") or {}), **(container.get("securityContext") or {})}


def check_non_root(pod: Object, container: Object, image_user: str) -> None:
    """Raises `LaunchRejected` for runAsNonRoot and a user that is root or may be. `image_user`: the image's USER."""
    context = security_context(pod, container)
    if not context.get("runAsNonRoot"):
        return
    metadata = pod["metadata"]
    where = f'(pod: "{metadata["name"]}_{metadata.get("namespace", "")}({metadata["uid"]})", '
    where += f"container: {container['name']})"
    if context.get("runAsUser") is not None:
        if context["runAsUser"] == 0:
            raise LaunchRejected(CONFIG_ERROR, f"container's runAsUser breaks non-root policy {where}")
        return
    name = image_user.partition(":")[0]
    number = numeric(name)
    if name and number is None:
        raise LaunchRejected(
            CONFIG_ERROR,
            f"container has runAsNonRoot and image has non-numeric user ({name}), cannot verify user is non-root "
            f"{where}",
        )
    if not number:
        raise LaunchRejected(CONFIG_ERROR, f"container has runAsNonRoot and image will run as root {where}")


def container_user(context: Object, image_user: str, accounts: Accounts) -> ContainerUser:
    """Raises `LaunchRejected`."""
    wanted = context.get("runAsUser")
    name, _, group_name = ("", "", "") if wanted is not None else image_user.partition(":")
    user = _number("runAsUser", wanted) if wanted is not None else _user(name, accounts)
    account = accounts.user(name or str(user))
    group = account.group if account is not None else 0
    if group_name:
        group = _group(group_name, accounts)
    if context.get("runAsGroup") is not None:
        group = _number("runAsGroup", context["runAsGroup"])
    groups = [_number("supplementalGroups", number) for number in context.get("supplementalGroups") or ()]
    if context.get("fsGroup") is not None:
        groups.append(_number("fsGroup", context["fsGroup"]))
    if account is not None and context.get("supplementalGroupsPolicy") != "Strict":
        groups += accounts.groups_of(account.name)
    # The group itself comes first, so that files which exclude it stay closed (as in containerd since CVE-2022-36109).
    return ContainerUser(user, group, tuple(dict.fromkeys([group, *groups])))


def _user(name: str, accounts: Accounts) -> int:
    number = numeric(name) if name else 0
    if number is not None:
        return number
    account = accounts.user(name)
    if account is None:
        raise LaunchRejected(CONFIG_ERROR, f"unable to find user {name}: no matching entries in the image's passwd")
    return account.user


def _group(name: str, accounts: Accounts) -> int:
    number = numeric(name)
    found = number if number is not None else accounts.group_number(name)
    if found is None:
        raise LaunchRejected(CONFIG_ERROR, f"unable to find group {name}: no matching entries in the image's group")
    return found


def _number(field: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MOST:
        raise LaunchRejected(CONFIG_ERROR, f"securityContext.{field}: {value} is not between 0 and {MOST}")
    return value
