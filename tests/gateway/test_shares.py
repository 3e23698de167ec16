# SPDX-License-Identifier: Apache-2.0
"""Shares of one revision's slots, with gates in memory that apply shares late: the limit holds at every moment, shares
follow the load, and no gateway starves."""

import random
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.gateway.publisher.dues import dues
from tidegate.gateway.publisher.shares import PACE, Shares
from tidegate.model.load import LoadReport, SlotShare
from tidegate.model.objects import Key

REVISION = Key("default", "hello-00001")
HOSTS = [f"127.0.0.1:{port}" for port in (1, 2, 3, 4, 5)]


@dataclass
class Gate:
    """A gate (gate/decision.cc), and messages on their way to it and from it."""

    name: str
    concurrency: int
    shares: dict[str, SlotShare] = field(default_factory=dict)  # of its hosts, and of removed ones with requests
    known: set[str] = field(default_factory=set)
    running: Counter[str] = field(default_factory=Counter)
    queued: int = 0
    to_it: deque[dict[str, SlotShare]] = field(default_factory=deque)
    from_it: deque[LoadReport] = field(default_factory=deque)

    def apply(self) -> None:
        """Apply the oldest message."""
        if not self.to_it:
            return
        shares = self.to_it.popleft()
        self.known = set(shares)
        for host, share in shares.items():
            if share.version > self.shares.setdefault(host, SlotShare(0, 0)).version:
                self.shares[host] = share
        self.work()

    def work(self) -> None:
        """Send queued requests to free slots, and forget removed hosts without requests."""
        for host in self.known:
            while self.queued and self.running[host] < min(self.shares[host].slots, self.concurrency):
                self.running[host] += 1
                self.queued -= 1
        for host in [host for host in self.shares if host not in self.known and not self.running[host]]:
            del self.shares[host]

    def arrive(self) -> None:
        self.queued += 1
        self.work()

    def end(self, host: str) -> None:
        if self.running[host]:
            self.running[host] -= 1
        self.work()

    def report(self, now: float) -> None:
        in_flight, hosts = sum(self.running.values()), {host: self.running[host] for host in self.shares}
        self.from_it.append(
            LoadReport(
                revision=REVISION,
                gateway=self.name,
                time=now,
                in_flight=in_flight,
                queued=self.queued,
                requests=0,
                concurrency_seconds=0,
                queue_seconds=0,
                responses={},
                refused={},
                hosts=hosts,
                shares=dict(self.shares),
            )
        )

    def may_use(self, host: str) -> int:
        """Requests that run there, or may run without another message."""
        return max(self.running[host], self.shares[host].slots if host in self.shares else 0)


