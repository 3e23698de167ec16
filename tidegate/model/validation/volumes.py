# SPDX-License-Identifier: Apache-2.0
"""The rules of volumes and of their mounts in containers."""

import posixpath
from collections.abc import Collection, Iterator, Mapping, Sequence

from tidegate.model.config import FeaturesConfig, Flag
from tidegate.model.field_errors import FieldError, invalid, missing, missing_one_of, not_allowed, several_of, under
from tidegate.model.objects import Object
from tidegate.model.text import quantities, syntax

_RESERVED_PATHS = ("/", "/dev", "/dev/log")
_ALWAYS = ("secret", "configMap", "projected")
_PROJECTIONS = ("secret", "configMap", "serviceAccountToken", "downwardAPI")
_WRITABLE = ("emptyDir", "persistentVolumeClaim", "ephemeral")
_MOUNT_FIELDS = ("name", "readOnly", "mountPath", "subPath")


def _flags(features: FeaturesConfig) -> Mapping[str, tuple[str, Flag]]:
    """The sources that need a feature: their name in messages, and the state of the feature."""
    return {
        "emptyDir": ("EmptyDir volume", features.podspec_volumes_emptydir),
        "persistentVolumeClaim": ("Persistent volume claim", features.podspec_persistent_volume_claim),
        "hostPath": ("HostPath volume", features.podspec_volumes_hostpath),
        "csi": ("CSI volume", features.podspec_volumes_csi),
        "ephemeral": ("Ephemeral volume", features.podspec_volumes_ephemeral),
        "image": ("Image volume", features.podspec_volumes_image),
    }


def volumes(given: Sequence[Object], mounted: Collection[str], features: FeaturesConfig) -> Iterator[FieldError]:
    """The errors of all volumes. `mounted`: the names that containers use."""
    seen = set()
    for index, volume in enumerate(given):
        name = volume["name"]
        if name in seen:
            yield FieldError(f'duplicate volume name "{name}"', (f"[{index}].name",))
        if name not in mounted:
            yield FieldError(f'volume with name "{name}" not mounted', (f"[{index}].name",))
        yield from under(f"[{index}]", _volume(volume, features))
        seen.add(name)


def _volume(volume: Object, features: FeaturesConfig) -> Iterator[FieldError]:
    flags = _flags(features)
    name = volume["name"]
    if not name:
        yield missing("name")
    elif syntax.dns_1123_label(name):
        yield invalid(name, "name")
    else:
        yield from _switched_off(volume, flags)
        yield from _claim(volume, features)
    allowed = (*_ALWAYS, *(source for source, (_, flag) in flags.items() if flag))
    yield from not_allowed(volume, ("name", *allowed))
    yield from _sources(volume, flags)
    yield from _contents(volume)


def _switched_off(volume: Object, flags: Mapping[str, tuple[str, Flag]]) -> Iterator[FieldError]:
    for source, (title, flag) in flags.items():
        if source in volume and flag is not Flag.ENABLED:
            found = f"{title} {volume['name']}"
            if source == "persistentVolumeClaim":
                found = f"{title.lower()} {volume[source]['claimName']}"
            yield FieldError(f"{title} support is disabled, but found {found}", ())


def _claim(volume: Object, features: FeaturesConfig) -> Iterator[FieldError]:
    claim = volume.get("persistentVolumeClaim")
    if claim and not claim.get("readOnly") and features.podspec_persistent_volume_write is not Flag.ENABLED:
        message = "Persistent volume write support is disabled, but found persistent volume claim"
        yield FieldError(f"{message} {claim['claimName']} that is not read-only", ())


def _sources(volume: Object, flags: Mapping[str, tuple[str, Flag]]) -> Iterator[FieldError]:
    named = [source for source in (*_ALWAYS, *flags) if source in volume]
    if not named:
        enabled = [source for source, (_, flag) in flags.items() if flag is Flag.ENABLED]
        yield missing_one_of(*_ALWAYS, *enabled)
    elif len(named) > 1:
        yield several_of(*named)


def _contents(volume: Object) -> Iterator[FieldError]:
    for source in ("secret", "configMap"):
        yield from _items(volume.get(source) or {})
    for index, part in enumerate((volume.get("projected") or {}).get("sources") or ()):
        yield from under(f"projected[{index}]", _projection(part))
    if "emptyDir" in volume:
        yield from under("emptyDir", _empty_dir(volume["emptyDir"]))
    if "image" in volume:
        yield from under("image", _image(volume["image"]))


