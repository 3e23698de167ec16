# SPDX-License-Identifier: Apache-2.0
"""The defaults of Kubernetes' own kinds, as far as Tidegate relies on them."""

from tidegate.model.object_write import ObjectWrite
from tidegate.model.objects import Object
from tidegate.model.text import quantities
from tidegate.model.tokens import DEFAULT_SECONDS

_WITH_MODES = ("configMap", "secret", "downwardAPI", "projected")
_DEFAULT_MODE = 0o644


def pod(write: ObjectWrite) -> None:
    if write.old is None and "spec" in write.new:
        spec = write.new["spec"]
        spec.setdefault("restartPolicy", "Always")
        spec.setdefault("terminationGracePeriodSeconds", 30)
        for volume in spec.get("volumes") or ():
            _volume(volume)


def _volume(volume: Object) -> None:
    """Clients rely on these: `kubectl describe` fails without the lifetime of a token."""
    if not any(content is not None for field, content in volume.items() if field != "name"):
        volume["emptyDir"] = {}
    for source in _WITH_MODES:
        if volume.get(source) is not None:
            volume[source].setdefault("defaultMode", _DEFAULT_MODE)
    if volume.get("hostPath") is not None:
        volume["hostPath"].setdefault("type", "")
    for source in (volume.get("projected") or {}).get("sources") or ():
        if source.get("serviceAccountToken") is not None:
            source["serviceAccountToken"].setdefault("expirationSeconds", DEFAULT_SECONDS)


def secret(write: ObjectWrite) -> None:
    write.new["type"] = write.new.get("type") or "Opaque"


def resource_quota(write: ObjectWrite) -> None:
    """Each limit gets its canonical form."""
    limits = (write.new.get("spec") or {}).get("hard") or {}
    limits.update({name: str(quantities.parse(written)) for name, written in limits.items()})
