# SPDX-License-Identifier: Apache-2.0
"""The quality of service of a Pod (`qosClass`). Pure.

In: the requests and limits of its containers. Out: Guaranteed, Burstable or BestEffort. Called by: `status.py`; the OCI
runtime.
"""

from tidegate.model.objects import Object


def quality(pod: Object) -> str:
    """Rule: pkg/apis/core/helper/qos: Guaranteed when every container's limits are its requests, for both resources."""
    resources = [container.get("resources") or {} for container in pod["spec"]["containers"]]
    if not any(entry.get("limits") or entry.get("requests") for entry in resources):
        return "BestEffort"
    whole = all(
        {"cpu", "memory"} <= set(entry.get("limits") or {})
        and (entry.get("requests") or entry["limits"]) == entry["limits"]
        for entry in resources
    )
    return "Guaranteed" if whole else "Burstable"
