# SPDX-License-Identifier: Apache-2.0
"""`tidegate status`: what of a Tidegate runs, where it is reached, and how its services are."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tidegate.cli import connection, urls
from tidegate.cli.connection import connected, run
from tidegate.cli.options import DataDir
from tidegate.config import Settings
from tidegate.model import kinds, names, objects
from tidegate.model.conditions import condition, is_true
from tidegate.model.objects import Object
from tidegate.model.pods import is_frozen
from tidegate.record import Endpoints, Record, read_record

_STYLES = {"True": "green", "False": "red"}


class Output(StrEnum):
    TABLE = "table"
    JSON = "json"


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


def status(
    output: Annotated[Output, typer.Option("--output", "-o", help="How to print.")] = Output.TABLE,
    data_dir: DataDir = None,
) -> None:
    """Show what runs: control plane, gateway, API, and every service. Exits with 1 when Tidegate does not run."""
    settings = Settings(connection.home(data_dir))
    record = read_record(settings)
    if record is None or not record.alive:
        raise connection.not_running(settings.home)
    services = run(_services(data_dir, record.endpoints))
    if output is Output.JSON:
        typer.echo(msgspec.json.format(msgspec.json.encode(_json(settings, record, services)), indent=2).decode())
    else:
        _print(settings, record, services)


async def _services(data_dir: Path | None, endpoints: Endpoints) -> list[Life]:
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


def _json(settings: Settings, record: Record, services: Sequence[Life]) -> Object:
    return {
        "home": str(settings.home),
        "kubeconfig": str(settings.kubeconfig),
        "process": {"pid": record.pid},
        "gateway": {"pid": next(iter(record.gateway_pids), None), "pids": record.gateway_pids},
        "urls": asdict(record.endpoints),
        "services": [asdict(service) for service in services],
    }


def _print(settings: Settings, record: Record, services: Sequence[Life]) -> None:
    console = Console(highlight=False)
    gateways = [f"process {pid}" for pid in record.gateway_pids]
    parts = Table.grid(padding=(0, 2))
    for part, state, where in (
        ("control plane", f"process {record.pid}", str(settings.home)),
        ("gateway", ", ".join(gateways) or "down", f"{record.endpoints.http}  {record.endpoints.https}"),
        ("internal", "", record.endpoints.internal),
        ("API", "answers", record.endpoints.api),
    ):
        parts.add_row(part, state, where)
    console.print(parts)
    if not services:
        console.print("\nno services yet: deploy one with `tidegate deploy DIR --name NAME`")
        return
    table = Table(
        "namespace", "service", "ready", "instances", "url", box=None, padding=(0, 2, 0, 0), header_style="bold"
    )
    for life in services:
        ready = Text(f"{life.ready} {life.reason}".strip(), style=_STYLES.get(life.ready, "yellow"))
        instances = f"{life.instances} + {life.standby} frozen" if life.standby else str(life.instances)
        table.add_row(life.namespace, life.name, ready, instances, life.url)
    console.print()
    console.print(table)
