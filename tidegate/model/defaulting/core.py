# SPDX-License-Identifier: Apache-2.0
"""The defaults of Kubernetes' own kinds, as far as Tidegate relies on them."""

from tidegate.model.object_write import ObjectWrite
from tidegate.model.text import quantities


def pod(write: ObjectWrite) -> None:
    if write.old is None and "spec" in write.new:
        spec = write.new["spec"]
        spec.setdefault("restartPolicy", "Always")
        spec.setdefault("terminationGracePeriodSeconds", 30)


def secret(write: ObjectWrite) -> None:
    write.new["type"] = write.new.get("type") or "Opaque"


def resource_quota(write: ObjectWrite) -> None:
    """Each limit gets its canonical form."""
    limits = (write.new.get("spec") or {}).get("hard") or {}
    limits.update({name: str(quantities.parse(written)) for name, written in limits.items()})
