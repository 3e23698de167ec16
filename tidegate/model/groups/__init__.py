# SPDX-License-Identifier: Apache-2.0
"""The resources that every Tidegate serves, one file per API group.

A `Resource` joins what the model has about one kind:

| of a kind | in |
| --- | --- |
| names, and its place among the built-in kinds | `model/kinds.py`: a constant, and a line in `BUILT_IN_KINDS` |
| schema | `model/schemas/GROUP.py` |
| defaults | `model/defaulting/GROUP.py` |
| rules | `model/validation/GROUP.py` |
| columns, informer | the `Resource` itself, in `model/groups/GROUP.py` |

Names are apart because the command line loads them on every start and needs nothing else. Discovery, admission,
OpenAPI, tables and informers follow from the `Resource`. A kind of an extension is one `Resource` with its names.
"""

from tidegate.model.groups import autoscaling, core, networking, serving, storage
from tidegate.model.scheme import Scheme

BUILT_IN_SCHEME = Scheme(
    (*serving.RESOURCES, *autoscaling.RESOURCES, *networking.RESOURCES, *core.RESOURCES, *storage.RESOURCES)
)
