# SPDX-License-Identifier: Apache-2.0
"""The runtime that runs a container as a process of this host.

In: a `Launch`. Out: a process that leads a session of its own and writes to its log file itself, so that neither the
death of the control plane nor Ctrl-C in its terminal touches it. Its environment carries the mark of its instance from
its first moment (`sweep`); `record.json` in the Pod's folder says which process leads which container, for adoption.

Started by `subprocess.Popen`, which uses vfork: measured 0.6 ms whatever the size of the control plane, against 14 ms
by the event loop's own subprocesses. No shell anywhere.
"""

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import structlog

from tidegate.kit.files import write_whole
from tidegate.kit.processes import Process, give_usual_files
from tidegate.node import limits, sweep
from tidegate.node.freezer import Freezer, Signals
from tidegate.node.freezer import freezer as freezer_of
from tidegate.node.listening import Listening
from tidegate.node.logs import Log
from tidegate.node.runtime import Ended, Launch, Limits, Refused, Usage

LOST = Ended(137, 0, "ContainerStatusUnknown")
"""How a container ended whose parent we are not: the kernel tells its exit code to nobody else."""

_RECORD = "record.json"
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_TICKS = os.sysconf("SC_CLK_TCK")
_MISSING = "ContainerMissing"
_CANNOT = "CreateContainerError"
_log = structlog.get_logger("node")


class Record(msgspec.Struct, frozen=True):
    """What there is to know for adopting a Pod's containers: the process that leads each, in which boot of the host."""

    boot: str
    port: int
    containers: dict[str, Process]


def read_record(folder: Path) -> Record | None:
    """The record in a Pod's folder, if it is of this boot and was written whole."""
    try:
        record = msgspec.json.decode((folder / _RECORD).read_bytes(), type=Record)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
    return record if record.boot == _BOOT.read_text().strip() else None


