# SPDX-License-Identifier: Apache-2.0
"""The config.json of a container: the input of the OCI runtime. Pure.

In: the image, the container of the Pod's spec, and its folders on this host. Out: the configuration in the
form of the OCI runtime specification 1.0.2. Called by: `creation.py`; `execution.py` (the program of an exec).

Command: `command` replaces the ENTRYPOINT and the CMD of the image, `args` replace its CMD. References to variables are
replaced in `command` and `args` only, and only variables of the spec, as in the kubelet.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidegate.images.stored import ImageConfig
from tidegate.kit.processes import USUAL_FILES, USUAL_PATH
from tidegate.node.expansion import expand_all
from tidegate.node.runtime import Launch, LaunchRejected
from tidegate.node.runtimes.oci.identity import ContainerUser
from tidegate.node.runtimes.oci.mounts import MASKED_PATHS, READ_ONLY_CGROUPS, READ_ONLY_PATHS
from tidegate.node.runtimes.oci.security import Security

VERSION = "1.0.2"
_PRIVATE = ("pid", "mount", "uts", "cgroup")


@dataclass(frozen=True, slots=True)
class Isolation:
    """`network`, `ipc`: the namespaces of the Pod; None for one of the container's own. `group`: the path of its
    control group below the root of each tree."""

    hostname: str
    network: Path | None
    ipc: Path | None
    group: str


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of the configuration that other modules decide."""

    root: Path
    process: Mapping[str, Any]
    mounts: Sequence[Mapping[str, Any]]
    resources: Mapping[str, Any]
    security: Security
    isolation: Isolation


def configuration(parts: Parts) -> Mapping[str, Any]:
    """The whole config.json."""
    security, isolation = parts.security, parts.isolation
    namespaces = [
        *({"type": kind} for kind in _PRIVATE),
        _namespace("network", isolation.network),
        _namespace("ipc", isolation.ipc),
    ]
    return {
        "ociVersion": VERSION,
        "process": parts.process,
        "root": {"path": str(parts.root), "readonly": security.read_only_root},
        "hostname": isolation.hostname,
        "mounts": parts.mounts,
        "linux": {
            "namespaces": namespaces,
            "cgroupsPath": isolation.group,
            "resources": parts.resources,
            "sysctl": security.sysctls,
            "maskedPaths": MASKED_PATHS if security.masked_proc else (),
            "readonlyPaths": [READ_ONLY_CGROUPS, *(READ_ONLY_PATHS if security.masked_proc else ())],
            **({"seccomp": security.seccomp} if security.seccomp is not None else {}),
        },
    }


def _namespace(kind: str, path: Path | None) -> Mapping[str, Any]:
    return {"type": kind} if path is None else {"type": kind, "path": str(path)}


def process(
    command: Sequence[str],
    environment: Mapping[str, str],
    directory: str,
    user: ContainerUser,
    security: Security,
    oom_score: int | None = None,
) -> Mapping[str, Any]:
    """The `process` of a config.json: how a program of the container is started."""
    allowed = list(security.capabilities)
    soft, hard = USUAL_FILES
    return {
        "terminal": False,
        "user": {"uid": user.user, "gid": user.group, "additionalGids": list(user.groups)},
        "args": list(command),
        "env": [f"{name}={value}" for name, value in environment.items()],
        "cwd": directory,
        "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), allowed),
        "noNewPrivileges": security.no_new_privileges,
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": soft, "hard": hard}],
        **({} if oom_score is None else {"oomScoreAdj": oom_score}),
    }


def command(launch: Launch, image: ImageConfig, variables: Mapping[str, str]) -> Sequence[str]:
    """The program of a container and its arguments. `variables`: of its spec. Raises `LaunchRejected`."""
    given, arguments = expand_all(launch.command, variables), expand_all(launch.arguments, variables)
    result = [*given, *arguments] if given else [*image.entrypoint, *(arguments or image.cmd)]
    if not result:
        raise LaunchRejected(
            "CreateContainerError", "no command specified: neither the image nor the container has one"
        )
    return result


def environment(image: ImageConfig, hostname: str, variables: Mapping[str, str]) -> Mapping[str, str]:
    """The variables of a container: those of its spec before those of its image."""
    return {"PATH": USUAL_PATH, "HOSTNAME": hostname, **image.env, **variables}


def directory(launch: Launch, image: ImageConfig) -> str:
    """The absolute path of its working directory."""
    found = str(launch.container.get("workingDir") or image.working_dir or "/")
    return found if found.startswith("/") else f"/{found}"
