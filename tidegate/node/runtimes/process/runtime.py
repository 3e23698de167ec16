# SPDX-License-Identifier: Apache-2.0
"""The runtime that runs a container as a process of this host.

In: a `Launch`. Out: a process that leads a session of its own and writes to its log file itself, so that neither the
death of the control plane nor Ctrl-C in its terminal touches it. Its environment carries the mark of its instance from
its first moment (`sweep`); `record.json` in the Pod's folder says which process leads which container, for adoption.

Everything starts by the launcher (`launcher`), which waits until the process is recorded and in its control group, then
takes on the container's user and limits, and executes the program. So do the programs of exec probes: as the container
was started, and not as its process may have made itself look in /proc. No shell anywhere.
"""

import asyncio
import errno
import os
import signal
import subprocess
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import structlog

from tidegate.kit import trees
from tidegate.kit.files import obstacle, write_whole
from tidegate.kit.processes import SHORTAGES, Process
from tidegate.node.logs import ContainerLog
from tidegate.node.runtime import Confinement, ContainerExit, Launch, LaunchRefused, Limits, PodUsage, scratch_folder
from tidegate.node.runtimes.process import launcher, limits, sweep
from tidegate.node.runtimes.process.freezer import Freezer, SignalFreezer
from tidegate.node.runtimes.process.freezer import freezer as freezer_of
from tidegate.node.runtimes.process.launcher import LAUNCHER, LaunchError, Orders
from tidegate.node.runtimes.process.listening import ProcessListening

LOST = ContainerExit(137, 0, "ContainerStatusUnknown")
"""How a container ended whose parent we are not: the kernel tells its exit code to nobody else."""

_RECORD = "record.json"
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_TICKS = os.sysconf("SC_CLK_TCK")
_MISSING = "ContainerMissing"
_CANNOT = "CreateContainerError"
_CANNOT_EXECUTE, _NOT_FOUND = 126, 127  # exit codes of a shell
_log = structlog.get_logger("node")


class Run(msgspec.Struct, frozen=True):
    """How a container's processes are started: its own, and the programs of its probes."""

    environment: dict[str, str]
    directory: str
    confinement: Confinement
    limits: Limits

    def orders(self, program: Sequence[str]) -> Orders:
        return Orders(program, self.environment, Path(self.directory), self.confinement)


class InstanceRecord(msgspec.Struct, frozen=True):
    """What there is to know for adopting a Pod's containers: the process that leads each, in which boot of the host.
    `runs`: of those that have an exec probe."""

    boot: str
    port: int
    containers: dict[str, Process]
    runs: dict[str, Run] = {}


def read_record(folder: Path) -> InstanceRecord | None:
    """The record in a Pod's folder, if it is of this boot and was written whole."""
    try:
        record = msgspec.json.decode((folder / _RECORD).read_bytes(), type=InstanceRecord)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, msgspec.DecodeError):
        return None
    return record if record.boot == _BOOT.read_text().strip() else None


