# SPDX-License-Identifier: Apache-2.0
"""The mounts of a container as they take effect: those of its spec, and what follows from the volumes themselves. Pure.

| a volume | its mounts |
| --- | --- |
| configMap, secret, projected, downwardAPI | read-only, as in the kubelet: a write would be lost at the next change |
| a claim with `readOnly` | read-only |
| the token of the service account (`TOKEN_VOLUME`) | one in each container, unless it mounts something else there |

Called by: `container_spec.py`, so that no runtime needs these rules.
"""

from collections.abc import Collection, Mapping

from tidegate.model.objects import Object, spec

TOKEN_VOLUME = "kube-api-access.tidegate"  # noqa: S105 - a volume's name, with a dot, so that no spec can have it

_TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105
_READ_ONLY = ("configMap", "secret", "projected", "downwardAPI")


def effective(container: Object, pod: Object, volumes: Collection[str]) -> Object:
    """The container with its mounts in effect. `volumes`: the names of the volumes that were set up."""
    declared = {volume["name"]: volume for volume in spec(pod).get("volumes") or ()}
    mounts = [
        {**mount, "readOnly": True} if _is_read_only(declared.get(mount.get("name"), {})) else mount
        for mount in container.get("volumeMounts") or ()
    ]
    taken = {str(mount.get("mountPath") or "").rstrip("/") for mount in mounts}
    if TOKEN_VOLUME in volumes and _TOKEN_PATH not in taken:
        mounts.append({"name": TOKEN_VOLUME, "mountPath": _TOKEN_PATH, "readOnly": True})
    return {**container, "volumeMounts": mounts} if mounts else container


def shows_objects(pod: Object, name: str) -> bool:
    """Whether a volume of the Pod shows objects: only Tidegate writes to it."""
    volumes = spec(pod).get("volumes") or ()
    return name == TOKEN_VOLUME or any(
        volume["name"] == name and any(source in volume for source in _READ_ONLY) for volume in volumes
    )


def _is_read_only(volume: Mapping[str, Object]) -> bool:
    claim = volume.get("persistentVolumeClaim") or {}
    return any(source in volume for source in _READ_ONLY) or bool(claim.get("readOnly"))
