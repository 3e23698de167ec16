# SPDX-License-Identifier: Apache-2.0
"""The files of the volumes whose content is in objects: configMap, secret, downwardAPI, projected. Pure.

In: a volume of a Pod's spec, the objects that it names, and its tokens. Out: its files by their path; or
`VolumeProblem`, in the kubelet's words. Called by: `volumes.py`. All four types are read as projections, so that each
rule exists once.
Rules: k8s.io/kubernetes pkg/volume/configmap, secret, downwardapi, projected.
"""

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tidegate.model.kinds import CONFIG_MAP, SECRET, Kind
from tidegate.model.objects import Object, spec
from tidegate.model.tokens import DEFAULT_SECONDS, TokenOptions
from tidegate.node import downward
from tidegate.node.downward import DownwardError, NodeFacts

SOURCES = ("configMap", "secret", "downwardAPI", "projected")
"""The types of volumes that this module can fill."""

AUTHORITY = "certificateAuthority"
"""A projection of our own, for the volume that Pods get without asking."""

_KINDS: Mapping[str, Kind] = {"configMap": CONFIG_MAP, "secret": SECRET}
_DEFAULT_MODE = 0o644
_PRIVATE_MODE = 0o600  # of a token whose reader is known
_MOST_BYTES = 16 * 2**20  # of a volume; an object has at most 1 MiB
_MOST_FILES = 10_000
_LONGEST_PATH, _LONGEST_NAME = 1024, 255  # bytes


class VolumeProblem(Exception):
    """A volume cannot have the content that its Pod asks for. The message is the end of the kubelet's."""


class Reference(NamedTuple):
    """An object in the Pod's namespace."""

    kind: Kind
    name: str


class VolumeFile(NamedTuple):
    """`user`: its owner; None: root, or the user of Tidegate."""

    content: bytes
    mode: int
    user: int | None = None


Payload = Mapping[str, VolumeFile]
"""The files of a volume, by their path in it."""


@dataclass(frozen=True, slots=True)
class Sources:
    """All that a payload is made of. `objects`: None for a missing one; `authority`: the certificate of the API's."""

    pod: Object
    node: NodeFacts
    objects: Mapping[Reference, Object | None] = field(default_factory=dict)
    tokens: Mapping[TokenOptions, str] = field(default_factory=dict)
    authority: bytes = b""


def references(volume: Object) -> Iterator[Reference]:
    """The objects that a volume shows."""
    for source, content in _projections(volume):
        if source in _KINDS:
            yield Reference(_KINDS[source], str(content.get("name") or ""))


def tokens(volume: Object) -> Iterator[TokenOptions]:
    """The tokens that a volume shows."""
    return (_token_options(content) for source, content in _projections(volume) if source == "serviceAccountToken")


def payload(volume: Object, sources: Sources) -> Payload:
    """The files of a volume. A later source replaces the file of an earlier one."""
    source = next(name for name in SOURCES if name in volume)
    default = volume[source].get("defaultMode")
    mode = _DEFAULT_MODE if default is None else int(default)
    files: dict[str, VolumeFile] = {}
    for projected, content in _projections(volume):
        if projected == "serviceAccountToken":
            token = sources.tokens[_token_options(content)].encode()
            files[_path(content)] = _token_file(token, mode, sources.pod)
        elif projected == AUTHORITY:
            files[_path(content)] = VolumeFile(sources.authority, mode)
        elif projected == "downwardAPI":
            files |= _fields(content, mode, sources)
        else:
            kind = _KINDS[projected]
            files |= _values(kind, content, mode, sources.objects[Reference(kind, str(content.get("name") or ""))])
    _require_bounds(files)
    return files


def _projections(volume: Object) -> Iterator[tuple[str, Object]]:
    """The type and the content of each source of a volume, in order."""
    if "projected" in volume:
        for part in volume["projected"].get("sources") or ():
            for source, content in part.items():
                if source not in (*_KINDS, "downwardAPI", "serviceAccountToken", AUTHORITY):
                    raise VolumeProblem(f"projected volume source {source} is not supported")
                yield source, content or {}
    elif "secret" in volume:
        yield "secret", {**volume["secret"], "name": volume["secret"].get("secretName") or ""}
    else:
        source = "configMap" if "configMap" in volume else "downwardAPI"
        yield source, volume[source] or {}


