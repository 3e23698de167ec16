# SPDX-License-Identifier: Apache-2.0
"""The gate's reports to the control plane: contents and times."""

import asyncio
import itertools
import time
from pathlib import Path

from harness.gate import Answer, Client, Gateway, JsonObject, get, instances

ONE_AT_A_TIME = {"containerConcurrency": 1}


async def test_a_report_has_counters_integrals_and_hosts(tmp_path: Path) -> None:
    async with Gateway(tmp_path, {"hello": ONE_AT_A_TIME}).running() as gateway, instances(1) as apps:
        gateway.set_hosts("hello", apps)
        began = time.monotonic()
        await asyncio.gather(*[get(gateway, "hello", "/work/0.05") for _ in range(4)])
        await get(gateway, "hello", "/status/404")

        report = await gateway.reports.until_of("hello", lambda report: sum(report["responses"].values()) == 5)
        took = time.monotonic() - began
        assert report["requests"] == 5
        assert report["responses"] == {"200": 4, "404": 1}
        assert report["hosts"] == {apps[0].address: 0}
        assert 0.05 * (1 + 2 + 3 + 4) <= report["concurrencySeconds"] <= 4 * took
        assert 0.05 * (1 + 2 + 3) <= report["queueSeconds"] < report["concurrencySeconds"]
        whole, of_app = report["requestLatency"], report["appRequestLatency"]
        assert sum(whole["within"].values()) == sum(of_app["within"].values()) == 5
        assert 0.05 * 4 <= of_app["seconds"] <= whole["seconds"] - report["queueSeconds"] + 0.01
        assert whole["seconds"] <= report["concurrencySeconds"] + 1e-5
        packet = gateway.reports.packets[-1]
        assert packet["gateway"].startswith(f"{gateway.process.pid}-")
        assert began <= packet["time"] <= packet["heard"]


async def test_an_active_revision_is_reported_ten_times_a_second(tmp_path: Path) -> None:
    async with Gateway(tmp_path, {"hello": {}}).running() as gateway, instances(1) as apps:
        gateway.set_hosts("hello", apps)
        async with Client(gateway.port, "hello") as client:
            client.send("/hold")
            await gateway.reports.until_of("hello", lambda report: report["inFlight"] == 1)
            gateway.reports.packets.clear()
            # A busy machine can delay single reports, so this waits for a period that it did not disturb.
            await gateway.reports.until(lambda: any(0.095 < period < 0.11 for period in periods(gateway)))


def periods(gateway: Gateway) -> list[float]:
    """Seconds between reports, by the gate's own clock."""
    times = [packet["time"] for packet in gateway.reports.packets]
    return [after - before for before, after in itertools.pairwise(times)]


async def test_an_envoy_that_restarts_counts_from_zero_under_another_name(tmp_path: Path) -> None:
    reports: list[tuple[str, JsonObject]] = []
    for _ in range(2):
        async with Gateway(tmp_path, {"hello": {}}).running() as gateway, instances(1) as apps:
            gateway.set_hosts("hello", apps)
            await get(gateway, "hello")
            report = await gateway.reports.until_of("hello", lambda report: report["responses"] == {"200": 1})
            reports.append((gateway.reports.packets[-1]["gateway"], report))

    assert [report["requests"] for _, report in reports] == [1, 1]
    assert reports[0][0] != reports[1][0]


async def test_an_idle_gate_sends_no_report_and_its_reporter_sleeps(tmp_path: Path) -> None:
    async with Gateway(tmp_path, {"hello": {}}).running() as gateway, instances(1) as apps:
        gateway.set_hosts("hello", apps)
        await get(gateway, "hello")
        await gateway.reports.until_of("hello", lambda report: report["responses"] == {"200": 1})
        reports = gateway.reports.count

        async with asyncio.timeout(20):
            while await wakeups_within_three_periods(gateway):
                pass

        assert gateway.reports.count == reports, list(gateway.reports.packets)


async def wakeups_within_three_periods(gateway: Gateway) -> int:
    """How often the reporter's thread woke up. The absence of a report and of a wakeup has no event to await."""
    before = wakeups(gateway.process.pid)
    await asyncio.sleep(0.35)
    return wakeups(gateway.process.pid) - before


