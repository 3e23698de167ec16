# SPDX-License-Identifier: Apache-2.0
"""The values that metadata may have: names, labels, annotations, owner references, finalizers. Pure.

Rules and texts: k8s.io/apimachinery api/validation and pkg/util/validation.
"""

import re
from collections.abc import Iterator

from tidegate.model.errors import Cause
from tidegate.model.kinds import NAMESPACE, Kind
from tidegate.model.objects import Object, is_deleting
from tidegate.model.registry import rejections
from tidegate.model.text import syntax

MOST_ANNOTATION_BYTES = 256 * 1024
_LABEL_VALUE = r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?"
_IS_LABEL_VALUE = re.compile(_LABEL_VALUE)
_BAD_LABEL_VALUE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    f"'{_LABEL_VALUE}')"
)


def check(kind: Kind, new: Object, old: Object | None = None) -> None:
    """Raise `Invalid` with every wrong field of the metadata. An update that does not change the metadata passes."""
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
        raise rejections.invalid(kind, metadata.get("name", ""), causes)


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
    rules = syntax.dns_1123_label(name) if kind is NAMESPACE else syntax.dns_1123_subdomain(name)
    yield from (_invalid("metadata.name", name, rule) for rule in rules)


def _qualified(field: str, key: str) -> Iterator[Cause]:
    return (_invalid(field, key, rule) for rule in syntax.qualified_name(key))


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
    if size > MOST_ANNOTATION_BYTES:
        yield Cause(
            "FieldValueTooLong", f"Too long: may not be more than {MOST_ANNOTATION_BYTES} bytes", "metadata.annotations"
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