def _token_options(content: Object) -> TokenOptions:
    audience = str(content.get("audience") or "")
    return TokenOptions((audience,) if audience else (), int(content.get("expirationSeconds") or DEFAULT_SECONDS))


def _values(kind: Kind, content: Object, mode: int, obj: Object | None) -> dict[str, VolumeFile]:
    """The values of a ConfigMap or a Secret: all of them, or the ones that `items` names."""
    optional = bool(content.get("optional"))
    if obj is None:
        if optional:
            return {}
        raise VolumeProblem(f'{kind.singular} "{content.get("name") or ""}" not found')
    data = _data(kind, obj)
    items = content.get("items") or ()
    if not items:
        return {_checked(name): VolumeFile(value, mode) for name, value in data.items()}
    files = {}
    for item in items:
        found = data.get(str(item.get("key") or ""))
        if found is not None:
            files[_path(item)] = VolumeFile(found, _mode(item, mode))
        elif not optional:
            word = "secret" if kind is SECRET else "config"
            raise VolumeProblem(f"references non-existent {word} key: {item.get('key') or ''}")
    return files


def _data(kind: Kind, obj: Object) -> dict[str, bytes]:
    texts = {} if kind is SECRET else obj.get("data") or {}
    encoded = obj.get("data" if kind is SECRET else "binaryData") or {}
    return {
        **{name: text.encode("utf-8", "surrogatepass") for name, text in texts.items()},
        **{name: base64.b64decode(value) for name, value in encoded.items()},
    }


def _fields(content: Object, mode: int, sources: Sources) -> dict[str, VolumeFile]:
    files = {}
    for item in content.get("items") or ():
        try:
            if (reference := item.get("fieldRef")) is not None:
                text = downward.file(sources.pod, str(reference.get("fieldPath") or ""))
            else:
                text = downward.amount(sources.pod, item.get("resourceFieldRef") or {}, sources.node)
        except DownwardError as error:
            raise VolumeProblem(str(error)) from error
        files[_path(item)] = VolumeFile(text.encode(), _mode(item, mode))
    return files


def _token_file(token: bytes, mode: int, pod: Object) -> VolumeFile:
    """A token belongs to the one user of the Pod's containers, or to its group; otherwise the mode decides who may read
    it. Rule: pkg/volume/projected and pkg/volume/util, FsUserFrom."""
    user = _only_user(pod)
    grouped = (spec(pod).get("securityContext") or {}).get("fsGroup") is not None
    return VolumeFile(token, _PRIVATE_MODE if grouped or user is not None else mode, user)


def _only_user(pod: Object) -> int | None:
    default = (spec(pod).get("securityContext") or {}).get("runAsUser")
    all_containers: Sequence[Object] = (*(spec(pod).get("initContainers") or ()), *(spec(pod).get("containers") or ()))
    users = {(each.get("securityContext") or {}).get("runAsUser", default) for each in all_containers}
    found = users.pop() if len(users) == 1 else None
    return None if found is None else int(found)


def _mode(item: Object, default: int) -> int:
    return default if item.get("mode") is None else int(item["mode"])


def _path(item: Object) -> str:
    return _checked(str(item.get("path") or ""))


def _checked(path: str) -> str:
    """A path that stays in its volume, and away from the names that the writer uses itself."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not parts or path.startswith(("/", "..")) or ".." in parts or parts[0].startswith("..") or "\0" in path:
        raise VolumeProblem(f"invalid path {path!r}: must be relative, without '..', and must not start with '..'")
    if max(map(_size, parts)) > _LONGEST_NAME or _size(path) > _LONGEST_PATH:
        raise VolumeProblem(f"invalid path {path[:60]!r}...: too long")
    return "/".join(parts)


def _size(path: str) -> int:
    return len(path.encode(errors="replace"))


def _require_bounds(files: Payload) -> None:
    size = sum(len(file.content) for file in files.values())
    if size > _MOST_BYTES or len(files) > _MOST_FILES:
        limits = f"{_MOST_BYTES} bytes and {_MOST_FILES} files"
        raise VolumeProblem(f"the volume has {size} bytes in {len(files)} files; the limits are {limits}")
    for path in files:
        parent, _, _ = path.rpartition("/")
        while parent:
            if parent in files:
                raise VolumeProblem(f"the paths {parent!r} and {path!r} exclude each other")
            parent, _, _ = parent.rpartition("/")
