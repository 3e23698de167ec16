# SPDX-License-Identifier: Apache-2.0
"""The variables that a container's spec sets.

In: a container's `env` and `envFrom`, and the ConfigMaps and Secrets that they name, read through the cluster. Out: the
variables, without the variables of the image and the runtime; `LaunchRejected` (CreateContainerConfigError) names a
missing object or key. Called by: `container.py`, before each start.
"""

import base64
from collections import ChainMap
from collections.abc import Mapping

from tidegate.client.cluster import Cluster
from tidegate.model import errors
from tidegate.model.kinds import CONFIG_MAP, SECRET, Kind
from tidegate.model.objects import Key, Object
from tidegate.node import downward
from tidegate.node.downward import DownwardError, NodeFacts
from tidegate.node.expansion import TextBudget, expand
from tidegate.node.runtime import CONFIG_ERROR, LaunchRejected


def has_references(container: Object) -> bool:
    """Whether the variables of a container depend on objects that may change."""
    values = (entry.get("valueFrom") or {} for entry in container.get("env") or ())
    return bool(container.get("envFrom")) or any({"configMapKeyRef", "secretKeyRef"} & set(value) for value in values)


class Environment:
    """Reads the variables of the containers of one Pod. `node`: facts for the downward API."""

    def __init__(self, cluster: Cluster, pod: Object, node: NodeFacts) -> None:
        self._cluster = cluster
        self._pod = pod
        self._node = node
        self._read: dict[tuple[Kind, str], Mapping[str, str] | None] = {}

    async def of(self, container: Object, fixed: Mapping[str, str]) -> dict[str, str]:
        """The variables of a container. `fixed`: variables that its spec cannot replace."""
        variables: dict[str, str] = {}
        known, budget = ChainMap(dict(fixed), variables), TextBudget("its environment")
        for source in container.get("envFrom") or ():
            variables |= await self._all_of(source)
        for entry in container.get("env") or ():
            name = str(entry.get("name", ""))
            if entry.get("valueFrom"):
                value = await self._value(entry["valueFrom"], container)
            else:
                value = expand(str(entry.get("value") or ""), known)
            if value is not None:
                variables[name] = budget.spend(value)
        result = {**variables, **fixed}
        for name, value in result.items():
            if "\0" in value or "=" in name or not name:
                raise LaunchRejected(CONFIG_ERROR, f"the variable {name!r} cannot be set: invalid name or value")
        return result

    async def _all_of(self, source: Object) -> dict[str, str]:
        prefix = str(source.get("prefix") or "")
        for field, kind in (("configMapRef", CONFIG_MAP), ("secretRef", SECRET)):
            if (reference := source.get(field)) is not None:
                data = await self._data(kind, reference)
                return {f"{prefix}{name}": value for name, value in (data or {}).items()}
        return {}

    async def _value(self, source: Object, container: Object) -> str | None:
        """None for an optional reference whose target is missing."""
        for field, kind in (("configMapKeyRef", CONFIG_MAP), ("secretKeyRef", SECRET)):
            if (reference := source.get(field)) is not None:
                data = await self._data(kind, reference)
                key = str(reference.get("key", ""))
                if data is not None and key in data:
                    return data[key]
                if reference.get("optional"):
                    return None
                raise LaunchRejected(CONFIG_ERROR, f"couldn't find key {key} in {kind.kind} {self._key(reference)}")
        try:
            if (reference := source.get("fieldRef")) is not None:
                return downward.variable(self._pod, str(reference.get("fieldPath", "")), self._node)
            if (reference := source.get("resourceFieldRef")) is not None:
                return downward.amount(self._pod, reference, self._node, container)
        except DownwardError as error:
            raise LaunchRejected(CONFIG_ERROR, str(error)) from error
        raise LaunchRejected(
            CONFIG_ERROR, f"valueFrom must name one of configMapKeyRef, secretKeyRef, fieldRef; got {sorted(source)}"
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
            raise LaunchRejected(CONFIG_ERROR, f'{kind.singular} "{name}" not found')
        return data

    def _key(self, reference: Object) -> Key:
        return Key(self._pod["metadata"].get("namespace", ""), str(reference.get("name", "")))


def _texts(kind: Kind, obj: Object) -> dict[str, str]:
    data: Mapping[str, str] = obj.get("data") or {}
    if kind is CONFIG_MAP:
        return dict(data)
    return {name: base64.b64decode(value).decode("utf-8", "surrogateescape") for name, value in data.items()}
