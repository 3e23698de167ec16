# SPDX-License-Identifier: Apache-2.0
"""The `spec.traffic` that a user asks for: revisions by short names, shares, tags. Pure.

Called by: `tidegate traffic`, `tidegate demo`.
"""

from collections.abc import Collection, Mapping, Sequence

from tidegate.cli.failures import CommandFailure
from tidegate.model.objects import Object

LATEST = "@latest"
"""The latest ready revision, on the command line."""

ALL = 100
_GENERATION = 5  # digits in the revision names that Knative generates


def resolved(service: str, word: str, revisions: Collection[str]) -> str:
    """The revision that a word names, in full or by its suffix.

    | word        | revision of the service hello |
    | --- | --- |
    | @latest     | the latest ready one |
    | hello-00001 | hello-00001 |
    | 00001, 1    | hello-00001 |
    | green       | hello-green |
    """
    if word == LATEST:
        return LATEST
    for name in (word, f"{service}-{word}", f"{service}-{word.zfill(_GENERATION)}"):
        if name in revisions:
            return name
    existing = ", ".join(sorted(revisions)) or "none"
    raise CommandFailure(f"{service} has no revision {word}; it has {existing}")


def desired_traffic(
    current: Sequence[Object], percents: Mapping[str, int], tags: Mapping[str, str], untag: Collection[str]
) -> list[Object]:
    """The new `spec.traffic`. `percents`: share by revision; empty: as now. `tags`: revision by tag, in addition to the
    current tags."""
    for tag in untag:
        if all(entry.get("tag") != tag for entry in current):
            raise CommandFailure(f"there is no tag {tag}")
    shares = {revision: percent for revision, percent in (percents or _shares(current)).items() if percent}
    tagged = {entry["tag"]: _revision(entry) for entry in current if entry.get("tag")} | dict(tags)
    targets = []
    for revision in dict.fromkeys([*shares, *tagged.values()]):
        own = [tag for tag, target in tagged.items() if target == revision and tag not in untag]
        first, *others = own or [""]
        if own or revision in shares:
            targets.append(_target(revision, percent=shares.get(revision, 0), tag=first))
        targets += [_target(revision, tag=other) for other in others]
    return targets


def _shares(current: Sequence[Object]) -> dict[str, int]:
    shares: dict[str, int] = {}
    for entry in current:
        shares[_revision(entry)] = shares.get(_revision(entry), 0) + int(entry.get("percent") or 0)
    return shares or {LATEST: ALL}


def _revision(entry: Object) -> str:
    return str(entry.get("revisionName") or LATEST)


def _target(revision: str, *, percent: int = 0, tag: str = "") -> Object:
    return {
        **({"latestRevision": True} if revision == LATEST else {"revisionName": revision, "latestRevision": False}),
        "percent": percent,
        **({"tag": tag} if tag else {}),
    }
