# SPDX-License-Identifier: Apache-2.0
"""From a container's spec to the process that it becomes: its program, user, folders and variables.

In: a `Launch`. Out: a `PreparedProgram`, whose image is on this host and whose user is known; or `LaunchRejected` for a
field that a process of this host cannot have. Called by: `runtime.py`.

Rejected here: another runtime and, without a sandbox, volumes. `images.py` rejects images, `privileges.py` security
contexts.
"""

import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tidegate.kit.processes import USUAL_PATH, path_for_others
from tidegate.model import names
from tidegate.model.objects import annotations
from tidegate.node.expansion import expand_all
from tidegate.node.runtime import CONFIG_ERROR, Launch, LaunchRejected
from tidegate.node.runtimes.process import images
from tidegate.node.runtimes.process.confinement import Confinement
from tidegate.node.runtimes.process.identity import Identities
from tidegate.node.runtimes.process.images import ImageProgram
from tidegate.node.runtimes.process.rejections import CANNOT
from tidegate.node.runtimes.process.running import RunningProcess
from tidegate.node.runtimes.process.sandbox import Sandbox, Sandboxes
from tidegate.node.runtimes.process.spec import ProcessSpec, scratch_folder
from tidegate.node.runtimes.process.visible_paths import Named

_INHERITED = ("LANG", "TZ")
"""The variables that apps get from the control plane's environment."""

RunSpec = Callable[[ProcessSpec], Awaitable[RunningProcess]]


@dataclass(frozen=True, slots=True)
class PreparedProgram:
    """A container whose program and user are known. `defaults`: variables that its spec may replace."""

    launch: Launch
    program: ImageProgram
    confinement: Confinement
    defaults: Mapping[str, str]
    scratch: Path | None
    sandbox: Sandbox | None
    run: RunSpec

    @property
    def image_id(self) -> str:
        return self.launch.image

    async def create(self, environment: Mapping[str, str]) -> "CreatedProgram":
        return CreatedProgram(self.spec(environment), self.run)

    def spec(self, environment: Mapping[str, str]) -> ProcessSpec:
        variables = {**self.defaults, **self.program.environment, **environment}
        directory = self.program.directory / (self.launch.container.get("workingDir") or "")
        program, sandbox = expand_all(self.program.arguments, variables), self.sandbox
        named = Named(program, variables, directory, self.program.bundle)
        return ProcessSpec(
            pod=self.launch.pod_uid,
            container=self.launch.name,
            program=program,
            environment=variables,
            directory=directory,
            port=self.launch.port,
            limits=self.launch.limits,
            confinement=self.confinement,
            scratch=self.scratch,
            sandbox=sandbox.words(named) if sandbox is not None else (),
            hosts=sandbox.hosts if sandbox is not None else "",
        )


@dataclass(frozen=True, slots=True)
class CreatedProgram:
    """A container before its start: a process takes less time to start than to be kept waiting."""

    spec: ProcessSpec
    run: RunSpec

    async def start(self) -> RunningProcess:
        return await self.run(self.spec)

    async def remove(self) -> None:
        pass


class Programs:
    """Resolves the programs of containers. `instances` has the folders of the Pods, `bundles` those of the bundles."""

    def __init__(self, instances: Path, bundles: Path, identities: Identities, sandboxes: Sandboxes) -> None:
        self._instances = instances
        self._bundles = bundles
        self._identities = identities
        self._sandboxes = sandboxes

    async def prepare(self, launch: Launch, run: RunSpec) -> PreparedProgram:
        """Raises `LaunchRejected`."""
        _reject_other_runtimes(launch)
        in_sandbox = self._sandboxes.has_sandbox(launch.pod)
        confinement = await self._identities.of(launch.pod, launch.container, in_sandbox=in_sandbox)
        folder = scratch_folder(self._instances / launch.pod_uid, launch.name)
        sandbox = self._sandboxes.of(launch, confinement, folder)
        scratch = folder if sandbox is not None or confinement.user else None
        if sandbox is None:
            defaults = default_environment(scratch)
        else:
            defaults = sandbox_environment(confinement, sandbox.home)
            confinement = replace(confinement, read_only=False, covered=(), exposed=())  # the sandbox does both
        program = images.program(launch, self._bundles, defaults["PATH"])
        if sandbox is None:
            _reject_file_systems(launch)
        return PreparedProgram(launch, program, confinement, defaults, scratch, sandbox, run)


def default_environment(scratch: Path | None) -> dict[str, str]:
    """The variables that a container without a sandbox has by default. A container with a user of its own has folders
    in `scratch` and the usual PATH; others have HOME and PATH of the user who runs Tidegate, without Tidegate's own
    programs."""
    if scratch is not None:
        return {"PATH": USUAL_PATH, "HOME": str(scratch / "home"), "TMPDIR": str(scratch / "tmp"), **_inherited()}
    home = {"HOME": os.environ["HOME"]} if "HOME" in os.environ else {}
    return {"PATH": path_for_others(), **home, **_inherited()}


def sandbox_environment(confinement: Confinement, home: str) -> dict[str, str]:
    """The variables that a container in a sandbox has by default."""
    path = USUAL_PATH if confinement.user is not None else path_for_others()
    return {"PATH": path, "HOME": home, **_inherited()}


def _inherited() -> dict[str, str]:
    return {name: os.environ[name] for name in _INHERITED if name in os.environ}


def _reject_other_runtimes(launch: Launch) -> None:
    runtime = annotations(launch.pod).get(names.RUNTIME, "")
    if runtime not in ("", "process"):
        raise LaunchRejected(CANNOT, f"the runtime {runtime!r} is not available on this node")


def _reject_file_systems(launch: Launch) -> None:
    """A process has the files of this host and no others."""
    if launch.mounts:
        mount = launch.mounts[0]
        raise LaunchRejected(
            CONFIG_ERROR,
            f"volume {mount.volume!r} cannot be mounted at {mount.path}: an app that runs as a process "
            "has the files of this host; pass ConfigMaps and Secrets to it by env or envFrom",
        )
