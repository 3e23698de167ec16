# SPDX-License-Identifier: Apache-2.0
"""How revisions are scaled now, and the last decisions with their numbers and reasons.

In: the PodAutoscalers of a Service's revisions, or of one Revision. Out: a few lines for each, or the objects as JSON.
Called by: `tidegate explain`. It shows decisions of any class: a number without a phrase here is shown with its field.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from string import Formatter
from typing import Any

import click
from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from tidegate.autoscaler import bounds
from tidegate.cli import printing
from tidegate.cli.connection import connected, run
from tidegate.cli.failures import CommandFailure
from tidegate.cli.options import Output
from tidegate.client.cluster import Cluster
from tidegate.model import errors, kinds, names, objects
from tidegate.model.conditions import condition, is_false
from tidegate.model.config import Configs
from tidegate.model.objects import Key, Object

_WIDE = 100_000
"""Width for a pipe, in columns; no line is cut or wrapped."""

_PHRASES = (
    "{ready} ready",
    "stable window {stable} wants {stableWants}",
    "panic window {panic} wants {panicWants}",
    "target {target}",
    "rates allow {least} to {most}",
    "burst capacity left {excessBurstCapacity}",
)
_SHOWN_ELSEWHERE = ("time", "scale", "desired", "reason", "inPanic")


@dataclass(frozen=True, slots=True)
class Scaling:
    """One revision and its PodAutoscaler. `part`: its share of the service; "" if the user named a revision."""

    revision: str
    part: str
    pod_autoscaler: Object | None


def show(key: Key, output: Output, data_dir: Path | None) -> None:
    """Print the state of a service's autoscalers, or of one revision's, and their last decisions."""
    found, configs = run(_read(key, data_dir))
    if output is Output.JSON:
        items = [scaling.pod_autoscaler for scaling in found if scaling.pod_autoscaler is not None]
        listing = {"apiVersion": "v1", "kind": "List", "items": items}
        click.echo(printing.json_text(listing))
    else:
        _print(found, configs)


async def _read(key: Key, data_dir: Path | None) -> tuple[list[Scaling], Configs]:
    async with connected(data_dir) as cluster:
        parts = await _parts(cluster, key)
        found = [
            Scaling(revision, part, await _if_there(cluster, kinds.POD_AUTOSCALER, Key(key.namespace, revision)))
            for revision, part in parts.items()
        ]
        maps = await cluster.list(kinds.CONFIG_MAP, names.SYSTEM_NAMESPACE)
    return found, Configs.parse({objects.key(entry).name: entry.get("data") or {} for entry in maps.items})


async def _parts(cluster: Cluster, key: Key) -> Mapping[str, str]:
    """The revisions that a name stands for, each with its part in the service."""
    service = await _if_there(cluster, kinds.SERVICE, key)
    if service is not None:
        parts = parts_of(service)
        if not parts:
            raise CommandFailure(f"{key.name} has no revision yet")
        return parts
    if await _if_there(cluster, kinds.REVISION, key) is None:
        raise CommandFailure(f"there is neither a service nor a revision {key.name} in the namespace {key.namespace}")
    return {key.name: ""}


async def _if_there(cluster: Cluster, kind: kinds.Kind, key: Key) -> Object | None:
    try:
        return await cluster.get(kind, key)
    except errors.NotFound:
        return None


def parts_of(service: Object) -> dict[str, str]:
    """The revisions with traffic, and the newest one: the share and the tags of each."""
    status, name = objects.status(service), objects.key(service).name
    percents: dict[str, int] = {}
    tags: dict[str, list[str]] = {}
    for target in status.get("traffic") or ():
        revision = target["revisionName"]
        percents[revision] = percents.get(revision, 0) + int(target.get("percent") or 0)
        tags.setdefault(revision, []).extend(f"tag {tag}" for tag in (target.get("tag"),) if tag)
    if latest := status.get("latestCreatedRevisionName"):
        percents.setdefault(latest, 0)
    return {
        revision: ", ".join([f"{percent}% of {name}", *tags.get(revision, ())])
        for revision, percent in percents.items()
    }


def moves(decisions: Sequence[Object]) -> Iterator[str]:
    """The change of scale of each decision. The scale before the oldest one is unknown."""
    for decision, before in zip_longest(decisions, decisions[1:]):
        yield f"{before['scale']} → {decision['scale']}" if before else f"→ {decision['scale']}"


def numbers(decision: Mapping[str, Any]) -> str:
    """The numbers of a decision, in a line."""
    texts = {name: _text(value) for name, value in decision.items() if name not in _SHOWN_ELSEWHERE}
    phrases = []
    for phrase in _PHRASES:
        fields = {field for _, field, _, _ in Formatter().parse(phrase) if field}
        if fields <= texts.keys():
            phrases.append(phrase.format_map(texts))
            texts = {name: text for name, text in texts.items() if name not in fields}
    if decision.get("inPanic"):
        phrases.append("in panic")
    return ", ".join([*phrases, *(f"{name} {text}" for name, text in texts.items())])


def _text(value: Any) -> str:
    """A value; a number with at most three decimals."""
    return f"{value:.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def _print(found: Sequence[Scaling], configs: Configs) -> None:
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = _WIDE
    for number, scaling in enumerate(found):
        if number:
            console.print()
        console.print(f"{scaling.revision}  {scaling.part}".rstrip(), style="bold", soft_wrap=True)
        if scaling.pod_autoscaler is None:
            console.print("  it has no autoscaler yet")
            continue
        console.print(Padding.indent(_state(scaling.pod_autoscaler, configs), 2))
        console.print()
        if decisions := objects.status(scaling.pod_autoscaler).get("decisions"):
            console.print(Padding.indent(_decisions(decisions), 2))
        else:
            console.print("  no decision has changed its scale yet")


def _state(pod_autoscaler: Object, configs: Configs) -> Table:
    status, limits = objects.status(pod_autoscaler), bounds.bounds_of(pod_autoscaler, configs)
    state = Table.grid(padding=(0, 3, 0, 0))
    state.add_row("class", bounds.class_of(pod_autoscaler, configs))
    state.add_row("instances", f"{status.get('desiredScale', 'none')} wanted, {status.get('actualScale', 0)} ready")
    state.add_row("bounds", f"at least {limits.least}, at most {limits.most or 'unlimited'}")
    state.add_row("active", _condition(condition(pod_autoscaler, "Active")))
    if is_false(pod_autoscaler, "ScalingActive"):
        state.add_row("scaling", _condition(condition(pod_autoscaler, "ScalingActive")))
    return state


def _condition(found: Object) -> str:
    since = f" since {found['lastTransitionTime']}" if found.get("lastTransitionTime") else ""
    reason = ": ".join(text for text in (found.get("reason"), found.get("message")) if text)
    return f"{found['status']}{since}" + (f" ({reason})" if reason else "")


def _decisions(decisions: Sequence[Object]) -> Table:
    table = Table("decided", "instances", "why", box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    for decision, move in zip(decisions, moves(decisions), strict=True):
        table.add_row(decision["time"], move, "\n".join(filter(None, (decision.get("reason"), numbers(decision)))))
    return table
