# SPDX-License-Identifier: Apache-2.0
"""The downward API: fields of a Pod and amounts of its containers, as texts. Pure.

In: a `fieldRef` or a `resourceFieldRef`, and the Pod. Out: the text; `DownwardError` for an unknown reference. Called
by: `environment.py` for variables, `volumes/payload.py` for files. Rules: k8s.io/kubernetes pkg/fieldpath and
pkg/api/v1/resource.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from tidegate.model.objects import Object, annotations, labels, spec, status
from tidegate.model.text import quantities
from tidegate.node.port_lease import LOOPBACK

_MAPPED = re.compile(r"(metadata\.(?:labels|annotations))\['([^']+)'\]")
_FILE_FIELDS = ("metadata.name", "metadata.namespace", "metadata.uid", "metadata.labels", "metadata.annotations")
_RESOURCES = ("cpu", "memory", "ephemeral-storage")


class DownwardError(Exception):
    """The message names the reference."""


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """Facts about this node and its Pods that a Pod's object does not have yet. `allocatable`: quantities by resource:
    the limits of a container that sets none. `address`: of the Pod."""

    name: str
    allocatable: Mapping[str, str] = field(default_factory=dict)
    address: str = LOOPBACK


def variable(pod: Object, path: str, node: NodeFacts) -> str:
    """The value of a variable with a `fieldRef`."""
    metadata = pod["metadata"]
    if (mapped := _mapped(pod, path)) is not None:
        return mapped
    host_address = status(pod).get("hostIP") or LOOPBACK
    known = {
        "metadata.name": metadata.get("name", ""),
        "metadata.namespace": metadata.get("namespace", ""),
        "metadata.uid": metadata.get("uid", ""),
        "spec.nodeName": spec(pod).get("nodeName") or node.name,
        "spec.serviceAccountName": spec(pod).get("serviceAccountName") or "default",
        "status.hostIP": host_address,
        "status.hostIPs": host_address,
        "status.podIP": node.address,
        "status.podIPs": node.address,
    }
    return str(_one_of(known, path))


def file(pod: Object, path: str) -> str:
    """The content of a file with a `fieldRef`. All labels, or annotations, are one line each."""
    if (mapped := _mapped(pod, path)) is not None:
        return mapped
    metadata = pod["metadata"]
    _one_of(dict.fromkeys(_FILE_FIELDS), path)
    found = metadata.get(path.removeprefix("metadata.")) or ""
    if isinstance(found, dict):
        return "\n".join(f"{name}={_quoted(str(value))}" for name, value in sorted(found.items()))
    return str(found)


def amount(pod: Object, reference: Object, node: NodeFacts, container: Object | None = None) -> str:
    """The amount that a `resourceFieldRef` names, in units of its divisor, rounded up. `container`: the one whose
    variable it is; a file names one."""
    if name := reference.get("containerName"):
        all_containers = (*(spec(pod).get("containers") or ()), *(spec(pod).get("initContainers") or ()))
        container = next((each for each in all_containers if each["name"] == name), None)
    path = str(reference.get("resource") or "")
    section, _, resource = path.partition(".")
    if container is None or section not in ("limits", "requests") or not _is_known(resource):
        raise DownwardError(f"resourceFieldRef {name or ''}: {path!r} is not supported".replace("  ", " "))
    declared = container.get("resources") or {}
    found = (declared.get(section) or {}).get(resource)
    if found is None and section == "limits":
        whole = quantities.parse(node.allocatable.get(resource, "0")).amount
    elif found is None:
        limit = (declared.get("limits") or {}).get(resource)  # a limit without a request is the request, too
        whole = quantities.parse(limit).amount if limit is not None else Fraction(0)
    else:
        whole = quantities.parse(found).amount
    unit = quantities.parse(reference.get("divisor") or "1").amount or Fraction(1)
    return str(-(-whole // unit))


def _is_known(resource: str) -> bool:
    return resource in _RESOURCES or resource.startswith("hugepages-")


def _mapped(pod: Object, path: str) -> str | None:
    """One label or annotation, "" if the Pod does not have it; None for another path."""
    mapped = _MAPPED.fullmatch(path)
    if mapped is None:
        return None
    return str((labels if mapped[1] == "metadata.labels" else annotations)(pod).get(mapped[2], ""))


def _one_of(known: Mapping[str, object], path: str) -> object:
    if path not in known:
        raise DownwardError(f"fieldRef {path} is not supported; supported are {_listed(known)}")
    return known[path]


def _listed(known: Collection[str]) -> str:
    return ", ".join((*known, "metadata.labels['KEY']", "metadata.annotations['KEY']"))


def _quoted(text: str) -> str:
    """As Go's strconv.Quote writes it, for the texts of labels and annotations."""
    named = {"\a": r"\a", "\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\v": r"\v"}
    named |= {"\\": r"\\", '"': r"\""}
    return '"' + "".join(named.get(sign) or (sign if sign.isprintable() else _escaped(sign)) for sign in text) + '"'


def _escaped(sign: str) -> str:
    code = ord(sign)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