class ProcessRuntime:
    """Runs containers as processes; their files are in `folder`, one folder a Pod."""

    def __init__(self, folder: Path, groups: limits.LimitGroups | None = None, freezer: Freezer | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        LAUNCHER.path()  # in a checkout this may build it
        self.folder = folder
        self.groups = groups
        self.freezer = freezer or SignalFreezer()
        self.leaders: dict[str, Process] = {}  # by owner, "<pod>/<container>"
        self.users: dict[str, int] = {}  # likewise, who they run as, unless that is root, who may become others
        self.sweeper = sweep.Sweeper(folder, self.leaders, self.users)
        self._boot = _BOOT.read_text().strip()
        self._records: dict[str, InstanceRecord] = {}
        self._runs: dict[
            str, RunningProcess
        ] = {}  # by owner, those started here: their exit codes are known to us alone

    async def start(self, launch: Launch) -> "RunningProcess":
        owner = _owner(launch.pod, launch.container)
        environment = {**launch.environment, sweep.MARK: sweep.mark(self.folder, owner)}
        run = Run(environment, str(launch.directory or "/"), launch.confinement, launch.limits)
        try:
            output = self._open_log(launch)
            try:
                child = await self.spawn(
                    owner, run, launch.program, output, record=lambda process: self._record(launch, run, process)
                )
            finally:
                os.close(output)
        except LaunchError as error:
            self.release(owner)
            raise _refused(launch, error) from error
        except (OSError, ValueError, OverflowError) as error:
            self.release(owner)
            raise LaunchRefused(_CANNOT, f"cannot start {launch.program[0]}: {error}") from error
        except asyncio.CancelledError:
            self.release(owner)
            raise
        running = RunningProcess(self, launch.pod, launch.container, self.leaders[owner], child, run, launch.scratch)
        self._runs[owner] = running
        return running

    def _open_log(self, launch: Launch) -> int:
        """In the Pod's folder, which is ours. The app's group may write to its log, for apps may open /dev/stdout. The
        app does not own it: an owner may take a lease, and nobody else can open the file then."""
        pod, user = self.folder / launch.pod, launch.confinement.user
        pod.mkdir(exist_ok=True)
        pod.chmod(0o711 if user is not None else 0o700)
        output = ContainerLog(pod, launch.container).begin()
        try:
            if user is not None:
                os.fchown(output, -1, launch.confinement.group or 0)
                os.fchmod(output, 0o620)
        except BaseException:
            os.close(output)
            raise
        return output

    def _record(self, launch: Launch, run: Run, process: Process) -> None:
        """What is left to do while the launcher starts: it costs no time of its own."""
        user, group = launch.confinement.user, launch.confinement.group or 0
        if launch.scratch is not None and user is not None:
            launch.scratch.mkdir(exist_ok=True)
            launch.scratch.chmod(0o711)
            for folder in (launch.scratch / "home", launch.scratch / "tmp"):
                folder.mkdir(exist_ok=True, mode=0o700)
                os.chown(folder, user, group)
        self._write(launch, run, process)

    async def spawn(
        self, owner: str, run: Run, program: Sequence[str], output: int, *, record: Callable[[Process], None]
    ) -> "subprocess.Popen[bytes]":
        """Start a program of a container: recorded and within its limits before it is executed. Raises `LaunchError`
        or `OSError`, and nothing is left of it."""
        orders = run.orders(program)
        prepared = launcher.prepare(output, {sweep.MARK: sweep.mark(self.folder, owner)})
        try:
            record(_identity(prepared.child))
            if run.limits != Limits():
                self._hold(owner, run.limits, prepared.child.pid)
        except BaseException:
            prepared.abandon()
            raise
        await prepared.go(orders)
        return prepared.child

    def adopt(self, pod: str, container: str) -> "RunningProcess | None":
        record = read_record(self.folder / pod)
        process = record.containers.get(container) if record else None
        if record is None or process is None or not process.alive:
            return None
        owner = _owner(pod, container)
        self._records[pod] = record
        self._know(owner, process, sweep.user_of(process.pid))
        known = self._runs.get(owner)
        if known is not None and known.process == process:
            return known
        files = scratch_folder(self.folder / pod, container)
        return RunningProcess(self, pod, container, process, None, record.runs.get(container), files)

    def port(self, pod: str) -> int:
        record = read_record(self.folder / pod)
        alive = record is not None and any(process.alive for process in record.containers.values())
        return record.port if record is not None and alive else 0

    async def usage(self, pod: str) -> PodUsage | None:
        record = self._records.get(pod)
        owners = [_owner(pod, name) for name in record.containers] if record is not None else []
        found = _of(await self.sweeper.look(), owners)
        members = [member for of in found.values() for member in of]
        if not members:
            return None
        return PodUsage(sum(member.cpu_seconds for member in members), sum(member.memory_bytes for member in members))

    async def members(self, owner: str) -> Sequence[sweep.Member]:
        """The processes of one container that there are now."""
        return (await self.sweeper.look()).get(owner, ())

    async def forget(self, pod: str) -> None:
        owners = [owner for owner in self.leaders if owner.partition("/")[0] == pod]
        if owners:  # what has ended is swept already
            await self.end([pod])
        for owner in owners:
            self.release(owner)
        self._records.pop(pod, None)
        await asyncio.to_thread(trees.remove, self.folder / pod)

    async def forget_others(self, pods: Collection[str]) -> None:
        folders = [entry for entry in self.folder.iterdir() if entry.is_dir()]
        for entry in folders:
            record = read_record(entry)
            for name, process in (record.containers if record is not None else {}).items():
                if process.alive or entry.name not in pods:
                    self.leaders[_owner(entry.name, name)] = process
        found = await self.sweeper.look()
        # Started, and their agent died before it could write that down: nobody can adopt them.
        await self.end([owner for owner in found if owner not in self.leaders])
        for pod in {entry.name for entry in folders} | {owner.partition("/")[0] for owner in found}:
            if pod not in pods:
                await self.forget(pod)

    async def end(self, owners: Collection[str]) -> None:
        """Kill all that belongs to these owners, which are Pods ("<pod>") or containers ("<pod>/<container>")."""
        delay = 0.002
        while found := _of(await self.sweeper.look(), owners):
            for owner, members in found.items():
                for member in members:
                    member.process.signal(signal.SIGKILL)
                self.freezer.thaw(_group(owner), ())  # of what is killed nothing runs on
            await asyncio.sleep(delay)
            delay = min(2 * delay, 1.0)

    def release(self, owner: str) -> None:
        """Nothing of that container runs any more."""
        self.leaders.pop(owner, None)
        self.users.pop(owner, None)
        self._runs.pop(owner, None)
        self.freezer.release(_group(owner))
        if self.groups is not None:
            self.groups.release(_group(owner))

    def _write(self, launch: Launch, run: Run, process: Process) -> None:
        """Into a new file that takes the old one's place: a record is whole at every moment. Not synced: after a crash
        of the host no process is left that it could tell of."""
        before = self._records.get(launch.pod)
        containers = {**(before.containers if before else {}), launch.container: process}
        runs = {**(before.runs if before else {}), **({launch.container: run} if launch.executes else {})}
        record = InstanceRecord(self._boot, launch.port or (before.port if before else 0), containers, runs)
        write_whole(self.folder / launch.pod / _RECORD, msgspec.json.encode(record))
        self._records[launch.pod] = record
        user = launch.confinement.user
        self._know(_owner(launch.pod, launch.container), process, os.geteuid() if user is None else user)

    def _know(self, owner: str, process: Process, user: int | None) -> None:
        self.leaders[owner] = process
        if user:
            self.users[owner] = user

    def _hold(self, owner: str, wanted: Limits, pid: int) -> None:
        if self.groups is None:
            _log.warning("limits are not enforced: no control group can be written", instance=owner)
            return
        try:
            self.groups.hold(_group(owner), pid, wanted)
        except ProcessLookupError:
            pass  # it has ended already
        except OSError as error:
            _log.warning("limits are not enforced", instance=owner, error=str(error))


class RunningProcess:
    """A process and its session. `child`: None for one that another control plane started; `run`: None where that one
    did not record it."""

    def __init__(
        self,
        runtime: ProcessRuntime,
        pod: str,
        container: str,
        process: Process,
        child: "subprocess.Popen[bytes] | None",
        run: Run | None,
        files: Path | None,
    ) -> None:
        self.owner = _owner(pod, container)
        self.process = process
        self.id = f"process://{process.pid}.{process.started}"
        ticks = process.started / _TICKS
        self.started_at = datetime.now(UTC) if child is not None else datetime.fromtimestamp(_boot_time() + ticks, UTC)
        self.listening = ProcessListening(process, lambda: runtime.members(self.owner))
        self._runtime = runtime
        self._child = child
        self._run = run
        self._files = files
        self._ended: ContainerExit | None = None
        self._cold = False  # frozen, or being so
        self._frozen: set[Process] = set()

    async def ended(self) -> ContainerExit:
        await self.process.ended()
        if self._ended is None:
            self._ended = self._how()
        return self._ended

    def _how(self) -> ContainerExit:
        """Asked for while its control group is there, which knows whether it was killed for memory."""
        if self._child is None:
            return LOST
        code = self._child.wait()
        if code >= 0:
            return ContainerExit(code, 0, "Completed" if code == 0 else "Error")
        groups = self._runtime.groups
        starved = -code == signal.SIGKILL and groups is not None and groups.ran_out(_group(self.owner))
        return ContainerExit(128 - code, -code, "OOMKilled" if starved else "Error")

    async def freeze(self) -> None:
        """Look and take until nobody new is found: what they start before all are held is found by the next look."""
        runtime, name = self._runtime, _group(self.owner)
        self._cold = True
        while found := {member.process for member in await runtime.members(self.owner)} - self._frozen:
            if not self._cold:
                return
            self._frozen |= found
            await asyncio.to_thread(runtime.freezer.take, name, found)
            if self._cold:
                runtime.freezer.freeze(name, found)

    def thaw(self) -> None:
        if self._cold:
            self._cold = False
            self._runtime.freezer.thaw(_group(self.owner), self._frozen)
            self._frozen = set()

    async def reclaim(self) -> None:
        reclaim, processes = self._runtime.freezer.reclaim, list(self._frozen)
        await asyncio.to_thread(reclaim, _group(self.owner), processes, lambda: self._cold)

    def terminate(self) -> None:
        self.thaw()
        self._signal_group(signal.SIGTERM)
        self._signal_group(signal.SIGCONT)  # what somebody stopped would not handle it

    async def kill(self) -> None:
        self.thaw()
        self._signal_group(signal.SIGKILL)
        await self.ended()
        await self._runtime.end([self.owner])
        self._runtime.release(self.owner)
        if self._files is not None:
            await asyncio.to_thread(trees.remove, self._files)

    def _signal_group(self, number: signal.Signals) -> None:
        """Not once its leader has been waited for, by us or by init: the number may be another group's by now."""
        unreaped = self._child is not None and self._child.returncode is None
        if unreaped or self.process.alive:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)

    async def execute(self, program: Sequence[str]) -> int:
        """As the container's own process was started."""
        if self._run is None:
            _log.warning("an exec probe fails: an older Tidegate started the instance", instance=self.owner)
            return _CANNOT_EXECUTE
        try:
            with Path(os.devnull).open("wb") as nowhere:  # noqa: ASYNC230 - no file
                output = nowhere.fileno()
                child = await self._runtime.spawn(self.owner, self._run, program, output, record=lambda _: None)
        except LaunchError as error:
            return _NOT_FOUND if error.number == errno.ENOENT else _CANNOT_EXECUTE
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno in SHORTAGES:
                raise
            return _CANNOT_EXECUTE
        process = _identity(child)
        try:
            await process.ended()
        finally:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            code = child.wait()
        return code


