# SPDX-License-Identifier: Apache-2.0
"""`tidegate status`: the processes and parts of a Tidegate, its URLs, and its services."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tidegate.cli import columns, connection, failures, options, printing, urls
from tidegate.cli.connection import connected, run
from tidegate.cli.options import Output
from tidegate.kit.disk import readable
from tidegate.model import kinds, names, objects
from tidegate.model.conditions import condition, is_true
from tidegate.model.objects import Object
from tidegate.model.pods import is_created, is_frozen
from tidegate.settings import Settings

if TYPE_CHECKING:
    from tidegate.runfile import Endpoints, RunRecord


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """The state of one service. `instances`: the ready ones; `standby`: the frozen ones; `prepared`: prepared Pods."""

    namespace: str
    name: str
    ready: str
    reason: str
    instances: int
    standby: int
    prepared: int
    url: str


@click.command()
@options.output
@options.data_dir
def status(output: Output, data_dir: Path | None) -> None:
    """Show the state of control plane, gateway, API and services. Exits with 1 if Tidegate does not run, with 4 if a
    part fails or the disk is short of room."""
    from tidegate import home
    from tidegate.gateway.envoys import processes
    from tidegate.runfile import read_record

    settings = Settings(connection.home(data_dir))
    record, process = read_record(settings), home.holder(settings)
    if record is None or process is None:
        raise connection.not_running(settings.home)
    services, health = run(_read(data_dir, record.endpoints))
    gateways = [process.pid for process in processes.serving(settings.gateway)]
    if output is Output.JSON:
        click.echo(printing.json_text(_json(settings, record, process.pid, gateways, services, health)))
    else:
        for line in _lines(settings, record, process.pid, gateways, services, health):
            click.echo(line)
    if _failing(health) or _disk(health).get("short") or not gateways:
        click.get_current_context().exit(failures.UNHEALTHY)


async def _read(data_dir: Path | None, endpoints: "Endpoints") -> tuple[list[ServiceStatus], Object]:
    """The services, and the health that the control plane reports."""
    async with connected(data_dir) as cluster:
        services = await cluster.list(kinds.SERVICE)
        items = (await cluster.list(kinds.POD, labels=names.SERVICE)).items
        health = await cluster.statusz()
    ready, standby, prepared = (
        Counter((objects.key(pod).namespace, objects.labels(pod)[names.SERVICE]) for pod in items if counts(pod))
        for counts in (is_true, is_frozen, is_created)
    )
    lives = []
    for service in services.items:
        key, state = objects.key(service), condition(service, "Ready")
        url = urls.with_port(str(objects.status(service).get("url") or ""), endpoints)
        counts = ready[key], standby[key], prepared[key]
        lives.append(ServiceStatus(*key, state["status"], state.get("reason", ""), *counts, url))
    return lives, health


def _parts(health: Object) -> Sequence[Object]:
    return list(health.get("parts") or ())


def _disk(health: Object) -> Object:
    return dict(health.get("disk") or {})


def _failing(health: Object) -> Sequence[Object]:
    return [part for part in _parts(health) if part["state"] != "running"]


def _json(
    settings: Settings,
    record: "RunRecord",
    pid: int,
    gateways: Sequence[int],
    services: Sequence[ServiceStatus],
    health: Object,
) -> Object:
    return {
        "home": str(settings.home),
        "kubeconfig": str(settings.kubeconfig),
        "process": {"pid": pid},
        "gateway": {"pid": next(iter(gateways), None), "pids": gateways},
        "urls": asdict(record.endpoints),
        "services": [asdict(service) for service in services],
        "parts": _parts(health),
        "disk": _disk(health),
    }


def _lines(
    settings: Settings,
    record: "RunRecord",
    pid: int,
    gateways: Sequence[int],
    services: Sequence[ServiceStatus],
    health: Object,
) -> Iterator[str]:
    """The lines to print. Names and URLs are never cut: a terminal wraps lines, and a pipe needs them whole."""
    yield from columns.aligned(
        [
            ("control plane", f"process {pid}", str(settings.home)),
            (
                "gateway",
                ", ".join(f"process {pid}" for pid in gateways) or "down",
                f"{record.endpoints.http}  {record.endpoints.https}",
            ),
            ("internal", "", record.endpoints.internal),
            ("API", "answers", record.endpoints.api),
            *_health_rows(health),
        ]
    )
    yield from _failures(health)
    yield ""
    if services:
        yield from columns.aligned([("NAMESPACE", "SERVICE", "READY", "INSTANCES", "URL"), *map(_row, services)])
    else:
        yield "no services yet: deploy one with `tidegate deploy DIR --name NAME`"


def _health_rows(health: Object) -> Iterator[tuple[str, str, str]]:
    parts, disk = _parts(health), _disk(health)
    if parts:
        restarts = sum(part["restarts"] for part in parts)
        running = f"{len(parts) - len(_failing(health))} of {len(parts)} run"
        yield "parts", running, f"restarted {restarts} times" if restarts else ""
    if disk:
        largest = sorted(disk["used"].items(), key=lambda each: -each[1])[:3]
        used = ", ".join(f"{place} {readable(size)}" for place, size in largest)
        total = readable(sum(disk["used"].values()))
        state = "short of room" if disk["short"] else f"{readable(disk['free'])} free"
        yield "disk", state, f"{total} used ({used})" if used else ""


def _failures(health: Object) -> Iterator[str]:
    """The parts that fail now or have failed before."""
    rows = [
        (part["name"], part["state"], part["since"], str(part["restarts"]), part["lastError"])
        for part in _parts(health)
        if part["state"] != "running" or part["lastError"]
    ]
    if rows:
        yield ""
        yield from columns.aligned([("PART", "STATE", "SINCE", "RESTARTS", "LAST ERROR"), *rows])


def _row(service: ServiceStatus) -> tuple[str, ...]:
    waiting = ((service.standby, "frozen"), (service.prepared, "prepared"))
    instances = " + ".join([str(service.instances), *(f"{count} {state}" for count, state in waiting if count)])
    return service.namespace, service.name, f"{service.ready} {service.reason}".strip(), instances, service.url
