# SPDX-License-Identifier: Apache-2.0
"""Containers beside processes, in one run: the cold start of the same program as a process, as a prepared container and
as a container that is not prepared; waking a frozen container; 20 containers at once; the memory of a prepared one; and
what 1,000 starts and stops leave on this host.

Takes root, runc or crun, conmon, skopeo and a C compiler with a static libc.
"""

import asyncio
import os
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from bench.coldstart import bare_start, first_byte
from bench.standby import STANDBY, after_a_pause, stand_by
from bench.table import Figures, percentile
from bench.world import ASLEEP, build_app, fast_service, running
from harness import images, oci
from harness.platform import Platform, eventually, service
from tidegate.model.objects import Object
from tidegate.node.runtimes.oci.control_groups import ControlGroups
from tidegate.node.runtimes.oci.folders import ContainerFolder, Folders

STARTS = 30
AT_ONCE = 20
LEAK_STARTS, LEAK_AT_ONCE = 1000, 10
PAUSE = 1.5
"""Seconds between two starts: the next Pod of a revision is prepared meanwhile."""

UNPREPARED = ASLEEP | {"tidegate.dev/prepared": "0"}


async def measure(platform: Platform, app: Path) -> Figures:
    image = load_image(platform, app)
    kinds = {
        "process": [fast_service(f"process-{number:02}", app, annotations=ASLEEP) for number in range(STARTS)],
        "prepared": [contained(f"prepared-{number:02}", image, ASLEEP) for number in range(STARTS)],
        "unprepared": [contained(f"unprepared-{number:02}", image, UNPREPARED) for number in range(STARTS)],
        "frozen": [contained(f"frozen-{number:02}", image, STANDBY) for number in range(AT_ONCE)],
        "warm process": [fast_service(f"standby-{number:02}", app, annotations=STANDBY) for number in range(AT_ONCE)],
        "burst": [contained(f"burst-{number:02}", image, UNPREPARED) for number in range(AT_ONCE)],
    }
    for services in kinds.values():
        platform.apply(*services)
        for each in services:
            platform.wait_ready(each["metadata"]["name"])
    await eventually(lambda: len(prepared_containers(platform)) >= STARTS, "all to be prepared")
    await eventually(lambda: stand_by(platform) == 2 * AT_ONCE, "all to be frozen")
    bare = percentile([bare_start(app).listening for _ in range(STARTS)], 50)
    memory = [memory_of(folder) for folder in prepared_containers(platform)[:AT_ONCE]]
    port = urlsplit(platform.gateway).port or 80
    took = {
        kind: [await after_a_pause(port, each["metadata"]["name"], PAUSE) - bare for each in services]
        for kind, services in kinds.items()
        if kind != "burst"
    }
    began = time.perf_counter()
    await asyncio.gather(*(first_byte(port, each["metadata"]["name"]) for each in kinds["burst"]))
    at_once = time.perf_counter() - began

    figures = Figures(f"containers, over {STARTS} starts, less the bare process's own time ({bare * 1000:.2g} ms)")
    process, prepared = (percentile(took[kind], 50) * 1000 for kind in ("process", "prepared"))
    figures.add("process, cold start, p50", process, "ms")
    figures.add("process, cold start, p99", percentile(took["process"], 99) * 1000, "ms")
    figures.add("prepared container, p50", prepared, "ms", most=10)
    figures.add("prepared container, p50, more than the process", prepared - process, "ms", most=3)
    figures.add("prepared container, p99", percentile(took["prepared"], 99) * 1000, "ms", most=40)
    figures.add("container that is not prepared, p50", percentile(took["unprepared"], 50) * 1000, "ms", most=80)
    figures.add("container that is not prepared, p99", percentile(took["unprepared"], 99) * 1000, "ms")
    frozen, warm = (percentile(took[kind], 50) * 1000 for kind in ("frozen", "warm process"))
    figures.add("frozen process, p50", warm, "ms")
    figures.add("frozen container, p50, more than the process", frozen - warm, "ms", most=5)
    figures.add(f"{AT_ONCE} containers at once", at_once, "s", most=1.5)
    figures.add("memory of a prepared container, p50", percentile(memory, 50) / 2**20, "MiB", most=4)
    return figures


def load_image(platform: Platform, app: Path) -> str:
    """An image with nothing but the program; its name."""
    layout = images.build(app.parent / "image", "bench:v1", [images.Entry("app", app.read_bytes())])
    return images.load(platform.home, layout)


def contained(name: str, image: str, annotations: dict[str, str]) -> Object:
    obj = service(name, annotations=annotations)
    container = obj["spec"]["template"]["spec"]["containers"][0]
    container.pop("command", None)
    container["image"] = image
    return obj


def prepared_containers(platform: Platform) -> list[ContainerFolder]:
    folders = Folders(platform.home / "oci")
    found = [(folder, folder.record()) for pod in folders.known_pods() for folder in folders.of(pod)]
    return [folder for folder, record in found if record is not None and not record.started]


def memory_of(folder: ContainerFolder) -> int:
    """The bytes of a container before its start: its control group's, and conmon's own."""
    record, used = folder.record(), ControlGroups().usage(folder.id)
    assert record is not None
    assert used is not None
    status = Path(f"/proc/{record.monitor.pid}/status").read_text()
    anonymous = next(line.split()[1] for line in status.splitlines() if line.startswith("RssAnon:"))
    return used.memory_bytes + int(anonymous) * 1024


async def leaks(folder: Path) -> Figures:
    """The traces of many starts and stops."""
    world = oci.world(folder)
    await one_round(world)
    before = traces_of(folder)
    for _ in range(LEAK_STARTS // LEAK_AT_ONCE):
        await one_round(world)
    after = traces_of(folder)
    figures = Figures("leaks")
    for what in before:
        figures.add(f"left after {LEAK_STARTS} starts: {what}", after[what] - before[what], most=0)
    return figures


async def one_round(world: oci.OciWorld) -> None:
    pods = [oci.pod(oci.shell("exit 0")) for _ in range(LEAK_AT_ONCE)]
    runs = [await created.start() for created in await asyncio.gather(*map(world.create, pods))]
    await asyncio.gather(*(running.kill() for running in runs))
    await asyncio.gather(*(world.runtime.forget(pod["metadata"]["uid"]) for pod in pods))


def traces_of(folder: Path) -> dict[str, int]:
    """Counts of everything that a container may leave."""
    mounts = Path("/proc/self/mountinfo").read_text().count(f" {folder}/")
    trees = [tree / "tidegate" for tree in Path("/sys/fs/cgroup").iterdir() if (tree / "tidegate").is_dir()]
    groups = sum(name.startswith("test-") for tree in trees for name in os.listdir(tree))  # noqa: PTH208
    named = [process for process in psutil.process_iter(["cmdline"]) if str(folder) in str(process.info["cmdline"])]
    files = sum(1 for path in (folder / "oci").rglob("*"))
    return {"mounts": mounts, "control groups": groups, "processes": len(named), "files": files} | {
        "open files": len(list(Path("/proc/self/fd").iterdir())),
    }


def main() -> Figures:
    with running() as (platform, app):
        build_app(app.parent, "-static")
        figures = asyncio.run(measure(platform, app))
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder:
        left = asyncio.run(leaks(Path(folder)))
    figures.rows += left.rows
    return figures


if __name__ == "__main__":
    main().show()
