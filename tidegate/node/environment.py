# SPDX-License-Identifier: Apache-2.0
"""The environment of a container, and the variables in its command.

In: a container's `env` and `envFrom`, the ConfigMaps and Secrets that they name, read through the cluster. Out: the
variables; `LaunchRefused` (CreateContainerConfigError) names what is missing. Built from scratch: of the control
plane's own environment nothing gets in but what `base` lists.

`$(NAME)` in a value, command or argument stands for a variable set before it, `$$` for a dollar; what is not set stays
as it is. Rule: k8s.io/kubernetes third_party/forked/golang/expansion.
"""

import base64
import os
import re
from collections import ChainMap
from collections.abc import Mapping, Sequence
from pathlib import Path

from tidegate.client.cluster import Cluster
from tidegate.kit.processes import USUAL_PATH, path_for_others
from tidegate.model import errors
from tidegate.model.kinds import CONFIG_MAP, SECRET, Kind
from tidegate.model.objects import Key, Object, annotations, labels, spec, status
from tidegate.model.text import quantities
from tidegate.node.runtime import LaunchRefused

_PASSED_ON = ("LANG", "TZ")
_BAD = "CreateContainerConfigError"
_LONGEST = 128 * 1024  # MAX_ARG_STRLEN of linux/binfmts.h
_MOST = 6 * 2**20
_REFERENCE = re.compile(r"\$(?:\$|\(([^)]*)\))")
_MAPPED = re.compile(r"(metadata\.(?:labels|annotations))\['([^']+)'\]")


def base(scratch: Path | None) -> dict[str, str]:
    """What a container has before anything is set for it. One that runs as a user of its own has its folders in
    `scratch`, and the usual PATH; one that runs as we do has our HOME, and our PATH without Tidegate's own programs."""
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    if scratch is not None:
        return {"PATH": USUAL_PATH, "HOME": str(scratch / "home"), "TMPDIR": str(scratch / "tmp"), **passed_on}
    home = {"HOME": os.environ["HOME"]} if "HOME" in os.environ else {}
    return {"PATH": path_for_others(), **home, **passed_on}


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Raises `LaunchRefused` where references make it longer than any program may be given."""
    end = text.rfind(")") + 1  # no reference ends behind it
    parts: list[str] = []
    position = size = 0
    for found in _REFERENCE.finditer(text, 0, end):
        value = "$" if found[0] == "$$" else variables.get(found[1], found[0])
        parts += (text[position : found.start()], value)
        size += len(value)
        position = found.end()
        if size > _LONGEST:
            raise LaunchRefused(
                _BAD, f"a text that refers to variables may have {_LONGEST} characters: {text[:60]!r}..."
            )
    return "".join((*parts, text[position:end], text[end:].replace("$$", "$")))


def expand_all(texts: Sequence[str], variables: Mapping[str, str]) -> list[str]:
    left = _Room("its command")
    return [left.taken(expand(str(text), variables)) for text in texts]


class _Room:
    """What the kernel lets a program be given (3/4 of _STK_LIM), so that references do not take all memory before."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._left = _MOST

    def taken(self, text: str) -> str:
        self._left -= len(text)
        if self._left < 0:
            raise LaunchRefused(_BAD, f"{self._what} may have {_MOST} characters in all")
        return text


