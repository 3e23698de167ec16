# SPDX-License-Identifier: Apache-2.0
"""The patch of `apply`: it makes an object match a file, and keeps fields that others have set. Pure.

Three states: `original` was applied last, `modified` is applied now, `current` is on the server.
Rule (k8s.io/apimachinery jsonmergepatch):

| field in     | original | modified | current   | patch   |
| --- | --- | --- | --- | --- |
|              | any      | value    | the same  | nothing |
|              | any      | value    | other, no | value   |
|              | yes      | no       | yes       | null    |
|              | no       | no       | yes       | nothing |

Objects are compared field by field, lists as a whole.
"""

from typing import Any

import msgspec

from tidegate.model.names import LAST_APPLIED
from tidegate.model.objects import Object, annotations


def three_way(original: Any, modified: Object, current: Any) -> Object:
    """A JSON merge patch for `current`; empty if it matches."""
    before: Object = original if isinstance(original, dict) else {}
    present: Object = current if isinstance(current, dict) else {}
    patch: Object = {name: None for name in before if name not in modified}
    for name, wanted in modified.items():
        found = present.get(name)
        if isinstance(wanted, dict) and isinstance(found, dict):
            inner = three_way(before.get(name), wanted, found)
            if inner:
                patch[name] = inner
        elif name not in present or wanted != found:
            patch[name] = wanted
    return {name: change for name, change in patch.items() if change is not None or name in present}


def last_applied(obj: Object) -> Object:
    """The state that was applied last, from the object's annotation; empty if there is none."""
    try:
        return msgspec.json.decode(annotations(obj).get(LAST_APPLIED, "{}"), type=dict[str, Any])
    except msgspec.MsgspecError:
        return {}


def with_last_applied(obj: Object) -> Object:
    """The object as `apply` sends it: with its own JSON in the annotation of kubectl."""
    given = {name: value for name, value in annotations(obj).items() if name != LAST_APPLIED}
    plain = {**obj, "metadata": {**obj["metadata"], "annotations": given}}
    applied = f"{msgspec.json.encode(plain, order='sorted').decode()}\n"
    return {**obj, "metadata": {**obj["metadata"], "annotations": {**given, LAST_APPLIED: applied}}}
