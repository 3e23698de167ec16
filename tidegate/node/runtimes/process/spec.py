# SPDX-License-Identifier: Apache-2.0
"""All that it takes to start a container as a process: a `Launch` after its image, user and variables are resolved.

In: `programs.py` and the environment of the Pod. Out: a `ProcessSpec` for `runtime.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tidegate.node.runtime import Limits
from tidegate.node.runtimes.process.confinement import Confinement

_NO_LIMITS = Limits()
_OURSELVES = Confinement()


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """`pod`: the Pod's uid; `scratch`: a folder with `home` and `tmp` in it, made for each run and removed at its end;
    `sandbox`: bubblewrap with its arguments, empty without a sandbox; `hosts`: what its scratch folder has for
    /etc/hosts."""

    pod: str
    container: str
    program: Sequence[str]
    environment: Mapping[str, str]
    directory: Path | None = None
    port: int = 0
    limits: Limits = _NO_LIMITS
    confinement: Confinement = _OURSELVES
    scratch: Path | None = None
    sandbox: tuple[str, ...] = ()
    hosts: str = ""

    @property
    def owner(self) -> str:
        return owner(self.pod, self.container)


def owner(pod: str, container: str) -> str:
    """The name of a container among all of this node."""
    return f"{pod}/{container}"


def scratch_folder(pod: Path, container: str) -> Path:
    """The folder of a container's own files, in the folder of its Pod. No log or record has such a name."""
    return pod / f"{container}.files"
