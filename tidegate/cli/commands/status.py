# SPDX-License-Identifier: Apache-2.0
"""`tidegate status`: what of a Tidegate runs, where it is reached, and how its services are."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tidegate.cli import columns, connection, options, printing, urls
from tidegate.cli.connection import connected, run
from tidegate.cli.options import Output
from tidegate.config import Settings
from tidegate.model import kinds, names, objects
from tidegate.model.conditions import condition, is_true
from tidegate.model.objects import Object
from tidegate.model.pods import is_frozen

if TYPE_CHECKING:
    from tidegate.record import Endpoints, Record


@dataclass(frozen=True, slots=True)
class Life:
    """How one service is."""

    namespace: str
    name: str
    ready: str
    reason: str
    instances: int
    standby: int
    url: str


@click.command()
@options.output
@options.data_dir
def status(output: Output, data_dir: Path | None) -> None:
    """Show what runs: control plane, gateway, API, and every service. Exits with 1 when Tidegate does not run."""
    from tidegate.gateway import envoy
    from tidegate.record import read_record

    settings = Settings(connection.home(data_dir))
    record = read_record(settings)
    if record is None or not record.alive:
        raise connection.not_running(settings.home)
    services = run(_services(data_dir, record.endpoints))
    gateways = [each.process.pid for each in envoy.living(settings.gateway)]
    if output is Output.JSON:
        click.echo(printing.json_text(_json(settings, record, gateways, services)))
    else:
        for line in _lines(settings, record, gateways, services):
            click.echo(line)


async def _services(data_dir: Path | None, endpoints: "Endpoints") -> list[Life]:
    async with connected(data_dir) as cluster:
        services = await cluster.list(kinds.SERVICE)
        items = (await cluster.list(kinds.POD, labels=names.SERVICE)).items
    ready, standby = (
        Counter((objects.key(pod).namespace, objects.labels(pod)[names.SERVICE]) for pod in items if counts(pod))
        for counts in (is_true, is_frozen)
    )
    lives = []
    for service in services.items:
        key, state = objects.key(service), condition(service, "Ready")
        url = urls.with_port(str(objects.status(service).get("url") or ""), endpoints)
        lives.append(Life(*key, state["status"], state.get("reason", ""), ready[key], standby[key], url))
    return lives


def _json(settings: Settings, record: "Record", gateways: Sequence[int], services: Sequence[Life]) -> Object:
    return {
        "home": str(settings.home),
        "kubeconfig": str(settings.kubeconfig),
        "process": {"pid": record.pid},
        "gateway": {"pid": next(iter(gateways), None), "pids": gateways},
        "urls": asdict(record.endpoints),
        "services": [asdict(service) for service in services],
    }


def _lines(settings: Settings, record: "Record", gateways: Sequence[int], services: Sequence[Life]) -> Iterator[str]:
    """Names and URLs as they are, however wide: a terminal breaks lines, and a pipe needs them whole."""
    yield from columns.aligned(
        [
            ("control plane", f"process {record.pid}", str(settings.home)),
            (
                "gateway",
                ", ".join(f"process {pid}" for pid in gateways) or "down",
                f"{record.endpoints.http}  {record.endpoints.https}",
            ),
            ("internal", "", record.endpoints.internal),
            ("API", "answers", record.endpoints.api),
        ]
    )
    yield ""
    if services:
        yield from columns.aligned([("NAMESPACE", "SERVICE", "READY", "INSTANCES", "URL"), *map(_row, services)])
    else:
        yield "no services yet: deploy one with `tidegate deploy DIR --name NAME`"


def _row(life: Life) -> tuple[str, ...]:
    instances = f"{life.instances} + {life.standby} frozen" if life.standby else str(life.instances)
    return life.namespace, life.name, f"{life.ready} {life.reason}".strip(), instances, life.url
