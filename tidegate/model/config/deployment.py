# SPDX-License-Identifier: Apache-2.0
"""config-deployment: the deadline of a revision, settings of its image, and how many Pods are prepared (this key is
Tidegate's own). The keys of Knative's sidecar are ignored, because Tidegate has no sidecar."""

from collections.abc import Iterator
from dataclasses import dataclass

from tidegate.model.config import values
from tidegate.model.config.values import Problem


@dataclass(frozen=True, slots=True)
class DeploymentConfig:
    """Times are seconds. `prepared_pods_limit`: None for a limit by the memory of the machine."""

    progress_deadline: float = values.seconds(600.0)
    digest_resolution_timeout: float = values.seconds(10.0)
    registries_skipping_tag_resolving: frozenset[str] = values.names(frozenset({"kind.local", "ko.local", "dev.local"}))
    pod_is_always_schedulable: bool = values.switch(False)
    prepared_pods_limit: int | None = values.whole(None, bits=32)

    def problems(self) -> Iterator[Problem]:
        if self.progress_deadline <= 0 or not float(self.progress_deadline).is_integer():
            yield "progress-deadline", f"must be whole seconds and positive, was {self.progress_deadline:g}s"
        if self.digest_resolution_timeout <= 0:
            yield "digest-resolution-timeout", f"must be positive, was {self.digest_resolution_timeout:g}s"
        if (self.prepared_pods_limit or 0) < 0:
            yield "prepared-pods-limit", f"must be 0 or more, was {self.prepared_pods_limit}"
