# SPDX-License-Identifier: Apache-2.0
"""How a revision is scaled now, and the last decisions in numbers with their reasons: `tidegate explain`.

In: the PodAutoscalers of a Service's revisions, or of one Revision, as the autoscaler wrote them. Out: a few lines for
each, or the objects as JSON. Decisions of any class can be shown: a number that has no phrase here goes by its name.
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
from tidegate.cli.options import Output
from tidegate.cli.problems import Problem
from tidegate.client.cluster import Cluster
from tidegate.model import errors, kinds, names, objects
from tidegate.model.conditions import condition, is_false
from tidegate.model.config import Configs
from tidegate.model.objects import Key, Object

_WIDE = 100_000
"""Columns of a pipe: nothing is cut or broken there."""

_PHRASES = (
    "{ready} ready",
    "stable window {stable} wants {stableWants}",
    "panic window {panic} wants {panicWants}",
    "target {target}",
    "rates allow {least} to {most}",
    "burst capacity left {excessBurstCapacity}",
)
_TOLD_ELSEWHERE = ("time", "scale", "desired", "reason", "inPanic")


@dataclass(frozen=True, slots=True)
class Scaling:
    """One revision, its part in the service that was asked for ("" where a revision was), and what scales it."""

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
    """The revisions that a name means, each with its part in the service."""
    service = await _if_there(cluster, kinds.SERVICE, key)
    if service is not None:
        parts = parts_of(service)
        if not parts:
            raise Problem(f"{key.name} has no revision yet")
        return parts
    if await _if_there(cluster, kinds.REVISION, key) is None:
        raise Problem(f"there is neither a service nor a revision {key.name} in the namespace {key.namespace}")
    return {key.name: ""}


async def _if_there(cluster: Cluster, kind: kinds.Kind, key: Key) -> Object | None:
    try:
        return await cluster.get(kind, key)
    except errors.NotFound:
        return None


def parts_of(service: Object) -> dict[str, str]:
    """The revisions that a service's traffic leads to, and the one that was made last, with what each is given."""
    told, name = objects.status(service), objects.key(service).name
    percents: dict[str, int] = {}
    tags: dict[str, list[str]] = {}
    for target in told.get("traffic") or ():
        revision = target["revisionName"]
        percents[revision] = percents.get(revision, 0) + int(target.get("percent") or 0)
        tags.setdefault(revision, []).extend(f"tag {tag}" for tag in (target.get("tag"),) if tag)
    if latest := told.get("latestCreatedRevisionName"):
        percents.setdefault(latest, 0)
    return {
        revision: ", ".join([f"{percent}% of {name}", *tags.get(revision, ())])
        for revision, percent in percents.items()
    }


def moves(decisions: Sequence[Object]) -> Iterator[str]:
    """From how many instances to how many each decision led; what was before the oldest is not kept."""
    for decision, before in zip_longest(decisions, decisions[1:]):
        yield f"{before['scale']} → {decision['scale']}" if before else f"→ {decision['scale']}"


def numbers(decision: Mapping[str, Any]) -> str:
    """What led to a decision, in a line."""
    texts = {name: _text(value) for name, value in decision.items() if name not in _TOLD_ELSEWHERE}
    told = []
    for phrase in _PHRASES:
        fields = {field for _, field, _, _ in Formatter().parse(phrase) if field}
        if fields <= texts.keys():
            told.append(phrase.format_map(texts))
            texts = {name: text for name, text in texts.items() if name not in fields}
    if decision.get("inPanic"):
        told.append("in panic")
    return ", ".join([*told, *(f"{name} {text}" for name, text in texts.items())])


def _text(value: Any) -> str:
    """A number with no more digits than help."""
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
            console.print("  nothing scales it yet")
            continue
        console.print(Padding.indent(_state(scaling.pod_autoscaler, configs), 2))
        console.print()
        if decisions := objects.status(scaling.pod_autoscaler).get("decisions"):
            console.print(Padding.indent(_decisions(decisions), 2))
        else:
            console.print("  no decision has changed its scale yet")


def _state(pod_autoscaler: Object, configs: Configs) -> Table:
    told, held = objects.status(pod_autoscaler), bounds.bounds_of(pod_autoscaler, configs)
    state = Table.grid(padding=(0, 3, 0, 0))
    state.add_row("class", bounds.class_of(pod_autoscaler, configs))
    state.add_row("instances", f"{told.get('desiredScale', 'none')} wanted, {told.get('actualScale', 0)} ready")
    state.add_row("bounds", f"at least {held.least}, at most {held.most or 'as many as it takes'}")
    state.add_row("active", _told(condition(pod_autoscaler, "Active")))
    if is_false(pod_autoscaler, "ScalingActive"):
        state.add_row("scaling", _told(condition(pod_autoscaler, "ScalingActive")))
    return state


def _told(found: Object) -> str:
    since = f" since {found['lastTransitionTime']}" if found.get("lastTransitionTime") else ""
    why = ": ".join(text for text in (found.get("reason"), found.get("message")) if text)
    return f"{found['status']}{since}" + (f" ({why})" if why else "")


def _decisions(decisions: Sequence[Object]) -> Table:
    table = Table("decided", "instances", "why", box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    for decision, move in zip(decisions, moves(decisions), strict=True):
        table.add_row(decision["time"], move, "\n".join(filter(None, (decision.get("reason"), numbers(decision)))))
    return table
