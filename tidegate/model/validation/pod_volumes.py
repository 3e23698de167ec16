# SPDX-License-Identifier: Apache-2.0
"""The rules of a Pod's volumes and of their mounts. Texts: k8s.io/kubernetes pkg/apis/core/validation.

A revision's volumes have stricter rules, those of Knative (`volumes.py`). A volume without a type is an emptyDir, as in
Kubernetes. Types that this node does not have are rejected by the node, which names them.
"""

from collections.abc import Collection, Iterator, Mapping

from tidegate.model.causes import duplicate, forbidden, invalid, required, unsupported
from tidegate.model.errors import Cause
from tidegate.model.objects import Object
from tidegate.model.text import quantities, syntax

_MOST_MODE = 0o777
_LEAST_SECONDS, _MOST_SECONDS = 600, 2**32
_HOST_PATH_TYPES = (
    *("", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"),
)
_CHECKED = ("configMap", "secret", "downwardAPI", "projected", "emptyDir", "hostPath", "persistentVolumeClaim")
_PROJECTED = ("configMap", "secret", "downwardAPI", "serviceAccountToken")
_REQUIRED = {"configMap": "name", "secret": "secretName", "persistentVolumeClaim": "claimName", "hostPath": "path"}


def volumes(spec: Object) -> Iterator[Cause]:
    """The errors of all volumes of a Pod."""
    seen: set[str] = set()
    for index, volume in enumerate(spec.get("volumes") or ()):
        path, name = f"spec.volumes[{index}]", str(volume.get("name") or "")
        if not name:
            yield required(f"{path}.name")
        elif rules := syntax.dns_1123_label(name):
            yield invalid(name, f"{path}.name", ", ".join(rules))
        elif name in seen:
            yield duplicate(name, f"{path}.name")
        seen.add(name)
        types = [field for field, content in volume.items() if field != "name" and content is not None]
        yield from (forbidden(f"{path}.{each}", "may not specify more than 1 volume type") for each in types[1:])
        for field in types[:1]:
            if field in _CHECKED:
                yield from _volume(field, volume[field], f"{path}.{field}")


def _volume(field: str, content: Object, path: str) -> Iterator[Cause]:
    if field in _REQUIRED and not content.get(_REQUIRED[field]):
        yield required(f"{path}.{_REQUIRED[field]}")
    yield from _mode(content.get("defaultMode"), f"{path}.defaultMode")
    if field in ("configMap", "secret", "downwardAPI"):
        yield from _items(content, path)
    elif field == "projected":
        yield from _projected(content, path)
    elif field == "emptyDir":
        yield from _empty_dir(content, path)
    elif field == "hostPath":
        yield from _host_path(content, path)


def _empty_dir(content: Object, path: str) -> Iterator[Cause]:
    if content.get("medium", "") not in ("", "Memory"):
        yield unsupported(content["medium"], f"{path}.medium", ("", "Memory"))
    if "sizeLimit" in content and quantities.parse(content["sizeLimit"]).amount < 0:
        yield forbidden(f"{path}.sizeLimit", "SizeLimit field must be a valid resource quantity")


def _host_path(content: Object, path: str) -> Iterator[Cause]:
    if ".." in str(content.get("path") or "").split("/"):
        yield invalid(content["path"], f"{path}.path", "must not contain '..'")
    if (content.get("type") or "") not in _HOST_PATH_TYPES:
        yield unsupported(content["type"], f"{path}.type", _HOST_PATH_TYPES[1:])


def _projected(content: Object, path: str) -> Iterator[Cause]:
    taken: set[str] = set()
    for index, source in enumerate(content.get("sources") or ()):
        place = f"{path}.sources[{index}]"
        types = [field for field in source if source[field] is not None]
        yield from (forbidden(f"{place}.{each}", "may not specify more than 1 volume type") for each in types[1:])
        for field in types[:1]:
            if field not in _PROJECTED:
                continue
            yield from _projection(field, source[field], f"{place}.{field}", taken)


def _projection(field: str, content: Object, path: str, taken: set[str]) -> Iterator[Cause]:
    """One source of a projected volume. `taken`: the paths of earlier ones."""
    if field in ("configMap", "secret") and not content.get("name"):
        yield required(f"{path}.name")
    if field == "serviceAccountToken":
        seconds = content.get("expirationSeconds", _LEAST_SECONDS)
        if seconds < _LEAST_SECONDS:
            yield invalid(seconds, f"{path}.expirationSeconds", "may not specify a duration less than 10 minutes")
        if seconds > _MOST_SECONDS:
            yield invalid(seconds, f"{path}.expirationSeconds", "may not specify a duration larger than 2^32 seconds")
        yield from _local(str(content.get("path") or ""), f"{path}.path")
    yield from _items(content, path)
    named = [content, *(content.get("items") or ())]
    for file in (str(each["path"]) for each in named if each.get("path")):
        if file in taken:
            yield invalid(file, path, "conflicting duplicate paths")
        taken.add(file)


def _items(content: Object, path: str) -> Iterator[Cause]:
    for index, item in enumerate(content.get("items") or ()):
        place = f"{path}.items[{index}]"
        if "fieldRef" not in item and "resourceFieldRef" not in item and not item.get("key"):
            yield required(f"{place}.key")
        yield from _local(str(item.get("path") or ""), f"{place}.path")
        yield from _mode(item.get("mode"), f"{place}.mode")


def _local(text: str, path: str) -> Iterator[Cause]:
    """The path of a file in a volume."""
    if not text:
        yield required(path)
        return
    yield from _relative(text, path)
    if text.startswith(".."):
        yield invalid(text, path, "must not start with '..'")


def _relative(text: str, path: str) -> Iterator[Cause]:
    if text.startswith("/"):
        yield invalid(text, path, "must be a relative path")
    if ".." in text.split("/"):
        yield invalid(text, path, "must not contain '..'")


def _mode(mode: int | None, path: str) -> Iterator[Cause]:
    if mode is not None and not 0 <= mode <= _MOST_MODE:
        yield invalid(mode, path, "must be a number between 0 and 0777 (octal), both inclusive")


def mounts(container: Object, path: str, named: Collection[str]) -> Iterator[Cause]:
    """The errors of a container's mounts of the volumes `named`."""
    seen: set[str] = set()
    for index, mount in enumerate(container.get("volumeMounts") or ()):
        place = f"{path}.volumeMounts[{index}]"
        yield from _mount(mount, place, named)
        target = str(mount.get("mountPath") or "")
        if target in seen:
            yield invalid(target, f"{place}.mountPath", "must be unique")
        seen.add(target)


def _mount(mount: Mapping[str, str], place: str, named: Collection[str]) -> Iterator[Cause]:
    name, sub_path, expression = (str(mount.get(field) or "") for field in ("name", "subPath", "subPathExpr"))
    if not name:
        yield required(f"{place}.name")
    elif name not in named:
        yield Cause("FieldValueNotFound", f'Not found: "{name}"', f"{place}.name")
    if not mount.get("mountPath"):
        yield required(f"{place}.mountPath")
    yield from _relative(sub_path, f"{place}.subPath")
    yield from _relative(expression, f"{place}.subPathExpr")
    if sub_path and expression:
        yield invalid(expression, f"{place}.subPathExpr", "subPathExpr and subPath are mutually exclusive")