async def end(folder: Path, grace_seconds: float) -> int:
    """End every process of every instance in `folder`, where no agent is there to do it: SIGTERM, and SIGKILL to what
    is left after the grace. Returns how many there were."""
    if not folder.is_dir():  # noqa: ASYNC240 - one look at a local folder
        return 0
    groups = limits.groups()
    runtime = ProcessRuntime(folder, groups, freezer_of(groups))
    for entry in folder.iterdir():  # noqa: ASYNC240 - as above
        if (record := read_record(entry)) is not None:
            runtime.leaders |= {_owner(entry.name, name): process for name, process in record.containers.items()}
    found = {owner: [member.process for member in of] for owner, of in (await runtime.sweeper.look()).items()}
    for owner, processes in found.items():
        runtime.freezer.thaw(_group(owner), processes)
    members = [process for of in found.values() for process in of]
    await asyncio.gather(*(process.end(grace_seconds) for process in members))
    await runtime.forget_others(())
    return len(members)


def _refused(launch: Launch, error: LaunchError) -> LaunchRefused:
    """What a step of the launcher that failed says to users."""
    program, directory, user = launch.program[0], launch.directory, launch.confinement.user
    missing = error.number in (errno.ENOENT, errno.ENOTDIR)
    if error.step == "directory":
        why = "does not exist" if missing else f"cannot be entered: {os.strerror(error.number)}"
        return LaunchRefused(_CANNOT, f"the working directory {directory} {why}{_in_the_way(directory, user)}")
    if error.step != "program":
        return LaunchRefused(_CANNOT, f"cannot start {program}: {error}")
    if error.number == errno.ENOENT:
        return LaunchRefused(_MISSING, _missing(launch))
    if error.number in (errno.EACCES, errno.EPERM, errno.ENOTDIR):
        told = f"may not execute {program}: {os.strerror(error.number)}"
        return LaunchRefused(_CANNOT, told + _in_the_way((directory or Path("/")) / program, user))
    return LaunchRefused(_CANNOT, f"cannot start {program}: {os.strerror(error.number)}")


