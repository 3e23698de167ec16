# SPDX-License-Identifier: Apache-2.0
"""The resources that a container requests from its node. Pure. In: a container of a Pod. Out: amounts by resource name.

Called by: quotas, the node's capacity and its measurements.
"""

from typing import Any

from tidegate.model.objects import Object


def requests(container: Object) -> dict[str, Any]:
    """The requests of a container, as they are written. A resource that has only a limit is requested up to it, which
    is Kubernetes' default."""
    resources = container.get("resources") or {}
    return {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