class Environment:
    """Reads what containers of one Pod are to find in their environment."""

    def __init__(self, cluster: Cluster, pod: Object, host: str) -> None:
        self._cluster = cluster
        self._pod = pod
        self._host = host
        self._read: dict[tuple[Kind, str], Mapping[str, str] | None] = {}

    async def of(self, container: Object, base: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
        """The variables of a container. It may set those of `base` otherwise, and not those that are `given`."""
        variables: dict[str, str] = {}
        known, room = ChainMap(dict(given), variables), _Room("its environment")
        for source in container.get("envFrom") or ():
            variables |= await self._all_of(source)
        for entry in container.get("env") or ():
            name = str(entry.get("name", ""))
            if entry.get("valueFrom"):
                value = await self._value(entry["valueFrom"], container)
            else:
                value = expand(str(entry.get("value") or ""), known)
            if value is not None:
                variables[name] = room.taken(value)
        result = {**base, **variables, **given}
        for name, value in result.items():
            if "\0" in value or "=" in name or not name:
                raise LaunchRefused(_BAD, f"the variable {name!r} cannot be set: its name or value is not one")
        return result

    async def _all_of(self, source: Object) -> dict[str, str]:
        prefix = str(source.get("prefix") or "")
        for field, kind in (("configMapRef", CONFIG_MAP), ("secretRef", SECRET)):
            if (reference := source.get(field)) is not None:
                data = await self._data(kind, reference)
                return {f"{prefix}{name}": value for name, value in (data or {}).items()}
        return {}

    async def _value(self, source: Object, container: Object) -> str | None:
        """None for what is optional and not there."""
        for field, kind in (("configMapKeyRef", CONFIG_MAP), ("secretKeyRef", SECRET)):
            if (reference := source.get(field)) is not None:
                data = await self._data(kind, reference)
                key = str(reference.get("key", ""))
                if data is not None and key in data:
                    return data[key]
                if reference.get("optional"):
                    return None
                raise LaunchRefused(_BAD, f"couldn't find key {key} in {kind.kind} {self._key(reference)}")
        if (reference := source.get("fieldRef")) is not None:
            return self._field(str(reference.get("fieldPath", "")))
        if (reference := source.get("resourceFieldRef")) is not None:
            return _resource(str(reference.get("resource", "")), reference.get("divisor"), container)
        raise LaunchRefused(
            _BAD, f"valueFrom must name one of configMapKeyRef, secretKeyRef, fieldRef; got {sorted(source)}"
        )

    async def _data(self, kind: Kind, reference: Object) -> Mapping[str, str] | None:
        name = str(reference.get("name", ""))
        if (kind, name) not in self._read:
            try:
                self._read[kind, name] = _texts(kind, await self._cluster.get(kind, self._key(reference)))
            except errors.NotFound:
                self._read[kind, name] = None
        data = self._read[kind, name]
        if data is None and not reference.get("optional"):
            raise LaunchRefused(_BAD, f'{kind.singular} "{name}" not found')
        return data

    def _key(self, reference: Object) -> Key:
        return Key(self._pod["metadata"].get("namespace", ""), str(reference.get("name", "")))

    def _field(self, path: str) -> str:
        metadata = self._pod["metadata"]
        if mapped := _MAPPED.fullmatch(path):
            return str((labels if mapped[1] == "metadata.labels" else annotations)(self._pod).get(mapped[2], ""))
        known = {
            "metadata.name": metadata.get("name", ""),
            "metadata.namespace": metadata.get("namespace", ""),
            "metadata.uid": metadata.get("uid", ""),
            "spec.nodeName": spec(self._pod).get("nodeName") or self._host,
            "spec.serviceAccountName": spec(self._pod).get("serviceAccountName") or "default",
            "status.hostIP": status(self._pod).get("hostIP") or "127.0.0.1",
            "status.podIP": status(self._pod).get("podIP") or "127.0.0.1",
        }
        if path not in known:
            raise LaunchRefused(_BAD, f"fieldRef {path} is not known; there are {', '.join(known)}")
        return str(known[path])


def _texts(kind: Kind, obj: Object) -> dict[str, str]:
    data: Mapping[str, str] = obj.get("data") or {}
    if kind is CONFIG_MAP:
        return dict(data)
    return {name: base64.b64decode(value).decode("utf-8", "surrogateescape") for name, value in data.items()}


def _resource(name: str, divisor: object, container: Object) -> str:
    """ "limits.cpu" of the container, in units of the divisor, rounded up."""
    section, _, resource = name.partition(".")
    amount = ((container.get("resources") or {}).get(section) or {}).get(resource)
    if amount is None:
        raise LaunchRefused(_BAD, f"resourceFieldRef {name}: the container sets no such amount")
    unit = quantities.parse(divisor or "1").amount or 1
    return str(-(-quantities.parse(amount).amount // unit))
