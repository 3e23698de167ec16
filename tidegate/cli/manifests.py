# SPDX-License-Identifier: Apache-2.0
"""Objects from files.

In: paths of files or folders, or "-" for stdin. Out: the objects of their YAML and JSON documents, with their source.
"""

import sys
from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tidegate.cli.failures import CommandFailure
from tidegate.cli.served_kinds import ServedKinds
from tidegate.model.kinds import Kind
from tidegate.model.objects import Key, Object

_SUFFIXES = (".yaml", ".yml", ".json")


class Manifest(NamedTuple):
    """An object from a file, with its kind and its namespace."""

    source: str
    kind: Kind
    object: Object

    @property
    def key(self) -> Key:
        metadata = self.object["metadata"]
        return Key(metadata.get("namespace", ""), metadata["name"])


def read(names: Sequence[str], namespace: str | None, kinds: ServedKinds) -> list[Manifest]:
    """All objects of all files, in order. `namespace`: the one that the user named."""
    manifests = [
        _manifest(source, document, namespace, kinds)
        for name in names
        for source, text in _texts(name)
        for document in _documents(source, text)
    ]
    if not manifests:
        raise CommandFailure(f"no objects in {', '.join(names)}")
    return manifests


def _texts(name: str) -> Iterator[tuple[str, str]]:
    """The files that a name stands for: (source, content)."""
    if name == "-":
        yield "standard input", sys.stdin.read()
        return
    path = Path(name)
    if not path.exists():
        raise CommandFailure(f"there is no file {name}")
    inside = sorted(entry for entry in path.iterdir() if entry.suffix in _SUFFIXES) if path.is_dir() else [path]
    if not inside:
        raise CommandFailure(f"no {', '.join(_SUFFIXES)} file in {name}")
    for file in inside:
        try:
            yield str(file), file.read_text()
        except UnicodeDecodeError as error:
            raise CommandFailure(f"{file}: not a text file: {error.reason}") from error


class _Loader(yaml.SafeLoader):
    """YAML as Kubernetes reads it: a repeated key is an error, and dates are strings."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for name, _ in node.value:
            if name.value in seen:
                text = f'the key "{name.value}" is repeated'
                raise yaml.constructor.ConstructorError(None, None, text, name.start_mark)
            seen.add(name.value)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _documents(source: str, text: str) -> Iterator[Any]:
    """The documents of a file without empty ones; a List is replaced by its items."""
    try:
        documents = [document for document in yaml.load_all(text, _Loader) if document is not None]
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark is not None else ""
        raise CommandFailure(f"{source}: {line}{error.problem}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise CommandFailure(f"{source}: {error}") from error
    for document in documents:
        if isinstance(document, dict) and document.get("kind") == "List":
            yield from document.get("items") or ()
        else:
            yield document


def _manifest(source: str, document: Any, namespace: str | None, kinds: ServedKinds) -> Manifest:
    if not isinstance(document, dict):
        raise CommandFailure(f"{source}: a document that is not an object")
    metadata = document.get("metadata")
    named = _named(document)
    for field in ("apiVersion", "kind"):
        if not isinstance(document.get(field), str) or not document[field]:
            raise CommandFailure(f"{source}: {field} is not set{named}")
    kind = kinds.named(document["apiVersion"], document["kind"])
    if kind is None:
        raise CommandFailure(f'{source}: no kind "{document["kind"]}" in version "{document["apiVersion"]}"{named}')
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str) or not metadata["name"]:
        raise CommandFailure(f"{source}: metadata.name is not set in a {document['kind']}")
    if not kind.namespaced:
        return Manifest(source, kind, document)
    given = metadata.get("namespace")
    if given and namespace and given != namespace:
        raise CommandFailure(f'{source}: the namespace "{given}" is not the one of --namespace, "{namespace}"{named}')
    return Manifest(source, kind, {**document, "metadata": {**metadata, "namespace": given or namespace or "default"}})


def _named(document: Object) -> str:
    metadata = document.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return f" in {name}" if name else ""
