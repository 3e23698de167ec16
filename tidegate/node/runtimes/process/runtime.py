# SPDX-License-Identifier: Apache-2.0
"""The runtime that runs a container as a process of this host.

In: a `Launch`. Out: a process that leads a session of its own and writes to its log file itself, so that it survives
the control plane, and Ctrl-C in the control plane's terminal. Its environment carries the mark of its instance from its
first moment (`sweep.py`); `record.json` in the Pod's folder names the process of each container, for adoption
(`record.py`).

Every program starts by the launcher (`launcher.py`), which waits until the process is recorded and in its control
group, then takes on the container's user and limits, and executes the program. The programs of exec probes start the
same way, from what was recorded: an app can change what /proc shows of its process. There is no shell anywhere.
"""

import asyncio
import os
from collections.abc import Collection

from tidegate.kit.processes import Process
from tidegate.model.objects import Object
from tidegate.node.logs import ContainerLog
from tidegate.node.port_lease import LOOPBACK
from tidegate.node.runtime import Launch, LaunchRejected, PodUsage
from tidegate.node.runtimes.process import sweep
from tidegate.node.runtimes.process.launcher import LAUNCHER, SANDBOX, LaunchError
from tidegate.node.runtimes.process.processes import InstanceProcesses
from tidegate.node.runtimes.process.programs import PreparedProgram, Programs
from tidegate.node.runtimes.process.record import InstanceRecord, Run, extended, read_record, write_record
from tidegate.node.runtimes.process.rejections import CANNOT, launch_rejection
from tidegate.node.runtimes.process.running import Leader, RunningProcess
from tidegate.node.runtimes.process.spec import ProcessSpec, owner, scratch_folder


class ProcessRuntime:
    """Runs containers as processes. The files of each Pod are in a folder of `processes.folder`."""

    def __init__(self, processes: InstanceProcesses, programs: Programs) -> None:
        processes.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        LAUNCHER.path()  # in a checkout this may build it
        self.processes = processes
        self._folder = processes.folder
        self._programs = programs
        self._records: dict[str, InstanceRecord] = {}  # by Pod
        self._runs: dict[str, RunningProcess] = {}  # by owner; started here: only we know their exit codes

    def has_own_address(self, pod: Object) -> bool:
        return False

    async def set_up_pod(self, pod: Object) -> str:
        return LOOPBACK

    async def prepare(self, launch: Launch) -> PreparedProgram:
        return await self._programs.prepare(launch, self.run)

    async def run(self, spec: ProcessSpec) -> RunningProcess:
        """Start a program as a container. Raises `LaunchRejected`."""
        environment = {**spec.environment, sweep.MARK: sweep.mark(self._folder, spec.owner)}
        directory = str(spec.directory or "/")
        run = Run(environment, directory, spec.confinement, spec.limits, spec.sandbox)
        try:
            output = self._open_log(spec)
            try:
                child = await self.processes.spawn(
                    spec.owner, run, spec.program, output, record=lambda process: self._record(spec, run, process)
                )
            finally:
                os.close(output)
        except LaunchError as error:
            self._release(spec.owner)
            if error.step == SANDBOX:
                why = ContainerLog(self._folder / spec.pod, spec.container).last_lines() or str(error)
                raise LaunchRejected(CANNOT, f"the sandbox cannot be made: {why}") from error
            raise launch_rejection(spec, error) from error
        except (OSError, ValueError, OverflowError) as error:
            self._release(spec.owner)
            raise LaunchRejected(CANNOT, f"cannot start {spec.program[0]}: {error}") from error
        except asyncio.CancelledError:
            self._release(spec.owner)
            raise
        leader = Leader(spec.owner, self.processes.leaders[spec.owner], child, run, spec.scratch)
        running = self._runs[spec.owner] = RunningProcess(self.processes, leader, self._release)
        return running

    def _open_log(self, spec: ProcessSpec) -> int:
        """A file in the Pod's folder, which is ours. The app's group may write to it, because apps open /dev/stdout.
        The app does not own it: an owner may take a lease, and then nobody else can open the file."""
        pod, user = self._folder / spec.pod, spec.confinement.user
        pod.mkdir(exist_ok=True)
        pod.chmod(0o711 if user is not None else 0o700)
        output = ContainerLog(pod, spec.container).begin()
        try:
            if user is not None:
                os.fchown(output, -1, spec.confinement.group or 0)
                os.fchmod(output, 0o620)
        except BaseException:
            os.close(output)
            raise
        return output

    def _record(self, spec: ProcessSpec, run: Run, process: Process) -> None:
        """Done while the launcher starts, so that it takes no time of its own."""
        _make_scratch(spec)
        user = spec.confinement.user
        record = extended(self._records.get(spec.pod), spec, run, process)
        write_record(self._folder / spec.pod, record)
        self._records[spec.pod] = record
        self.processes.know(spec.owner, process, os.geteuid() if user is None else user)

    def adopt(self, pod: str, container: str) -> RunningProcess | None:
        record = read_record(self._folder / pod)
        process = record.containers.get(container) if record else None
        if record is None or process is None or not process.alive:
            return None
        name = owner(pod, container)
        self._records[pod] = record
        run = record.runs.get(container)
        # bubblewrap, which leads a sandbox, is root's
        user = run.confinement.user if run is not None and run.sandbox else None
        self.processes.know(name, process, sweep.user_of(process.pid) if user is None else user)
        known = self._runs.get(name)
        if known is not None and known.process == process:
            return known
        scratch = scratch_folder(self._folder / pod, container)
        leader = Leader(name, process, None, run, scratch)
        return RunningProcess(self.processes, leader, self._release)

    def port(self, pod: str) -> int:
        record = read_record(self._folder / pod)
        return record.port if record is not None and record.lives else 0

    async def usage(self, pod: str) -> PodUsage | None:
        record = self._records.get(pod)
        found = await self.processes.look()
        owners = record.leaders(pod) if record is not None else ()
        members = [member for owner in owners for member in found.get(owner, ())]
        if not members:
            return None
        return PodUsage(sum(member.cpu_seconds for member in members), sum(member.memory_bytes for member in members))

    async def forget(self, pod: str) -> None:
        await self.processes.forget(pod)
        self._drop(pod)

    async def forget_others(self, pods: Collection[str]) -> None:
        await self.processes.forget_others(pods)
        for pod in self._records.keys() - set(pods):
            self._drop(pod)

    def _drop(self, pod: str) -> None:
        record = self._records.pop(pod, None)
        for name in record.leaders(pod) if record is not None else ():
            self._runs.pop(name, None)

    def _release(self, name: str) -> None:
        """No process of that container is left."""
        self._runs.pop(name, None)
        self.processes.release(name)


def _make_scratch(spec: ProcessSpec) -> None:
    """The folders that a run has to itself."""
    user, group = spec.confinement.user, spec.confinement.group or 0
    if spec.scratch is None:
        return
    spec.scratch.mkdir(exist_ok=True)
    spec.scratch.chmod(0o711)
    for folder in (spec.scratch / "home", spec.scratch / "tmp"):
        folder.mkdir(exist_ok=True, mode=0o700)
        if user is not None:
            os.chown(folder, user, group)
    if spec.hosts:
        hosts = spec.scratch / "hosts"
        hosts.write_text(spec.hosts)
        hosts.chmod(0o644)
