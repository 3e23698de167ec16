# SPDX-License-Identifier: Apache-2.0
"""The name of a Configuration's next Revision, and whether another Revision has it. Pure.

In: a Configuration, and the Revisions. Out: a name, and a `NameClaim`. Called by: `configuration`, `service` and
`labeler`.
"""

from typing import NamedTuple

from tidegate.client.informer import Informer
from tidegate.model import names
from tidegate.model.objects import Key, Object, controller_of, generation, is_controlled_by, labels, spec


class NameClaim(NamedTuple):
    """`revision`: the Configuration's own revision of that name. `taken`: a revision of that name belongs to another
    owner, or to another template."""

    revision: Object | None
    taken: bool


def template_metadata(configuration: Object) -> Object:
    return spec(configuration)["template"].get("metadata") or {}


def next_name(configuration: Object) -> str:
    """The name of the newest generation's revision: the template's name, or the Configuration's with the generation."""
    named = template_metadata(configuration).get("name")
    return named or names.child_name(configuration["metadata"]["name"], f"-{generation(configuration):05d}")


def claim(configuration: Object, revisions: Informer) -> NameClaim:
    """Who has the name of the next revision.

    | under that name | claim |
    | --- | --- |
    | nothing | free |
    | a revision of this Configuration, of this generation or with this very spec | ours |
    | a revision of this Configuration with another spec | taken |
    | a revision of an earlier Configuration of the same name (it is being deleted) | free soon |
    | any other revision | taken |
    """
    name = Key(configuration["metadata"]["namespace"], next_name(configuration))
    revision = revisions.get(name)
    if revision is None:
        return NameClaim(None, taken=False)
    if not is_controlled_by(revision, configuration):
        owner = controller_of(revision) or {}
        returning = owner.get("kind") == "Configuration" and owner["name"] == configuration["metadata"]["name"]
        return NameClaim(None, taken=not returning)
    if labels(revision).get(names.CONFIGURATION_GENERATION) == str(generation(configuration)):
        return NameClaim(revision, taken=False)
    same = spec(configuration)["template"].get("spec") == spec(revision)
    return NameClaim(revision if same else None, taken=not same)