def _items(source: Object) -> Iterator[FieldError]:
    for index, item in enumerate(source.get("items") or ()):
        for field in ("key", "path"):
            if not item[field]:
                yield missing(f"items[{index}].{field}")


def _projection(part: Object) -> Iterator[FieldError]:
    yield from not_allowed(part, _PROJECTIONS)
    named = [source for source in _PROJECTIONS if source in part]
    for source in named:
        yield from under(source, _projected(source, part[source]))
    if not named:
        yield missing_one_of(*_PROJECTIONS)
    elif len(named) > 1:
        yield several_of(*named)


def _projected(source: str, content: Object) -> Iterator[FieldError]:
    if source == "serviceAccountToken":
        if not content["path"]:
            yield missing("path")
    elif source == "downwardAPI":
        for index, file in enumerate(content.get("items") or ()):
            yield from under(f"items[{index}]", _downward_file(file))
    else:
        if not content.get("name"):
            yield missing("name")
        yield from _items(content)


def _downward_file(file: Object) -> Iterator[FieldError]:
    if "fieldRef" not in file and "resourceFieldRef" not in file:
        yield missing_one_of("fieldRef", "resourceFieldRef")
    if "fieldRef" in file and "resourceFieldRef" in file:
        yield FieldError("Within a single item, cannot set both", ("resourceFieldRef", "fieldRef"))
    if not file["path"]:
        yield missing("path")


def _empty_dir(source: Object) -> Iterator[FieldError]:
    if source.get("medium", "") not in ("", "Memory"):
        yield invalid(source["medium"], "medium")
    if "sizeLimit" in source and quantities.parse(source["sizeLimit"]).amount < 0:
        yield invalid(source["sizeLimit"], "sizeLimit")


def _image(source: Object) -> Iterator[FieldError]:
    if not source.get("reference"):
        yield missing("reference")
    if source.get("pullPolicy", "") not in ("", "Always", "IfNotPresent", "Never"):
        yield invalid(source["pullPolicy"], "pullPolicy")


def mounts(given: Sequence[Object], named: Mapping[str, Object], features: FeaturesConfig) -> Iterator[FieldError]:
    """The errors of a container's mounts of the volumes `named`."""
    seen: set[str] = set()
    for index, mount in enumerate(given):
        yield from under(f"[{index}]", _mount(mount, named.get(mount["name"]), seen, features))
        seen.add(_clean(mount["mountPath"]))


def _clean(path: str) -> str:
    """The result of Go's path.Clean."""
    cleaned = posixpath.normpath(path)
    return cleaned[1:] if cleaned.startswith("//") else cleaned


def _mount(
    mount: Object, volume: Object | None, seen: Collection[str], features: FeaturesConfig
) -> Iterator[FieldError]:
    propagation = features.podspec_volumes_mount_propagation
    yield from not_allowed(mount, (*_MOUNT_FIELDS, "mountPropagation") if propagation else _MOUNT_FIELDS)
    if volume is None:
        yield FieldError("volumeMount has no matching volume", ("name",))
    yield from _mount_path(mount["mountPath"], seen)
    writable = volume is not None and any(source in volume for source in _WRITABLE)
    if not writable and not mount.get("readOnly"):
        yield FieldError("volume mount should be readOnly for this type of volume", ("readOnly",))
    yield from _propagation(mount, propagation)
    claim = (volume or {}).get("persistentVolumeClaim") or {}
    if claim.get("readOnly") and not mount.get("readOnly"):
        yield FieldError("volume is readOnly but volume mount is not", ("readOnly",))


def _mount_path(path: str, seen: Collection[str]) -> Iterator[FieldError]:
    if not path:
        yield missing("mountPath")
    elif _clean(path) in _RESERVED_PATHS:
        yield FieldError(f'mountPath "{_clean(path)}" is a reserved path', ("mountPath",))
    elif not path.startswith("/"):
        yield invalid(path, "mountPath")
    elif _clean(path) in seen:
        yield invalid(f'"{path}" must be unique', "mountPath")


def _propagation(mount: Object, flag: Flag) -> Iterator[FieldError]:
    if "mountPropagation" not in mount:
        return
    if flag is not Flag.ENABLED:
        message = "Volume Mount Propagation support is disabled, but found volume mount"
        yield FieldError(f"{message} {mount['name']} with mount propagation", ())
    if mount["mountPropagation"] not in ("None", "HostToContainer"):
        yield FieldError("mount propagation should be set to None or HostToContainer", ("mountPropagation",))
