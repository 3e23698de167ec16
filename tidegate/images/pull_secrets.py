# SPDX-License-Identifier: Apache-2.0
"""The credentials that a Pod brings for the registries of its images.

In: the spec of a Pod or a Revision, whose `imagePullSecrets` name Secrets. Out: `Credentials`. Called by: the Revision
controller before it resolves tags, the runtime before it pulls. A Secret that does not exist brings none, as in the
kubelet: the image may need no credentials.
"""

from tidegate.client.cluster import Cluster
from tidegate.images.credentials import Credentials, of_secrets
from tidegate.model import errors
from tidegate.model.kinds import SECRET
from tidegate.model.objects import Key, Object

_MOST = 32  # Secrets of one Pod


async def credentials_of(cluster: Cluster, namespace: str, pod_spec: Object) -> Credentials:
    """The logins of the Secrets that a spec names, in its order."""
    found = []
    for reference in (pod_spec.get("imagePullSecrets") or ())[:_MOST]:
        name = str((reference or {}).get("name") or "")
        try:
            found.append(await cluster.get(SECRET, Key(namespace, name)))
        except errors.NotFound:
            continue
    return of_secrets(found)
