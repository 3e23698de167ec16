# SPDX-License-Identifier: Apache-2.0
"""One container's life: started, probed, ended, started again.

In: a container of a Pod's spec, and the runtime. Out: a `ContainerView` for the Pod's status, and a call of `changed`
whenever it is another. Who: `instance`, which has one for each container.

| what happens | then |
| --- | --- |
| it cannot be started | Waiting with the reason; tried again after 1 s, doubling to 5 min |
| it ends | started again: at once the first time, then after 10 s, doubling to 5 min; anew after 10 min of running |
| it ends because another program has its port | started again at once on another port, which does not count |
| its startup or liveness probe fails | ended, so that it is started again; its end says which probe, and what it saw |
| its readiness probe fails | not ready, until it succeeds again |
| its port is listened on by another program | not ready |
| it ends, or does not listen any more | no gateway sends there from then on; its port is kept until none does |
| it is not ready for 2 s | its view says which probe waits, what it saw, and where else the app listens |
| it listens not on $PORT, but on the port that its spec names | that is its port from then on |
| it cannot be looked at, since files or memory of ours are short | as it was; looked at again |
| it is frozen | not probed; what its probes found before holds |

Rule for the times: Kubernetes, pkg/kubelet/kuberuntime (MaxContainerBackOff, backOffPeriod).
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, get_args

from tidegate.client.cluster import Cluster
from tidegate.client.events import Recorder
from tidegate.kit.backoff import Backoff
from tidegate.kit.clock import Clock
from tidegate.kit.processes import SHORTAGES
from tidegate.model import names, pods
from tidegate.model.logs import LogOptions
from tidegate.model.objects import Object, annotations, spec, status, uid
from tidegate.model.text import quantities
from tidegate.node import advice, environment, probes
from tidegate.node.archive import Archive
from tidegate.node.logs import ContainerLog
from tidegate.node.ports import PortPool
from tidegate.node.probes import Kind, Probe, ProbeTarget, Schedule, Ticks
from tidegate.node.runtime import Launch, LaunchRefused, Limits, RunningContainer, Runtime, scratch_folder
from tidegate.node.runtimes.process import images, sockets
from tidegate.node.runtimes.process.identity import Identities
from tidegate.node.status import ADDRESS, ContainerView, Running, Terminated, Waiting
from tidegate.node.timing import first, within

T = TypeVar("T")

Attempt = Callable[[Probe, ProbeTarget], Awaitable[str | None]]
"""One try of a probe: None, or what is wrong."""

_YOUNG = 30.0  # seconds within which an end can come from a port that is in use
_PORTS_TRIED = 5
_PORT_IN_USE = ("address already in use", "address in use", "eaddrinuse", "only one usage of each socket address")
_HINDERED = 0.5  # seconds until the next look, where files or memory of our own are short
_UNPROVEN = 0.05  # seconds until a port is looked at again that another program has
_WITHDRAWN_WITHIN = 5.0  # seconds that gateways have to stop sending to a port; one that hangs sends nothing
_LOOK_FIRST = 0.25  # seconds of failing probes until the app's sockets are looked at; then after twice as long
_LOOK_AT_LEAST_EVERY = 30.0  # seconds
_QUIET = 2.0  # seconds of failing probes before anybody is told what they saw
_CONFIG_ERROR = "CreateContainerConfigError"


@dataclass(frozen=True, slots=True)
class NodeContext:
    """What every container of this node is run with."""

    cluster: Cluster
    runtime: Runtime
    clock: Clock
    recorder: Recorder
    identities: Identities
    ports: PortPool
    attempt: Attempt
    node: str
    folder: Path
    bundles: Path
    archive: Archive

    async def forget(self, pod: Object) -> None:
        """End whatever is left of a Pod and remove its traces, but for its logs."""
        await self.archive.keep(pod, self.folder / uid(pod), self.clock.wall())
        await self.runtime.forget(uid(pod))


class PortLease:
    """The port of an instance, which its containers share."""

    def __init__(self, ports: PortPool, port: int) -> None:
        self._ports = ports
        self.port = port or ports.take()
        ports.keep(self.port)

    def move(self) -> None:
        """Another one: somebody else has this. It stays taken, so that nobody here is given it again."""
        self.port = self._ports.take()

    def is_anothers(self, port: int) -> bool:
        return port != self.port and self._ports.has(port)

    def take(self, port: int) -> None:
        """The app listens there, whatever it was told."""
        self._ports.release(self.port)
        self._ports.keep(port)
        self.port = port

    def leave(self) -> None:
        self._ports.release(self.port)


class Container:
    """One container of one Pod."""

    def __init__(
        self,
        pod: Object,
        container: Object,
        *,
        serving: bool,
        seat: PortLease,
        means: NodeContext,
        withdrawn: Callable[[], Coroutine[Any, Any, None]],
        changed: Callable[[], None],
    ) -> None:
        """`withdrawn` returns once no gateway sends to the port of an instance that is not ready."""
        self.name = str(container["name"])
        self.log = ContainerLog(means.folder / pod["metadata"]["uid"], self.name)
        self._pod = pod
        self._container = container
        self._serving = serving
        self._seat = seat
        self._means = means
        self._withdrawn = withdrawn
        self._changed = changed
        self._backoff = Backoff(first=10.0, limit=300.0)
        self._refusals = Backoff(first=1.0, limit=300.0)
        self._awake, self._asleep = asyncio.Event(), asyncio.Event()
        self._awake.set()
        self._crashed = False  # and was started again at once
        self._ports_tried = 0
        before = _status_before(pod, self.name)
        self._running: RunningContainer | None = means.runtime.adopt(pod["metadata"]["uid"], self.name)
        self._last: Terminated | None = None
        self._final = False
        self._restarts = int(before.get("restartCount") or 0)
        self._state: Waiting | Running | Terminated = Waiting()
        self._ready = self._started = False
        self._problem = ""  # what its probes saw last, while it is not ready
        self._cause = ""  # what ends its present run, where that is a probe
        if self._running is not None:
            same = before.get("containerID") == self._running.id
            self._state = Running(self._running.id, _started_before(before, same=same) or self._running.started_at)
            self._ready, self._started = same and bool(before.get("ready")), same and bool(before.get("started"))
        elif before.get("containerID"):
            self._restarts += 1

    @property
    def view(self) -> ContainerView:
        return ContainerView(
            self.name,
            str(self._container.get("image") or ""),
            self._state,
            self._last,
            self._ready,
            self._started,
            self._restarts,
            self._final,
            self._problem,
        )

    @property
    def runs(self) -> bool:
        return isinstance(self._state, Running)

    def log_asked(self, options: LogOptions) -> LogOptions | None:
        """What of its log a request means; None where there was no such run. Between two runs, as in CrashLoopBackOff,
        the one that ended last is meant in any case. Rule: pkg/kubelet/kubelet_pods.go, validateContainerLogStatus."""
        if isinstance(self._state, Waiting):
            return replace(options, previous=False) if self._last is not None else None
        return None if options.previous and not self._restarts else options

    async def run(self) -> None:
        """Keep it running until cancelled, or until it is not to be started again."""
        while not self._final:
            running = self._running or await self._start()
            down = await self._live(running)
            self._running = None
            await self._after(down)

    def look_at_port(self) -> None:
        """See whether what takes its requests still listens."""
        if self._running is not None:
            self._running.listening.look()

    def let_go(self) -> None:
        """Leave it to the one who adopts it. Not to be called while `run` runs."""
        if self._running is not None:
            self._running.listening.release()

    async def stop(self, grace: float) -> None:
        """SIGTERM, and SIGKILL to all that is left after the grace or once its main process has ended. Not to be called
        while `run` runs."""
        running = self._running
        if running is None:
            return
        self._set_unready()  # before it closes its port: gateways may still send there
        if grace > 0:
            running.terminate()
            await within(self._means.clock, grace, running.ended())
        await self._end(running)
        running.listening.release()
        self._running = None

    # Standing by

    async def freeze(self) -> None:
        """Let it use no CPU until `thaw`. Raises `OSError` where the host does not let us."""
        self._awake.clear()
        self._asleep.set()
        if self._running is not None:
            await self._running.freeze()

    async def reclaim(self) -> None:
        """Give the memory of what is frozen back, as far as the kernel can."""
        if self._running is not None:
            await self._running.reclaim()

    def thaw(self) -> None:
        """Let it go on at once, as ready as it was."""
        if self._running is not None:
            self._running.thaw()
        self._asleep.clear()
        self._awake.set()

    # Starting

    async def _start(self) -> RunningContainer:
        while True:
            try:
                launch = await self._launch()
                running = await self._means.runtime.start(launch)
            except LaunchRefused as refused:
                self._state = Waiting(refused.reason, refused.message)
                self._changed()
                self._means.recorder.warning(self._pod, "Failed", f"Error: {refused.reason}: {refused.message}")
                await self._means.clock.sleep(self._refusals.next(self.name))
            else:
                self._refusals.forget(self.name)
                self._running = running
                return running

    async def _launch(self) -> Launch:
        container, means = self._container, self._means
        confinement = await means.identities.of(self._pod, container)
        pod = self._pod["metadata"]["uid"]
        scratch = scratch_folder(means.folder / pod, self.name) if confinement.user else None
        base = environment.base(scratch)
        runtime = annotations(self._pod).get(names.RUNTIME, "")
        program = images.program(container, runtime, means.bundles, base["PATH"])
        _refuse_what_no_process_has(self._pod, container)
        given = {"PORT": str(self._seat.port)} if self._serving else {}
        reader = environment.Environment(means.cluster, self._pod, means.node)
        variables = await reader.of(container, {**base, **program.environment}, given)
        directory = container.get("workingDir")
        return Launch(
            pod=pod,
            container=self.name,
            program=environment.expand_all(program.arguments, variables),
            environment=variables,
            directory=program.directory / directory if directory else program.directory,
            port=self._seat.port if self._serving else 0,
            limits=_limits(container),
            confinement=confinement,
            executes=any((container.get(f"{kind}Probe") or {}).get("exec") for kind in get_args(Kind)),
            scratch=scratch,
        )

    # RunningContainer

    async def _live(self, running: RunningContainer) -> Terminated:
        """From its start to its end, with nothing of it left."""
        if not (isinstance(self._state, Running) and self._state.id == running.id):
            self._state = Running(running.id, running.started_at)
        self._changed()
        async with asyncio.TaskGroup() as group:
            probing = group.create_task(self._probe_while_awake(running), name=f"probes of {self.name}")
            await running.ended()
            running.listening.silence()
            self._set_unready()
            probing.cancel()
        down = await self._end(running)
        await self._give_up_port(running)
        return down

    async def _end(self, running: RunningContainer) -> Terminated:
        self._ready = self._started = False
        await running.kill()
        last = self.log.last_words()
        words = "\n".join(text for text in (self._cause or self._conflict(last), last) if text)
        down = Terminated(running.id, await running.ended(), words, running.started_at, self._means.clock.wall())
        self._problem = self._cause = ""
        self._state = down
        self._changed()
        return down

    async def _after(self, down: Terminated) -> None:
        """Wait until it may be started again."""
        if self._lost_its_port(down):
            self._ports_tried += 1
            self._seat.move()
            self._state = Waiting()
            return
        policy = spec(self._pod).get("restartPolicy") or "Always"
        if policy == "Never" or (policy == "OnFailure" and down.ended.code == 0):
            self._final = True
            self._changed()
            return
        self._last = down
        self._restarts += 1
        delay = self._delay(down)
        if not delay:
            self._state = Waiting()
            return
        metadata = self._pod["metadata"]
        who = f"container={self.name} pod={metadata['name']}_{metadata.get('namespace', '')}({metadata['uid']})"
        self._state = Waiting("CrashLoopBackOff", f"back-off {delay:.0f}s restarting failed {who}")
        self._changed()
        self._means.recorder.warning(self._pod, "BackOff", f"Back-off restarting failed container {self.name}")
        await self._means.clock.sleep(delay)

    def _delay(self, down: Terminated) -> float:
        if (down.until - down.since).total_seconds() >= pods.STEADY:
            self._backoff.forget(self.name)
            self._crashed = False
        if not self._crashed:
            self._crashed = True
            return 0.0
        return self._backoff.next(self.name)

    def _lost_its_port(self, down: Terminated) -> bool:
        young = (down.until - down.since).total_seconds() < _YOUNG
        if not (self._serving and young and down.ended.code and self._ports_tried < _PORTS_TRIED):
            return False
        return _says_in_use(down.words)

    def _conflict(self, words: str) -> str:
        """What to say of one that ended because the port that its spec names, and which it was not given, is taken."""
        named = pods.serving_port(spec(self._pod))
        taken = self._serving and named != self._seat.port and _says_in_use(words) and sockets.at_loopback(named)
        return advice.conflict(named) if taken else ""

    # Probes

    async def _probe_while_awake(self, running: RunningContainer) -> None:
        while True:
            await self._awake.wait()
            async with asyncio.TaskGroup() as group:
                probing = group.create_task(self._probe(running), name=f"probes of {self.name}, awake")
                await self._asleep.wait()
                probing.cancel()

    async def _probe(self, running: RunningContainer) -> None:
        was_started = self._started
        startup = Probe.of("startup", self._container.get("startupProbe"))
        if startup is not None and not was_started and not await self._succeeds("startup", startup, running):
            await self._fail(running, startup)
            return
        self._started = True
        async with asyncio.TaskGroup() as group:
            liveness = Probe.of("liveness", self._container.get("livenessProbe"))
            if liveness is not None:
                first = probes.spread(liveness.period) if was_started else liveness.period
                first += max(0.0, liveness.initial_delay - self._age(running))
                watching = self._watch_liveness(running, liveness, first)
                group.create_task(watching, name=f"liveness of {self.name}")
            await self._watch_readiness(running)  # without a turn of the loop before the first try

    def _target(self, running: RunningContainer) -> ProbeTarget:
        return ProbeTarget(ADDRESS, self._ports(), running.execute, running.listening.problem)

    def _ports(self) -> dict[str, int]:
        """The serving port by every way a probe may name it: on this host it is the instance's own. A sidecar may name
        it too, for the containers of a Pod share an address."""
        ports = pods.serving_container(spec(self._pod)).get("ports") or [{"containerPort": names.DEFAULT_PORT}]
        called = {text for port in ports for text in (str(port.get("name") or ""), str(port.get("containerPort")))}
        return dict.fromkeys(called | {""} if self._serving else called - {""}, self._seat.port)

    def _age(self, running: RunningContainer) -> float:
        return (self._means.clock.wall() - running.started_at).total_seconds()

    async def _watch_readiness(self, running: RunningContainer) -> None:
        probe = Probe.of("readiness", self._container.get("readinessProbe"))
        if probe is None:
            return self._set_ready()
        if self._ready:  # as it was before it was adopted or frozen
            await self._prove(running)
        while True:
            if not self._ready:
                await self._succeeds("readiness", probe, running)
                await self._prove(running)
                continue
            failing = self._fails("readiness", probe, running, probes.spread(probe.period))
            self._set_unready(await first(failing, self._loses_port(running)))

    async def _prove(self, running: RunningContainer) -> None:
        """Ready is one whose port is its own, whatever its probe asks."""
        look = partial(running.listening.problem, self._seat.port)
        problem = await self._unhindered(look) if self._serving else None
        if problem is None:
            running.listening.hold()
            self._set_ready()
        else:
            self._set_unready(f"{ADDRESS}:{self._seat.port}: {problem}")
            await self._means.clock.sleep(_UNPROVEN)

    async def _loses_port(self, running: RunningContainer) -> str:
        """Return what is wrong once nothing of the container listens on its port any more."""
        listening = running.listening
        while True:
            await listening.lost()
            listening.doubt()
            try:
                if await listening.problem(self._seat.port) is not None:
                    break
            except OSError:  # who cannot look cannot prove
                break
            listening.hold()
        self._set_unready(f"{ADDRESS}:{self._seat.port}: the app does not listen there any more")
        listening.silence()
        await self._give_up_port(running)
        return self._problem

    async def _give_up_port(self, running: RunningContainer) -> None:
        """Let others have it, once no gateway sends there."""
        if self._serving:
            await within(self._means.clock, _WITHDRAWN_WITHIN, self._withdrawn())
        running.listening.release()

    async def _watch_liveness(self, running: RunningContainer, probe: Probe, first: float) -> None:
        self._cause = await self._fails("liveness", probe, running, first)
        await self._fail(running, probe)

    def _set_ready(self) -> None:
        if not self._ready:
            self._ready, self._problem = True, ""
            self._changed()

    def _set_unready(self, problem: str = "") -> None:
        if self._ready or problem != self._problem:
            self._ready, self._problem = False, problem
            self._changed()

    async def _succeeds(self, kind: Kind, probe: Probe, running: RunningContainer) -> bool:
        """Try until it succeeds; False when a startup probe has failed as often as it may."""
        clock = self._means.clock
        began = clock.monotonic()
        schedule = Schedule(probe, began, self._age(running))
        look = began + _LOOK_FIRST
        failures = successes = 0
        while True:
            if wait := schedule.wait(clock.monotonic()):
                await clock.sleep(wait)
            problem = await self._unhindered(lambda: self._means.attempt(probe, self._target(running)))
            successes = 0 if problem else successes + 1
            if successes >= probe.successes:
                return True
            if not problem:
                continue
            told, now = f"{kind} probe: {problem}", clock.monotonic()
            if now >= look:
                look = now + min(now - began, _LOOK_AT_LEAST_EVERY)
                opened = await self._unhindered(lambda: self._look_for_port(running))
                if now - began >= _QUIET:
                    self._set_unready(f"{opened}. {told}" if opened else told)
            if schedule.counts(now):
                failures += 1
                if failures % probe.failures == 0:
                    self._tell_unhealthy(kind, problem)
                    if kind == "startup":
                        self._cause = (
                            f"{told}. {opened}"
                            if (opened := await self._unhindered(lambda: self._look_for_port(running)))
                            else told
                        )
                        return False

    async def _look_for_port(self, running: RunningContainer) -> str:
        """Where the app listens if it does not on $PORT; "" if it does. It may have the port that its spec names, while
        no other instance on this host has that."""
        if not self._serving or await running.listening.problem(self._seat.port) is None:
            return ""
        named = pods.serving_port(spec(self._pod))
        is_free = named != self._seat.port and not self._seat.is_anothers(named)
        if is_free and await running.listening.problem(named) is None:
            self._seat.take(named)
            self._changed()
            return ""
        opened = await running.listening.opened()
        own = None if opened is None else [each for each in opened if not self._seat.is_anothers(each.port)]
        return advice.of(self._seat.port, own, self.log.last_words())

    async def _unhindered(self, look: Callable[[], Awaitable[T]]) -> T:
        """What a look at the app finds. What we lack ourselves, e.g. files, says nothing about the app: then it is as
        it was, and looked at again."""
        while True:
            try:
                return await look()
            except OSError as error:
                if error.errno not in SHORTAGES:
                    raise
            await self._means.clock.sleep(_HINDERED)

    async def _fails(self, kind: Kind, probe: Probe, running: RunningContainer, first: float) -> str:
        """Return what it saw once it has failed as often in a row as it may. `first`: seconds before the first try."""
        clock = self._means.clock
        ticks = Ticks(probe, clock.monotonic() + first)
        failures = 0
        while True:
            await clock.sleep(ticks.wait(clock.monotonic()))
            problem = await self._unhindered(lambda: self._means.attempt(probe, self._target(running)))
            failures = failures + 1 if problem else 0
            if problem and failures >= probe.failures:
                self._tell_unhealthy(kind, problem)
                return f"{kind} probe: {problem}"

    def _tell_unhealthy(self, kind: Kind, problem: str) -> None:
        self._means.recorder.warning(self._pod, "Unhealthy", f"{kind.capitalize()} probe failed: {problem}")

    async def _fail(self, running: RunningContainer, probe: Probe) -> None:
        """End it, because a probe says so; `run` starts it again."""
        self._means.recorder.normal(self._pod, "Killing", f"Container {self.name} failed a probe, will be restarted")
        grace = probe.action.get(
            "terminationGracePeriodSeconds", spec(self._pod).get("terminationGracePeriodSeconds", 30)
        )
        self._set_unready(self._cause)
        running.terminate()
        await self._means.clock.sleep(float(grace or 0))
        await running.kill()


def _says_in_use(words: str) -> bool:
    return any(sign in words.lower() for sign in _PORT_IN_USE)


def _status_before(pod: Object, name: str) -> Object:
    """What an earlier agent said of a container."""
    known = status(pod).get("containerStatuses") or ()
    return next((dict(entry) for entry in known if entry.get("name") == name), {})


def _started_before(before: Object, *, same: bool) -> datetime | None:
    """When an earlier agent said that this run began: nearer than the kernel's ticks tell."""
    started = ((before.get("state") or {}).get("running") or {}).get("startedAt")
    return datetime.fromisoformat(started) if same and started else None


def _limits(container: Object) -> Limits:
    asked = (container.get("resources") or {}).get("limits") or {}
    try:
        cpu = quantities.parse(asked["cpu"]).amount if "cpu" in asked else None
        memory = quantities.parse(asked["memory"]).amount if "memory" in asked else None
    except ValueError as error:
        raise LaunchRefused(_CONFIG_ERROR, f"resources.limits: {error}") from error
    return Limits(float(cpu) if cpu is not None else None, int(memory) if memory is not None else None)


def _refuse_what_no_process_has(pod: Object, container: Object) -> None:
    """A process sees this host's files and nothing else."""
    mounts = container.get("volumeMounts") or ()
    if mounts:
        first = mounts[0]
        raise LaunchRefused(
            _CONFIG_ERROR,
            f"volume {first.get('name')!r} cannot be mounted at {first.get('mountPath')}: what runs as a process "
            "has the files of this host; hand it ConfigMaps and Secrets by env or envFrom",
        )
    if spec(pod).get("initContainers"):
        raise LaunchRefused(_CONFIG_ERROR, "init containers are not run for apps that run as processes")