def _missing(launch: Launch) -> str:
    program = launch.program[0]
    if "/" not in program:
        return f"{program} is in none of the folders of PATH ({launch.environment.get('PATH', '')})"
    path = (launch.directory or Path("/")) / program
    if hint := _in_the_way(path, launch.confinement.user):
        return f"there is no program {path} that the app can get to{hint}"
    if path.exists():  # its interpreter is missing
        return f"{path} names an interpreter that does not exist"
    return f"there is no program {path} on this host"


def _in_the_way(path: Path | None, user: int | None) -> str:
    """Who an app is and what it may not pass, where that is why."""
    folder = obstacle(path) if path is not None and user else None
    return f"; user {user}, as whom the app runs, may not pass {folder}" if folder is not None else ""


def _identity(child: "subprocess.Popen[bytes]") -> Process:
    """Of a child that may have ended: until it is waited for, its pid is its own."""
    process = Process.of(child.pid)
    return process if process is not None else Process(child.pid, 0)


def _boot_time() -> float:
    """When the kernel's ticks began, in wall seconds."""
    for line in Path("/proc/stat").read_text().splitlines():
        if line.startswith("btime "):
            return float(line.split()[1])
    raise RuntimeError("/proc/stat does not tell the time of boot")


def _owner(pod: str, container: str) -> str:
    return f"{pod}/{container}"


def _group(owner: str) -> str:
    return owner.replace("/", ".")


def _of(found: sweep.Found, owners: Iterable[str]) -> sweep.Found:
    """Those of these owners, which are Pods or containers."""
    wanted = set(owners)
    return {owner: of for owner, of in found.items() if owner in wanted or owner.partition("/")[0] in wanted}
