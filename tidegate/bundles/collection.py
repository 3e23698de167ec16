# SPDX-License-Identifier: Apache-2.0
"""Removes bundles that nothing names any more.

In: the folder of bundles, the digests that objects name, and since when a bundle must have lain unused. Out: which were
removed. Called by: `housekeeping.py`. A build of a bundle that exists already counts as use (`touch`), so that the
bundle still exists when it is deployed.
"""

import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from tidegate.kit import trees
from tidegate.model.objects import Object, spec
from tidegate.model.text import images

_DIGEST = re.compile(r"[0-9a-f]{64}")


def touch(bundle: Path) -> None:
    """Somebody is about to use this bundle."""
    os.utime(bundle)


def named(obj: Object) -> Iterator[str]:
    """The digests of the bundles that an object's containers run, be it a Pod, a Revision, or what has a template."""
    wanted = spec(obj)
    for holder in (wanted, (wanted.get("template") or {}).get("spec") or {}):
        for container in (*(holder.get("containers") or ()), *(holder.get("initContainers") or ())):
            found = images.bundle_reference(str(container.get("image") or ""))
            if found is not None:
                yield found.digest


def collect(bundles: Path, used: Collection[str], before: float) -> list[str]:
    """Remove bundles that are neither used nor have been built again since `before` (seconds since the epoch); and
    leftovers of killed builds."""
    removed = []
    for place in list(bundles.iterdir()) if bundles.is_dir() else []:
        is_bundle = _DIGEST.fullmatch(place.name) is not None
        if place.name in used or not (is_bundle or place.name.startswith(".")) or not _lies_since(place, before):
            continue
        deleted = place.with_name(f".old-{place.name.removeprefix('.old-')}")
        place.rename(deleted)  # at once: a bundle is whole or not there
        trees.remove(deleted)
        removed.append(place.name)
    return removed


def _lies_since(place: Path, moment: float) -> bool:
    try:
        return place.stat().st_mtime <= moment
    except FileNotFoundError:  # a build that has just ended
        return False
