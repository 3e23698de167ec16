# SPDX-License-Identifier: Apache-2.0
"""The fields of Pods and containers that this runtime rejects, because they would take no effect. Pure.

In: a Pod, or a container. Out: nothing, or `LaunchRejected` with the field. Called by: `runtime.py`. Others are
rejected where they are read: security contexts, resources, volume mounts.
"""

from tidegate.model.objects import Object, spec
from tidegate.node.runtime import CONFIG_ERROR, LaunchRejected

_POD = {
    "hostNetwork": "a Pod has a network of its own",
    "hostPID": "a container sees its own processes only",
    "hostIPC": "a Pod has an IPC namespace of its own",
    "shareProcessNamespace": "each container has its own process namespace",
    "runtimeClassName": "a node has one OCI runtime, chosen by tidegate up --oci-runtime",
    "resourceClaims": "this runtime does not support them",
    "activeDeadlineSeconds": "this runtime does not support it",
}
_CONTAINER = {
    "stdin": "a container's input is empty",
    "tty": "a container has no terminal",
    "restartPolicyRules": "this runtime does not support them",
    "lifecycle": "this runtime does not support hooks",
}


def check_pod(pod: Object) -> None:
    """Raises `LaunchRejected`."""
    _check(spec(pod), _POD)
    if spec(pod).get("hostUsers") is False:
        raise LaunchRejected(CONFIG_ERROR, "hostUsers: containers have the users of this host")
    system = (spec(pod).get("os") or {}).get("name") or "linux"
    if system != "linux":
        raise LaunchRejected(CONFIG_ERROR, f"os.name: {system} is not linux")


def check_container(container: Object) -> None:
    """Raises `LaunchRejected`."""
    _check(container, _CONTAINER)
    if any(port.get("hostPort") for port in container.get("ports") or ()):
        raise LaunchRejected(CONFIG_ERROR, "hostPort: a Pod has an address of its own")


def _check(fields: Object, rejected: dict[str, str]) -> None:
    for field, why in rejected.items():
        if fields.get(field):
            raise LaunchRejected(CONFIG_ERROR, f"{field}: {why}")
