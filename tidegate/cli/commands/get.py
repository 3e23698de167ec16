# SPDX-License-Identifier: Apache-2.0
"""`tidegate get`: objects as columns, YAML, JSON or names; with `-w` also their changes."""

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tidegate.cli import columns, failures, kind_names, options, printing, watching
from tidegate.cli.connection import connected, run
from tidegate.cli.kind_names import ObjectSelector
from tidegate.cli.options import Scope
from tidegate.cli.served_kinds import ServedKinds
from tidegate.model.kinds import Kind
from tidegate.model.objects import Key, Object

if TYPE_CHECKING:
    from tidegate.client.http import HttpCluster


class ObjectFormat(StrEnum):
    COLUMNS = "columns"
    WIDE = "wide"
    YAML = "yaml"
    JSON = "json"
    NAME = "name"


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """Which objects of a kind to show."""

    all_namespaces: bool
    selector: str


@dataclass(frozen=True, slots=True)
class ObjectQuery:
    """Where to look and how to print. `namespace`: "" for all. `several_kinds`: print the kind before each name."""

    format: ObjectFormat
    namespace: str
    labels: str
    several_kinds: bool

    def within(self, kind: Kind) -> str:
        """The namespace to look in for a kind."""
        return self.namespace if kind.namespaced else ""


@click.command()
@click.argument(
    "what",
    nargs=-1,
    required=True,
    metavar="KIND [NAME]...",
    help="Kind, and names of objects; or KIND/NAME ...; several kinds separated by commas; or `all`.",
)
@click.option(
    "-o",
    "--output",
    type=options.choice(ObjectFormat),
    default=ObjectFormat.COLUMNS.value,
    show_default=True,
    help="Output format.",
)
@options.record(
    "search",
    SearchOptions,
    click.option("-A", "--all-namespaces", is_flag=True, help="Look in all namespaces."),
    options.selector,
)
@click.option("-w", "--watch", is_flag=True, help="Watch for changes until Ctrl-C.")
@options.scope
def get(what: Sequence[str], output: ObjectFormat, search: SearchOptions, watch: bool, scope: Scope) -> None:
    """Show objects of any kind."""
    selected = kind_names.selected(what, ServedKinds(scope.data_dir))
    if watch and len(selected) > 1:
        raise failures.Misuse("--watch follows one kind, or one object")
    if search.all_namespaces and any(name for _, name in selected):
        raise failures.Misuse("an object is looked up by name in one namespace, not in all namespaces")
    namespace = "" if search.all_namespaces else scope.namespace
    query = ObjectQuery(output, namespace, search.selector, len({kind for kind, _ in selected}) > 1)
    run(_get(selected, query, scope.data_dir, watch=watch))


async def _get(selected: Sequence[ObjectSelector], query: ObjectQuery, data_dir: Path | None, *, watch: bool) -> None:
    async with connected(data_dir) as cluster:
        if watch:
            await _watch(cluster, selected[0], query)
        elif query.format in (ObjectFormat.COLUMNS, ObjectFormat.WIDE):
            await _print_columns(cluster, selected, query)
        else:
            found = [obj for each in selected for obj in await _objects(cluster, each, query)]
            single = len(selected) == 1 and bool(selected[0].name)
            _print(found[0] if single else {"apiVersion": "v1", "kind": "List", "items": found}, query.format)


async def _objects(cluster: "HttpCluster", selected: ObjectSelector, query: ObjectQuery) -> list[Object]:
    if selected.name:
        return [await cluster.get(selected.kind, Key(query.within(selected.kind), selected.name))]
    return (await cluster.list(selected.kind, query.within(selected.kind), labels=query.labels)).items


def _print(obj: Object, form: ObjectFormat) -> None:
    if form is ObjectFormat.YAML:
        import yaml

        click.echo(yaml.safe_dump(obj, sort_keys=False, allow_unicode=True, width=120).rstrip())
    elif form is ObjectFormat.JSON:
        click.echo(printing.json_text(obj, indent=4))
    else:
        for item in obj["items"] if obj["kind"] == "List" else (obj,):
            click.echo(_name(item))


def _name(obj: Object) -> str:
    """ "service.serving.knative.dev/hello"."""
    group = obj["apiVersion"].rpartition("/")[0]
    kind = obj["kind"].lower()
    return f"{kind}.{group}/{obj['metadata']['name']}" if group else f"{kind}/{obj['metadata']['name']}"


async def _print_columns(cluster: "HttpCluster", selected: Sequence[ObjectSelector], query: ObjectQuery) -> None:
    """One block for each kind; several names of a kind are rows of one block."""
    blocks: dict[Kind, list[Object]] = {}
    for kind, name in selected:
        table = await cluster.table(kind, query.within(kind), name, labels="" if name else query.labels)
        if table["rows"]:
            blocks.setdefault(kind, []).append(table)
    for number, (kind, tables) in enumerate(blocks.items()):
        if number:
            click.echo()
        joined = {"rows": [row for table in tables for row in table["rows"]]}
        printed = columns.Columns()
        for line in printed.lines(_rows(joined, tables[0]["columnDefinitions"], kind, query)):
            click.echo(line)
    if not blocks:
        failures.remark(
            f"No resources found in {query.namespace} namespace." if query.namespace else "No resources found"
        )


def _rows(table: Object, definitions: Sequence[Object], kind: Kind, query: ObjectQuery) -> columns.Rows:
    return columns.of_table(
        table,
        definitions,
        wide=query.format is ObjectFormat.WIDE,
        namespaced=kind.namespaced and not query.namespace,
        prefix=f"{kind_names.full(kind)}/" if query.several_kinds else "",
    )


async def _watch(cluster: "HttpCluster", selected: ObjectSelector, query: ObjectQuery) -> None:
    """Print the current objects, then a line or a document for each change, until cancelled."""
    fields = f"metadata.name={selected.name}" if selected.name else ""
    if query.format in (ObjectFormat.COLUMNS, ObjectFormat.WIDE):
        await _watch_columns(cluster, selected.kind, fields, query)
    else:
        await _watch_objects(cluster, selected.kind, fields, query)


async def _watch_columns(cluster: "HttpCluster", kind: Kind, fields: str, query: ObjectQuery) -> None:
    printed = columns.Columns()
    table = await cluster.table(kind, query.within(kind), labels=query.labels, fields=fields)
    definitions = table["columnDefinitions"]

    def show(table: Object) -> None:
        for line in printed.lines(_rows(table, definitions, kind, query)):
            click.echo(line)

    def follow(version: str) -> watching.Watching:
        return cluster.watch_table(
            kind, query.within(kind), resource_version=version, labels=query.labels, fields=fields
        )

    show(table)
    async with aclosing(watching.changes(follow, table["metadata"]["resourceVersion"])) as events:
        async for event in events:
            show(event.object)


async def _watch_objects(cluster: "HttpCluster", kind: Kind, fields: str, query: ObjectQuery) -> None:
    def follow(version: str) -> watching.Watching:
        return cluster.watch(kind, query.within(kind), resource_version=version, labels=query.labels, fields=fields)

    listing = await cluster.list(kind, query.within(kind), labels=query.labels, fields=fields)
    for item in listing.items:
        _print(item, query.format)
    async with aclosing(watching.changes(follow, listing.resource_version)) as events:
        async for event in events:
            _print(event.object, query.format)
