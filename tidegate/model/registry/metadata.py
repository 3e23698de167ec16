# SPDX-License-Identifier: Apache-2.0
"""What the API server keeps in an object's metadata, and what it lets others write there. Pure.

| | on creation | on update |
| --- | --- | --- |
| name | as given, or generateName and five characters | must stay |
| namespace | that of the request | must stay |
| uid, creationTimestamp | made | kept |
| generation | 1 | + 1 when anything but metadata and status changed |
| deletionTimestamp, deletionGracePeriodSeconds | dropped | kept |
| finalizers | as given | none may be added to an object that is being deleted |

Rules and texts: k8s.io/apiserver registry/rest/{create,update,meta}.go and k8s.io/apimachinery api/validation.
"""

import re
import secrets
import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from tidegate.model import errors
from tidegate.model.conditions import timestamp
from tidegate.model.errors import Cause
from tidegate.model.kinds import NAMESPACE, Kind
from tidegate.model.objects import Object, is_deleting
from tidegate.model.registry import refusals

_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_LONGEST_GENERATE_NAME = 58
_ANNOTATIONS_BYTES = 256 * 1024

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_QUALIFIED = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_LABEL_VALUE = r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?"
_IS_LABEL = re.compile(_LABEL)
_IS_SUBDOMAIN = re.compile(_SUBDOMAIN)
_IS_QUALIFIED = re.compile(_QUALIFIED)
_IS_LABEL_VALUE = re.compile(_LABEL_VALUE)
_BAD_LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    f"an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '{_LABEL}')"
)
_BAD_SUBDOMAIN = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
    f"and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '{_SUBDOMAIN}')"
)
_BAD_QUALIFIED = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    f"character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '{_QUALIFIED}')"
)
_BAD_LABEL_VALUE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    f"'{_LABEL_VALUE}')"
)
_OTHER_NAMESPACE = "the namespace of the provided object does not match the namespace sent on the request"


def has_generation(kind: Kind) -> bool:
    """Custom resources count their generations; the kinds of the core group that are served here do not."""
    return bool(kind.group)


def generated_name(prefix: str) -> str:
    """A name nobody else has, very likely."""
    return prefix[:_LONGEST_GENERATE_NAME] + "".join(secrets.choice(_ALPHABET) for _ in range(5))