class World:
    """Gates, and a control plane with its clock."""

    def __init__(self, concurrency: int, gateways: int, hosts: list[str]) -> None:
        self.concurrency = concurrency
        self.hosts = hosts
        self.now = 0.0
        self.gates: dict[str, Gate] = {}
        self.connected: set[str] = set()
        self.count = 0
        self.shares = Shares(concurrency, {})
        self.shares.resize(hosts, self.now)
        for _ in range(gateways):
            self.start()

    def start(self) -> None:
        self.count += 1
        gate = Gate(f"gateway-{self.count}", self.concurrency)
        self.gates[gate.name] = gate
        self.connect(gate)

    def connect(self, gate: Gate) -> None:
        if gate.name in self.connected:
            return
        self.connected.add(gate.name)
        self.shares.joined(gate.name, known=gate.name not in self.restarted)
        gate.report(self.now)

    restarted: frozenset[str] = frozenset()  # the gates that existed when the control plane returned

    def disconnect(self, gate: Gate) -> None:
        """Messages to the gate are lost; its reports use another connection."""
        self.connected.discard(gate.name)
        gate.to_it.clear()
        self.shares.left(gate.name)

    def kill(self, gate: Gate) -> None:
        del self.gates[gate.name]
        self.connected.discard(gate.name)
        self.shares.ended(gate.name)
        self.start()

    def restart(self) -> None:
        """Start another control plane, which knows the gates and nothing else."""
        self.restarted = frozenset(self.gates)
        self.connected.clear()
        self.shares = Shares(self.concurrency, dict.fromkeys(self.gates, False))
        self.shares.resize(self.hosts, self.now)
        for gate in self.gates.values():
            gate.to_it.clear()
            gate.from_it.clear()

    def resize(self, hosts: list[str]) -> None:
        self.hosts = hosts
        self.shares.resize(hosts, self.now)

    def receive(self, gate: Gate) -> None:
        if gate.from_it:
            self.shares.report(gate.from_it.popleft())

    def decide(self) -> None:
        self.shares.move(self.now)
        for name in self.connected:
            shares = self.shares.grants(name)
            queue = self.gates[name].to_it
            if not queue or queue[-1] != shares:
                queue.append(shares)

    def verify(self) -> None:
        for host in HOSTS:
            used = {gate.name: gate.may_use(host) for gate in self.gates.values()}
            assert sum(used.values()) <= self.concurrency, (host, used)

    def round(self) -> None:
        """A tenth of a second in which all messages arrive."""
        self.now += 0.1
        for gate in self.gates.values():
            gate.report(self.now)
            while gate.from_it:
                self.receive(gate)
            self.decide()
            for each in self.gates.values():
                while each.to_it:
                    each.apply()
            self.verify()

    def serve(self, loads: Mapping[str, int], chance: random.Random) -> Counter[str]:
        """A round in which requests end and arrive, so that each gate has the given load. Return how many were
        served."""
        served: Counter[str] = Counter()
        for gate in self.gates.values():
            for host in list(gate.running.elements()):
                if chance.random() < 0.5:
                    gate.end(host)
                    served[gate.name] += 1
            gate.queued = max(loads[gate.name] - sum(gate.running.values()), 0)
            gate.work()
        self.round()
        return served

    def slots(self, name: str) -> int:
        return sum(share.slots for share in self.gates[name].shares.values())


def act(world: World, chance: random.Random) -> None:
    """Do one thing that may happen; rare ones rarely."""
    gate = chance.choice(sorted(world.gates.values(), key=lambda gate: gate.name))
    world.now += chance.random() * 0.2
    deeds: dict[Callable[[], None], int] = {
        gate.arrive: 20,
        lambda: gate.end(chance.choice(HOSTS)): 20,
        gate.apply: 15,
        lambda: gate.report(world.now): 15,
        lambda: world.receive(gate): 20,
        lambda: world.resize(chance.sample(HOSTS, chance.randint(0, len(HOSTS)))): 3,
        lambda: world.disconnect(gate): 2,
        lambda: world.connect(gate): 3,
        lambda: world.kill(gate): 1,
        world.restart: 1,
    }
    chance.choices(list(deeds), list(deeds.values()))[0]()
    world.decide()


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([1, 2, 3, 40]), st.integers(1, 4), st.integers(0, 1 << 32))
def test_all_gates_together_never_have_more_than_the_concurrency(concurrency: int, gateways: int, seed: int) -> None:
    chance = random.Random(seed)
    world = World(concurrency, gateways, HOSTS[:3])
    for _ in range(400):
        act(world, chance)
        world.verify()


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([1, 2, 3, 40]), st.lists(st.integers(0, 30), min_size=2, max_size=4), st.integers(0, 1 << 32))
def test_shares_follow_load_and_no_gateway_starves(concurrency: int, wanted: list[int], seed: int) -> None:
    chance = random.Random(seed)
    world = World(concurrency, len(wanted), HOSTS[:4])
    loads = dict(zip(world.gates, wanted, strict=True))
    for _ in range(60):
        world.serve(loads, chance)
    served: Counter[str] = Counter()
    for _ in range(60):
        served += world.serve(loads, chance)

    slots = concurrency * 4
    due = dues(loads, slots)
    busy = [name for name, load in loads.items() if load]
    assert set(served) == set(busy)
    assert sum(map(world.slots, loads)) == slots
    if sum(wanted) <= slots:
        assert all(world.gates[name].queued == 0 for name in loads)
    else:
        assert all(abs(world.slots(name) - due[name]) < len(loads) for name in busy if slots >= len(busy))
        assert all(world.slots(name) > 0 for name in busy if slots >= len(busy))


