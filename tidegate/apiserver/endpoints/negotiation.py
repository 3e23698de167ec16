# SPDX-License-Identifier: Apache-2.0
"""The Accept header: the first format in it that this server can write. Pure.

Clients list alternatives, best first: `application/json;as=Table;v=v1;g=meta.k8s.io,application/json`.
"""

from typing import Literal, NamedTuple

from tidegate.model import errors

View = Literal["Object", "Table", "Metadata"]


class Accepted(NamedTuple):
    """An accepted alternative. `version`: of the meta.k8s.io type, if the view is one."""

    view: View
    version: str = "v1"


_VIEWS: dict[str, View] = {
    "Table": "Table",
    "PartialObjectMetadata": "Metadata",
    "PartialObjectMetadataList": "Metadata",
}


def view(accept: str) -> Accepted:
    """The view to answer with. Raises `NotAcceptable` if the client accepts other formats only."""
    for media_type, parameters in _alternatives(accept):
        if media_type not in ("application/json", "application/*", "*/*"):
            continue
        wanted = parameters.get("as")
        if wanted is None:
            return Accepted("Object")
        if wanted in _VIEWS and parameters.get("g") == "meta.k8s.io" and parameters.get("v") in ("v1", "v1beta1"):
            return Accepted(_VIEWS[wanted], parameters["v"])
    raise errors.NotAcceptable("only the following media types are accepted: application/json")


def discovery_version(accept: str) -> str | None:
    """The version of the aggregated discovery document the client prefers ("v2"), or None for the plain one."""
    for media_type, parameters in _alternatives(accept):
        if media_type in ("application/json", "*/*") and "as" not in parameters:
            return None
        if (parameters.get("as"), parameters.get("g")) == ("APIGroupDiscoveryList", "apidiscovery.k8s.io"):
            version = parameters.get("v", "")
            if media_type == "application/json" and version in ("v2", "v2beta1"):
                return version
    return None


def _alternatives(accept: str) -> list[tuple[str, dict[str, str]]]:
    parsed = []
    for alternative in (accept or "*/*").split(","):
        media_type, *parameters = (part.strip() for part in alternative.split(";"))
        pairs = (parameter.partition("=") for parameter in parameters)
        parsed.append((media_type.lower(), {name: value for name, _, value in pairs}))
    return parsed