class ProcessRuntime:
    """Runs containers as processes; their files are in `folder`, one folder a Pod."""

    def __init__(self, folder: Path, groups: limits.Groups | None = None, freezer: Freezer | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder = folder
        self.groups = groups
        self.freezer = freezer or Signals()
        self.leaders: dict[str, Process] = {}  # by owner, "<pod>/<container>"
        self.sweeper = sweep.Sweeper(folder, self.leaders)
        self._boot = _BOOT.read_text().strip()
        self._records: dict[str, Record] = {}
        self._runs: dict[str, Running] = {}  # by owner, those started here: their exit codes are known to us alone

    def start(self, launch: Launch) -> "Running":
        pod = self.folder / launch.pod
        try:
            pod.mkdir(exist_ok=True, mode=0o700)
            output = Log(pod, launch.container).begin()
        except OSError as error:
            raise Refused(_CANNOT, f"its folder cannot be written: {error}") from error
        try:
            child = _spawn(launch, sweep.mark(self.folder, _owner(launch.pod, launch.container)), output)
        finally:
            os.close(output)
        give_usual_files(child.pid)
        process = _identity(child)
        try:
            self._write(launch, process)
        except OSError as error:
            child.kill()
            child.wait()
            raise Refused(_CANNOT, f"its record cannot be written: {error}") from error
        running = Running(self, launch.pod, launch.container, process, child)
        self._runs[running.owner] = running
        if launch.limits != Limits():
            self._hold(running.owner, launch.limits, process.pid)
        return running

    def adopt(self, pod: str, container: str) -> "Running | None":
        record = read_record(self.folder / pod)
        process = record.containers.get(container) if record else None
        if record is None or process is None or not process.alive:
            return None
        self._records[pod] = record
        self.leaders[_owner(pod, container)] = process
        run = self._runs.get(_owner(pod, container))
        return run if run is not None and run.process == process else Running(self, pod, container, process, None)

    def port(self, pod: str) -> int:
        record = read_record(self.folder / pod)
        alive = record is not None and any(process.alive for process in record.containers.values())
        return record.port if record is not None and alive else 0

    async def usage(self, pod: str) -> Usage | None:
        record = self._records.get(pod)
        owners = [_owner(pod, name) for name in record.containers] if record is not None else []
        found = _of(await self.sweeper.look(), owners)
        members = [member for of in found.values() for member in of]
        if not members:
            return None
        return Usage(sum(member.cpu_seconds for member in members), sum(member.memory_bytes for member in members))

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
        await asyncio.to_thread(shutil.rmtree, self.folder / pod, ignore_errors=True)

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
        self._runs.pop(owner, None)
        self.freezer.release(_group(owner))
        if self.groups is not None:
            self.groups.release(_group(owner))

    def _write(self, launch: Launch, process: Process) -> None:
        """Into a new file that takes the old one's place: a record is whole at every moment. Not synced: after a crash
        of the host no process is left that it could tell of."""
        before = self._records.get(launch.pod)
        containers = {**(before.containers if before else {}), launch.container: process}
        record = self._records[launch.pod] = Record(
            self._boot, launch.port or (before.port if before else 0), containers
        )
        self.leaders[_owner(launch.pod, launch.container)] = process
        write_whole(self.folder / launch.pod / _RECORD, msgspec.json.encode(record))

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


class Running:
    """A process and its session. `child`: None for one that another control plane started."""

    def __init__(
        self,
        runtime: ProcessRuntime,
        pod: str,
        container: str,
        process: Process,
        child: "subprocess.Popen[bytes] | None",
    ) -> None:
        self.owner = _owner(pod, container)
        self.process = process
        self.id = f"process://{process.pid}.{process.started}"
        ticks = process.started / _TICKS
        self.started_at = datetime.now(UTC) if child is not None else datetime.fromtimestamp(_boot_time() + ticks, UTC)
        self.listening = Listening(process, lambda: runtime.members(self.owner))
        self._runtime = runtime
        self._child = child
        self._ended: Ended | None = None
        self._cold = False  # frozen, or being so
        self._frozen: set[Process] = set()

    async def ended(self) -> Ended:
        await self.process.ended()
        if self._ended is None:
            self._ended = self._how()
        return self._ended

    def _how(self) -> Ended:
        """Asked for while its control group is there, which knows whether it was killed for memory."""
        if self._child is None:
            return LOST
        code = self._child.wait()
        if code >= 0:
            return Ended(code, 0, "Completed" if code == 0 else "Error")
        groups = self._runtime.groups
        starved = -code == signal.SIGKILL and groups is not None and groups.ran_out(_group(self.owner))
        return Ended(128 - code, -code, "OOMKilled" if starved else "Error")

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
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)

    async def kill(self) -> None:
        self.thaw()
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        await self.ended()
        await self._runtime.end([self.owner])
        self._runtime.release(self.owner)

    async def execute(self, program: Sequence[str]) -> int:
        """In the environment and folder of the container's own process."""
        proc = Path(f"/proc/{self.process.pid}")
        try:
            variables = (proc / "environ").read_text(errors="surrogateescape").split("\0")
            child = subprocess.Popen(  # noqa: ASYNC220, S603 - vfork: under a millisecond; the user's own program
                list(program),
                env=dict(variable.split("=", 1) for variable in variables if "=" in variable),
                cwd=(proc / "cwd").readlink(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError:
            return 127
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


def _spawn(launch: Launch, mark: str, output: int) -> "subprocess.Popen[bytes]":
    directory = launch.directory
    if directory is not None and not directory.is_dir():
        raise Refused(_CANNOT, f"the working directory {directory} does not exist")
    try:
        return subprocess.Popen(  # noqa: S603 - the user's own program, without a shell
            list(launch.program),
            env={**launch.environment, sweep.MARK: mark},
            cwd=directory or "/",
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            umask=0o022,
            user=launch.user,
            group=launch.group,
            extra_groups=[] if launch.group is not None else None,
        )
    except FileNotFoundError as error:
        raise Refused(_MISSING, _missing(launch)) from error
    except (PermissionError, NotADirectoryError) as error:
        raise Refused(_CANNOT, f"may not execute {launch.program[0]}: {error.strerror}") from error
    except (OSError, ValueError) as error:
        raise Refused(_CANNOT, f"cannot start {launch.program[0]}: {error}") from error


def _missing(launch: Launch) -> str:
    program = launch.program[0]
    if "/" not in program:
        return f"{program} is in none of the folders of PATH ({launch.environment.get('PATH', '')})"
    path = (launch.directory or Path("/")) / program
    if path.exists():  # its interpreter is missing
        return f"{path} names an interpreter that does not exist"
    return f"there is no program {path} on this host"


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