def created(kind: Kind, obj: Object, namespace: str, now: datetime) -> Object:
    """`obj`, which is `shaped`, with the metadata of a new object. Raises `BadRequest` where it is not for here."""
    given = obj["metadata"]
    if given.get("resourceVersion"):
        raise errors.BadRequest("resourceVersion should not be set on objects to be created")
    metadata = {name: value for name, value in given.items() if name not in _NOT_OF_NEW}
    if kind.namespaced:
        metadata["namespace"] = given.get("namespace") or namespace
        if metadata["namespace"] != namespace:
            raise errors.BadRequest(_OTHER_NAMESPACE)
    else:
        metadata.pop("namespace", None)
    if not metadata.get("name") and metadata.get("generateName"):
        metadata["name"] = generated_name(metadata["generateName"])
    metadata["uid"] = str(uuid.uuid4())
    metadata["creationTimestamp"] = timestamp(now)
    metadata.pop("generation", None)
    if has_generation(kind):
        metadata["generation"] = 1
    return {**obj, "apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata}


_DELETION = ("deletionTimestamp", "deletionGracePeriodSeconds")
_NOT_OF_NEW = frozenset({"resourceVersion", "selfLink", "managedFields", *_DELETION})
_KEPT = ("namespace", "uid", "creationTimestamp", "generation", "generateName", *_DELETION)


def updated(kind: Kind, obj: Object, old: Object) -> Object:
    """`obj` with the metadata that an update may not touch taken from `old`. Raises `Conflict` where `obj` is about an
    older version or another object of that name, `BadRequest` where it names another object."""
    given, kept = obj.get("metadata") if isinstance(obj, dict) else None, old["metadata"]
    if given is kept and (obj.get("apiVersion"), obj.get("kind")) == (old["apiVersion"], old["kind"]):
        return obj  # as most writes of a status come: made from the newest version
    shaped(kind, obj)
    given = obj["metadata"]
    name = kept["name"]
    if given.get("name", name) != name:
        raise errors.BadRequest(f"the name of the object ({given['name']}) does not match the name on the URL ({name})")
    if given.get("namespace") and given["namespace"] != kept.get("namespace"):
        raise errors.BadRequest(_OTHER_NAMESPACE)
    if given.get("uid") and given["uid"] != kept["uid"]:
        raise refusals.wrong_uid(kind, name, given["uid"], kept["uid"])
    if given.get("resourceVersion") and given["resourceVersion"] != kept["resourceVersion"]:
        raise refusals.changed_meanwhile(kind, name)
    metadata = {field: value for field, value in given.items() if field not in (*_KEPT, "selfLink")}
    metadata |= {field: kept[field] for field in _KEPT if field in kept}
    metadata |= {"name": name, "resourceVersion": kept["resourceVersion"]}
    return {**obj, "apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata}


def counted(kind: Kind, new: Object, old: Object) -> Object:
    """`new` with its generation raised if what it asks for differs from `old`."""
    if not has_generation(kind) or _asked(new) == _asked(old):
        return new
    return {**new, "metadata": {**new["metadata"], "generation": old["metadata"].get("generation", 0) + 1}}


def _asked(obj: Object) -> Object:
    return {name: value for name, value in obj.items() if name not in ("apiVersion", "kind", "metadata", "status")}


def shaped(kind: Kind, obj: Object) -> None:
    """Raise `BadRequest` unless `obj` is an object of the kind with metadata of the right JSON types."""
    if not isinstance(obj, dict):
        raise errors.BadRequest(f"a {kind.kind} must be a JSON object")
    version, name = obj.get("apiVersion", kind.api_version), obj.get("kind", kind.kind)
    if (version, name) != (kind.api_version, kind.kind):
        told = f"{version}, Kind={name}"
        raise errors.BadRequest(f"the object provided is unrecognized (must be of type {kind.kind}): {told}")
    metadata = obj.get("metadata")
    if not isinstance(metadata, dict):
        raise errors.BadRequest("metadata: must be an object")
    for field, value in _misshapen(metadata):
        raise errors.BadRequest(f"cannot be handled as a {kind.kind}: metadata.{field}: unexpected {_json_type(value)}")


def _misshapen(metadata: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for field in ("name", "namespace", "generateName", "uid", "resourceVersion"):
        if not isinstance(metadata.get(field), str | None):
            yield field, metadata[field]
    for field in ("labels", "annotations"):
        entries = metadata.get(field)
        if isinstance(entries, dict):
            yield from ((f"{field}.{name}", text) for name, text in entries.items() if not isinstance(text, str))
        elif entries is not None:
            yield field, entries
    for field, item in (("finalizers", str), ("ownerReferences", dict), ("managedFields", dict)):
        entries = metadata.get(field)
        if isinstance(entries, list):
            yield from ((f"{field}[{i}]", entry) for i, entry in enumerate(entries) if not isinstance(entry, item))
        elif entries is not None:
            yield field, entries


def _json_type(value: object) -> str:
    names = {dict: "object", list: "array", str: "string", bool: "boolean", int: "number", float: "number"}
    return names.get(type(value), "null")


def check(kind: Kind, new: Object, old: Object | None = None) -> None:
    """Raise `Invalid` with every wrong field of the metadata."""
    metadata = new["metadata"]
    if old is not None and _unchanged(metadata, old["metadata"]):
        return
    causes = [
        *_name(kind, metadata),
        *_labels(metadata),
        *_annotations(metadata),
        *_owners(metadata),
        *_finalizers(new, old),
    ]
    if causes:
        raise refusals.invalid(kind, metadata.get("name", ""), causes)


def _unchanged(new: Object, old: Object) -> bool:
    return all(new.get(field) == old.get(field) for field in ("labels", "annotations", "ownerReferences", "finalizers"))


def _invalid(field: str, value: str, why: str) -> Cause:
    return Cause("FieldValueInvalid", f'Invalid value: "{value}": {why}', field)


def _required(field: str, why: str) -> Cause:
    return Cause("FieldValueRequired", f"Required value: {why}".removesuffix(": "), field)


def _name(kind: Kind, metadata: Object) -> Iterator[Cause]:
    name = metadata.get("name")
    if not name:
        yield _required("metadata.name", "name or generateName is required")
        return
    is_name, longest, bad = (_IS_LABEL, 63, _BAD_LABEL) if kind is NAMESPACE else (_IS_SUBDOMAIN, 253, _BAD_SUBDOMAIN)
    if len(name) > longest:
        yield _invalid("metadata.name", name, f"must be no more than {longest} characters")
    if not is_name.fullmatch(name):
        yield _invalid("metadata.name", name, bad)


def _qualified(field: str, key: str) -> Iterator[Cause]:
    prefix, slash, name = key.rpartition("/")
    if slash and not (len(prefix) <= 253 and _IS_SUBDOMAIN.fullmatch(prefix)):
        yield _invalid(field, key, f"prefix part {_BAD_SUBDOMAIN}")
    if len(name) > 63:
        yield _invalid(field, key, "name part must be no more than 63 characters")
    if not _IS_QUALIFIED.fullmatch(name):
        yield _invalid(field, key, _BAD_QUALIFIED)


def _labels(metadata: Object) -> Iterator[Cause]:
    for key, value in (metadata.get("labels") or {}).items():
        yield from _qualified("metadata.labels", key)
        if len(value) > 63:
            yield _invalid("metadata.labels", value, "must be no more than 63 characters")
        if not _IS_LABEL_VALUE.fullmatch(value):
            yield _invalid("metadata.labels", value, _BAD_LABEL_VALUE)


def _annotations(metadata: Object) -> Iterator[Cause]:
    size = 0
    for key, value in (metadata.get("annotations") or {}).items():
        yield from _qualified("metadata.annotations", key.lower())
        size += len(key.encode()) + len(value.encode())
    if size > _ANNOTATIONS_BYTES:
        yield Cause(
            "FieldValueTooLong", f"Too long: may not be more than {_ANNOTATIONS_BYTES} bytes", "metadata.annotations"
        )


def _owners(metadata: Object) -> Iterator[Cause]:
    references = metadata.get("ownerReferences") or []
    for index, reference in enumerate(references):
        for field in ("apiVersion", "kind", "name", "uid"):
            if not isinstance(reference.get(field), str) or not reference[field]:
                yield _required(f"metadata.ownerReferences[{index}].{field}", "must not be empty")
    controllers = [reference.get("name") for reference in references if reference.get("controller")]
    if len(controllers) > 1:
        why = f"Only one reference can have Controller set to true. Found {len(controllers)}"
        yield _invalid("metadata.ownerReferences", ", ".join(map(str, controllers)), why)


def _finalizers(new: Object, old: Object | None) -> Iterator[Cause]:
    wanted = new["metadata"].get("finalizers") or []
    for finalizer in wanted:
        yield from _qualified("metadata.finalizers", finalizer)
    if old is not None and is_deleting(old):
        before = frozenset(old["metadata"].get("finalizers") or ())
        added = [name for name in wanted if name not in before]
        if added:
            why = f"no new finalizers can be added if the object is being deleted, found new finalizers {added}"
            yield Cause("FieldValueForbidden", f"Forbidden: {why}", "metadata.finalizers")
