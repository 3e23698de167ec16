# SPDX-License-Identifier: Apache-2.0
"""`tidegate get`: objects as columns, YAML, JSON or names; with `-w` also what becomes of them."""

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tidegate.cli import columns, options, printing, problems, watching, words
from tidegate.cli.connection import connected, run
from tidegate.cli.served_kinds import ServedKinds
from tidegate.cli.words import Wanted
from tidegate.model.kinds import Kind
from tidegate.model.objects import Key, Object

if TYPE_CHECKING:
    from tidegate.client.http import HttpCluster


class Output(StrEnum):
    COLUMNS = "columns"
    WIDE = "wide"
    YAML = "yaml"
    JSON = "json"
    NAME = "name"


@dataclass(frozen=True, slots=True)
class Asked:
    """How and where to look. `namespace` "": in all."""

    output: Output
    namespace: str
    labels: str
    several: bool  # of more than one kind: names are told with theirs

    def within(self, kind: Kind) -> str:
        return self.namespace if kind.namespaced else ""


@click.command()
@click.argument(
    "what",
    nargs=-1,
    required=True,
    metavar="KIND [NAME]...",
    help="Or KIND/NAME ...; several kinds by commas, or `all`.",
)
@click.option(
    "-o",
    "--output",
    type=options.choice(Output),
    default=Output.COLUMNS.value,
    show_default=True,
    help="Output format.",
)
@options.namespace
@click.option("-A", "--all-namespaces", is_flag=True, help="Look in every namespace.")
@options.selector
@click.option("-w", "--watch", is_flag=True, help="Watch for changes until Ctrl-C.")
@options.data_dir
def get(
    what: Sequence[str],
    output: Output,
    namespace: str,
    all_namespaces: bool,
    selector: str,
    watch: bool,
    data_dir: Path | None,
) -> None:
    """Show objects of any kind."""
    wanted = words.wanted(what, ServedKinds(data_dir))
    if watch and len(wanted) > 1:
        raise problems.Misuse("--watch follows one kind, or one object")
    if all_namespaces and any(name for _, name in wanted):
        raise problems.Misuse("an object is looked up by name in one namespace, not in all")
    several = len({kind for kind, _ in wanted}) > 1
    asked = Asked(output, "" if all_namespaces else namespace, selector, several)
    run(_get(wanted, asked, data_dir, watch=watch))


async def _get(wanted: Sequence[Wanted], asked: Asked, data_dir: Path | None, *, watch: bool) -> None:
    async with connected(data_dir) as cluster:
        if watch:
            await _watch(cluster, wanted[0], asked)
        elif asked.output in (Output.COLUMNS, Output.WIDE):
            await _print_columns(cluster, wanted, asked)
        else:
            found = [obj for want in wanted for obj in await _objects(cluster, want, asked)]
            single = len(wanted) == 1 and bool(wanted[0].name)
            _print(found[0] if single else {"apiVersion": "v1", "kind": "List", "items": found}, asked.output)


async def _objects(cluster: "HttpCluster", want: Wanted, asked: Asked) -> list[Object]:
    if want.name:
        return [await cluster.get(want.kind, Key(asked.within(want.kind), want.name))]
    return (await cluster.list(want.kind, asked.within(want.kind), labels=asked.labels)).items


def _print(obj: Object, output: Output) -> None:
    if output is Output.YAML:
        import yaml

        click.echo(yaml.safe_dump(obj, sort_keys=False, allow_unicode=True, width=120).rstrip())
    elif output is Output.JSON:
        click.echo(printing.json_text(obj, indent=4))
    else:
        for item in obj["items"] if obj["kind"] == "List" else (obj,):
            click.echo(_name(item))


def _name(obj: Object) -> str:
    """ "service.serving.knative.dev/hello"."""
    group = obj["apiVersion"].rpartition("/")[0]
    kind = obj["kind"].lower()
    return f"{kind}.{group}/{obj['metadata']['name']}" if group else f"{kind}/{obj['metadata']['name']}"


async def _print_columns(cluster: "HttpCluster", wanted: Sequence[Wanted], asked: Asked) -> None:
    """One block for each kind: several names of it are rows of the same block."""
    blocks: dict[Kind, list[Object]] = {}
    for kind, name in wanted:
        table = await cluster.table(kind, asked.within(kind), name, labels="" if name else asked.labels)
        if table["rows"]:
            blocks.setdefault(kind, []).append(table)
    for number, (kind, tables) in enumerate(blocks.items()):
        if number:
            click.echo()
        joined = {"rows": [row for table in tables for row in table["rows"]]}
        printed = columns.Columns()
        for line in printed.lines(_rows(joined, tables[0]["columnDefinitions"], kind, asked)):
            click.echo(line)
    if not blocks:
        problems.remark(
            f"No resources found in {asked.namespace} namespace." if asked.namespace else "No resources found"
        )


def _rows(table: Object, definitions: Sequence[Object], kind: Kind, asked: Asked) -> columns.Rows:
    return columns.of_table(
        table,
        definitions,
        wide=asked.output is Output.WIDE,
        namespaced=kind.namespaced and not asked.namespace,
        prefix=f"{words.full(kind)}/" if asked.several else "",
    )


async def _watch(cluster: "HttpCluster", want: Wanted, asked: Asked) -> None:
    """What there is, then a line or a document for each change, without end."""
    namespace, fields = asked.within(want.kind), f"metadata.name={want.name}" if want.name else ""
    if asked.output in (Output.COLUMNS, Output.WIDE):
        await _watch_columns(cluster, want.kind, namespace, fields, asked)
    else:
        await _watch_objects(cluster, want.kind, namespace, fields, asked)


async def _watch_columns(cluster: "HttpCluster", kind: Kind, namespace: str, fields: str, asked: Asked) -> None:
    printed = columns.Columns()
    table = await cluster.table(kind, namespace, labels=asked.labels, fields=fields)
    definitions = table["columnDefinitions"]

    def show(table: Object) -> None:
        for line in printed.lines(_rows(table, definitions, kind, asked)):
            click.echo(line)

    def follow(version: str) -> watching.Watching:
        return cluster.watch_table(kind, namespace, resource_version=version, labels=asked.labels, fields=fields)

    show(table)
    async with aclosing(watching.changes(follow, table["metadata"]["resourceVersion"])) as events:
        async for event in events:
            show(event.object)


async def _watch_objects(cluster: "HttpCluster", kind: Kind, namespace: str, fields: str, asked: Asked) -> None:
    def follow(version: str) -> watching.Watching:
        return cluster.watch(kind, namespace, resource_version=version, labels=asked.labels, fields=fields)

    listing = await cluster.list(kind, namespace, labels=asked.labels, fields=fields)
    for item in listing.items:
        _print(item, asked.output)
    async with aclosing(watching.changes(follow, listing.resource_version)) as events:
        async for event in events:
            _print(event.object, asked.output)
