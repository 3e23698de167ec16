# SPDX-License-Identifier: Apache-2.0
"""The volume with the token of its service account, which a Pod gets without asking. Pure.

In: a Pod and its service account. Out: a volume; `effective_mounts.py` mounts it. Called by: `volumes.py`. Rule: the
admission plugin ServiceAccount of Kubernetes. There the Pod's spec shows volume and mounts; here it does not, so that a
Pod does not grow by them.

| automountServiceAccountToken of the Pod | of the account | the Pod gets the volume |
| --- | --- | --- |
| false | any | no |
| true | any | yes |
| not set | false | no |
| not set | true, or not set | yes |

Only Pods of OCI containers get it. A process of this host gets a token by a projected volume.
"""

from tidegate.model import pods
from tidegate.model.objects import Object, spec
from tidegate.node.effective_mounts import TOKEN_VOLUME
from tidegate.node.volumes.payload import AUTHORITY

_SECONDS = 3607  # Kubernetes' choice, by which its own tokens can be recognized

_VOLUME: Object = {
    "name": TOKEN_VOLUME,
    "projected": {
        "sources": [
            {"serviceAccountToken": {"path": "token", "expirationSeconds": _SECONDS}},
            {AUTHORITY: {"path": "ca.crt"}},
            {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
        ]
    },
}


def automounted(pod: Object, account: Object | None) -> Object | None:
    """The volume; None for a Pod that does not get it. `account`: None for a missing one."""
    wanted = spec(pod).get("automountServiceAccountToken")
    if wanted is None:
        wanted = (account or {}).get("automountServiceAccountToken", True)
    return _VOLUME if wanted and pods.runtime_of(pod) == "oci" else None