def wakeups(pid: int) -> int:
    """How often the reporter's thread went to sleep so far."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        if (task / "comm").read_text().strip() == "gate":
            status = (task / "status").read_text()
            return int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])
    raise AssertionError("Envoy has no thread named gate")


async def test_a_reader_that_connects_again_gets_a_report_of_every_revision(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, {"hello": {}, "other": {}})
    async with gateway.running(), instances(1) as apps:
        gateway.set_hosts("hello", apps)
        await get(gateway, "hello")
        await gateway.reports.until_of("hello", lambda report: report["responses"] == {"200": 1})
        gateway.reports.latest.clear()

        await gateway.restart_reports()

        await gateway.reports.until_of("other", lambda report: report["requests"] == 0)
        await gateway.reports.until_of("hello", lambda report: report["requests"] == 1)


async def test_a_deleted_instance_is_listed_until_its_last_request_ends(tmp_path: Path) -> None:
    async with Gateway(tmp_path, {"hello": {}}).running() as gateway, instances(2) as (leaving, staying):
        gateway.set_hosts("hello", [leaving])
        async with Client(gateway.port, "hello") as client:
            client.send("/hold")
            await gateway.reports.until_of("hello", lambda report: report["hosts"] == {leaving.address: 1})
            gateway.set_hosts("hello", [staying])
            await gateway.reports.until_of("hello", lambda report: staying.address in report["hosts"])
            assert (await get(gateway, "hello")).body == staying.address
            leaving.release()
            assert (await client.answer()).body == "ok end"
        await gateway.reports.until_of("hello", lambda report: report["hosts"] == {staying.address: 0})
        assert leaving.served == 1


async def test_a_draining_instance_gets_no_new_requests_and_ends_its_running_ones(tmp_path: Path) -> None:
    async with Gateway(tmp_path, {"hello": {}}).running() as gateway, instances(1) as apps:
        gateway.set_hosts("hello", apps)
        async with Client(gateway.port, "hello") as client:
            client.send("/hold")
            await gateway.reports.until_of("hello", lambda report: report["hosts"] == {apps[0].address: 1})
            gateway.set_hosts("hello", apps, health="DRAINING")
            waiting = await first_waiting(gateway, "hello")
            apps[0].release()
            assert (await client.answer()).body == "ok end"
        await gateway.reports.until_of("hello", lambda report: report["hosts"] == {})
        gateway.set_hosts("hello", apps)
        assert (await waiting).status == 200


async def first_waiting(gateway: Gateway, name: str) -> asyncio.Task[Answer]:
    """A request in the queue. Envoy's workers learn later that an instance drains, so the first requests may still get
    their answers."""
    queued = asyncio.create_task(gateway.reports.until_of(name, lambda report: report["queued"] == 1))
    while True:
        request = asyncio.create_task(get(gateway, name))
        await asyncio.wait({queued, request}, return_when=asyncio.FIRST_COMPLETED)
        if queued.done():
            await queued
            return request


async def test_a_replaced_cluster_keeps_its_slots_and_counters(tmp_path: Path) -> None:
    async with Gateway(tmp_path, {"hello": ONE_AT_A_TIME}).running() as gateway, instances(1) as apps:
        gateway.set_hosts("hello", apps)
        async with Client(gateway.port, "hello") as client:
            client.send("/hold")
            await gateway.reports.until_of("hello", lambda report: report["inFlight"] == 1)
            gateway.set_clusters({"hello": {"containerConcurrency": 1, "queueLength": 1}})
            await gateway.until_logged("added/updated 1 cluster(s) (skipped 0 unmodified cluster(s))")
            waiting = asyncio.create_task(get(gateway, "hello"))
            report = await gateway.reports.until_of("hello", lambda report: report["queued"] == 1)
            assert report["requests"] == 2
            apps[0].release()
            assert (await client.answer()).status == 200
        assert (await waiting).status == 200
        assert apps[0].most == 1


async def test_a_deleted_cluster_refuses_its_waiting_requests_and_is_no_longer_reported(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, {"hello": {}, "other": {}})
    async with gateway.running():
        waiting = asyncio.create_task(get(gateway, "hello"))
        await gateway.reports.until_of("hello", lambda report: report["queued"] == 1)

        gateway.set_clusters({"other": {}})

        answer = await waiting
        assert (answer.status, answer.reason) == (503, "RevisionRemoved")
        await gateway.reports.until_of("hello", lambda report: report["refused"] == {"removed": 1})
        gateway.reports.latest.clear()
        await gateway.restart_reports()
        await gateway.reports.until_of("other", lambda report: True)
        assert "default/hello" not in gateway.reports.latest
