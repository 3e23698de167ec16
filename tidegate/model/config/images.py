# SPDX-License-Identifier: Apache-2.0
"""config-images: registries of images, pulls and the collection of unused images. Tidegate's own map; the keys of the
collection and of pulls are the kubelet's fields (`imageGCHighThresholdPercent` and others)."""

from collections.abc import Iterator
from dataclasses import dataclass

from tidegate.model.config import values
from tidegate.model.config.values import Problem

_ALL = 100


def _mirrors(text: str) -> tuple[tuple[str, str], ...]:
    """REGISTRY=MIRROR, separated by commas; several mirrors of a registry are tried in order."""
    found = []
    for entry in (entry.strip() for entry in text.split(",")):
        registry, equals, mirror = (part.strip() for part in entry.partition("="))
        if entry and not (equals and registry and mirror):
            raise ValueError(f'"{entry}" is not REGISTRY=MIRROR')
        if entry:
            found.append((registry, mirror))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class ImagesConfig:
    """Times are seconds; thresholds are percent of the disk in use. `image_maximum_gc_age`: 0 sets no limit."""

    registry_mirrors: tuple[tuple[str, str], ...] = values.setting((), _mirrors)
    insecure_registries: frozenset[str] = values.names(frozenset())
    image_pull_progress_deadline: float = values.seconds(60.0)
    max_parallel_image_pulls: int = values.whole(4)
    image_gc_high_threshold_percent: int = values.whole(85)
    image_gc_low_threshold_percent: int = values.whole(80)
    image_minimum_gc_age: float = values.seconds(120.0)
    image_maximum_gc_age: float = values.seconds(0.0)

    def problems(self) -> Iterator[Problem]:
        low, high = self.image_gc_low_threshold_percent, self.image_gc_high_threshold_percent
        if not 0 <= high <= _ALL:
            yield "image-gc-high-threshold-percent", f"must be between 0 and {_ALL}, was {high}"
        if not 0 <= low <= high:
            yield "image-gc-low-threshold-percent", f"must be between 0 and the high threshold {high}, was {low}"
        if self.image_pull_progress_deadline <= 0:
            yield "image-pull-progress-deadline", "must be positive"
        if self.max_parallel_image_pulls < 1:
            yield "max-parallel-image-pulls", f"must be at least 1, was {self.max_parallel_image_pulls}"
        for key in ("image-minimum-gc-age", "image-maximum-gc-age"):
            if getattr(self, key.replace("-", "_")) < 0:
                yield key, "must not be negative"
