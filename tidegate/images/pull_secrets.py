# SPDX-License-Identifier: Apache-2.0
"""The credentials that a Pod brings for the registries of its images.

In: the spec of a Pod or a Revision. Out: `Credentials`. Called by: the Revision controller before it resolves tags, the
runtime before it pulls.

`imagePullSecrets` of the spec names the Secrets; if it names none, that of the Pod's ServiceAccount does, as in
Kubernetes' admission plugin ServiceAccount. A Secret that does not exist brings no login, as in the kubelet: the image
may need none.
"""

from tidegate.client.cluster import Cluster
from tidegate.images.credentials import Credentials, of_secrets
from tidegate.model import errors
from tidegate.model.kinds import SECRET, SERVICE_ACCOUNT, Kind
from tidegate.model.objects import Key, Object

_MOST = 32  # Secrets of one Pod


async def credentials_of(cluster: Cluster, namespace: str, pod_spec: Object) -> Credentials:
    """The logins of the Secrets, in order."""
    references = pod_spec.get("imagePullSecrets")
    if not references:
        account = str(pod_spec.get("serviceAccountName") or "default")
        references = (await _get(cluster, SERVICE_ACCOUNT, Key(namespace, account))).get("imagePullSecrets")
    names = [str((reference or {}).get("name") or "") for reference in (references or ())[:_MOST]]
    return of_secrets([await _get(cluster, SECRET, Key(namespace, name)) for name in names if name])


async def _get(cluster: Cluster, kind: Kind, key: Key) -> Object:
    """Empty if it does not exist."""
    try:
        return await cluster.get(kind, key)
    except errors.NotFound:
        return {}
