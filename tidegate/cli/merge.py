# SPDX-License-Identifier: Apache-2.0
"""The patch of `apply`: what makes an object on the server what a file says, but for what others have set. Pure.

Three states take part: `original`, what was applied last; `modified`, what is applied now; `current`, what is there.
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
    """A JSON merge patch for `current`; empty where nothing is to be done."""
    before: Object = original if isinstance(original, dict) else {}
    there: Object = current if isinstance(current, dict) else {}
    patch: Object = {name: None for name in before if name not in modified}
    for name, wanted in modified.items():
        found = there.get(name)
        if isinstance(wanted, dict) and isinstance(found, dict):
            inner = three_way(before.get(name), wanted, found)
            if inner:
                patch[name] = inner
        elif name not in there or wanted != found:
            patch[name] = wanted
    return {name: change for name, change in patch.items() if change is not None or name in there}


def last_applied(obj: Object) -> Object:
    """What the object's annotation says was applied last; nothing where it does not tell."""
    try:
        return msgspec.json.decode(annotations(obj).get(LAST_APPLIED, "{}"), type=dict[str, Any])
    except msgspec.MsgspecError:
        return {}


def with_last_applied(obj: Object) -> Object:
    """The object as `apply` sends it: with itself in its annotation, as kubectl keeps it."""
    given = {name: value for name, value in annotations(obj).items() if name != LAST_APPLIED}
    plain = {**obj, "metadata": {**obj["metadata"], "annotations": given}}
    applied = f"{msgspec.json.encode(plain, order='sorted').decode()}\n"
    return {**obj, "metadata": {**obj["metadata"], "annotations": {**given, LAST_APPLIED: applied}}}