def test_a_single_slot_moves_among_all_gateways_that_wait() -> None:
    world = World(1, 3, HOSTS[:1])
    loads = dict.fromkeys(world.gates, 5)
    served: Counter[str] = Counter()
    for _ in range(200):
        served += world.serve(loads, random.Random(1))
    assert set(served) == set(loads)
    assert max(served.values()) < 2 * min(served.values())


def test_shares_stay_while_every_gateway_has_enough() -> None:
    chance = random.Random(4)
    world = World(2, 2, HOSTS[:4])
    loads = dict.fromkeys(world.gates, 1)
    world.serve(loads, chance)
    before = {name: dict(gate.shares) for name, gate in world.gates.items()}
    for _ in range(50):
        world.serve({name: chance.randint(0, 4) for name in loads}, chance)
    assert {name: gate.shares for name, gate in world.gates.items()} == before


def test_an_idle_gateway_gives_its_slots_to_one_that_needs_them_within_two_reports() -> None:
    world = World(1, 2, HOSTS[:4])
    world.round()
    assert [world.slots(name) for name in world.gates] == [2, 2]
    busy = next(iter(world.gates.values()))
    busy.queued = 4
    world.round()
    world.round()
    assert busy.queued == 0
    assert world.slots(busy.name) == 4


def test_a_slot_is_not_given_before_its_request_ends() -> None:
    world = World(1, 2, HOSTS[:1])
    world.round()
    first, second = sorted(world.gates.values(), key=lambda gate: -world.slots(gate.name))
    first.queued = second.queued = 1
    first.work()
    for _ in range(20):
        world.round()
    assert world.slots(first.name) == 0
    assert second.queued == 1

    first.end(HOSTS[0])
    world.round()
    assert second.running[HOSTS[0]] == 1


def test_a_disconnected_gateway_keeps_its_slots_until_its_process_has_ended() -> None:
    world = World(2, 2, HOSTS[:1])
    world.round()
    lost, other = world.gates.values()
    world.disconnect(lost)
    other.queued = 2
    for _ in range(20):
        world.round()
    assert (world.slots(lost.name), world.slots(other.name)) == (1, 1)

    world.shares.ended(lost.name)
    del world.gates[lost.name]
    world.round()
    assert world.slots(other.name) == 2


def test_no_gateway_gets_more_after_a_restart_before_all_have_reported() -> None:
    world = World(2, 2, HOSTS[:1])
    world.round()
    silent, other = world.gates.values()
    world.restart()
    world.connect(other)
    other.queued = 2
    other.report(world.now)
    world.receive(other)
    world.receive(other)
    world.decide()
    other.apply()
    assert world.slots(other.name) == 1
    assert world.shares.held(HOSTS[0]) == 3  # the most that they may use

    silent.report(world.now)
    world.receive(silent)
    world.decide()
    assert world.shares.held(HOSTS[0]) == 2


@pytest.mark.parametrize(
    ("loads", "slots", "due"),
    [
        ({"a": 0, "b": 0}, 8, {"a": 4, "b": 4}),
        ({"a": 6, "b": 0}, 8, {"a": 7, "b": 1}),
        ({"a": 30, "b": 10}, 8, {"a": 6, "b": 2}),
        ({"a": 100, "b": 1}, 8, {"a": 7, "b": 1}),
        ({"a": 100, "b": 1, "c": 0}, 8, {"a": 7, "b": 1, "c": 0}),
        ({"a": 5, "b": 5, "c": 0}, 1, {"a": 0.5, "b": 0.5, "c": 0}),
        ({"a": 5, "b": 0}, 0, {"a": 0, "b": 0}),
    ],
)
def test_dues_follow_the_load(loads: dict[str, int], slots: int, due: dict[str, float]) -> None:
    assert dues(loads, slots) == pytest.approx(due)


def test_slots_move_between_busy_gateways_at_a_limited_pace() -> None:
    world = World(1, 2, HOSTS[:4])
    chance = random.Random(7)
    moved, before = 0, 0
    for _ in range(100):
        world.serve({name: chance.randint(5, 40) for name in world.gates}, chance)
        slots = world.slots(next(iter(world.gates)))
        moved, before = moved + (slots != before), slots
    assert moved <= 100 * 0.1 / PACE + 1
