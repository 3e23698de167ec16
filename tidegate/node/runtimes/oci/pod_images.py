# SPDX-License-Identifier: Apache-2.0
"""The images of containers, pulled as their Pods say.

In: a container, with the pull policy and the pull secrets of its Pod. Out: its image in the store; or `LaunchRejected`
with the reasons of the kubelet, e.g. ErrImagePull. Called by: `runtime.py`.
"""

from tidegate.client.context import Context
from tidegate.images.credentials import Credentials, of_secrets
from tidegate.images.errors import PullError
from tidegate.images.puller import Puller
from tidegate.images.stored import StoredImage
from tidegate.model import errors
from tidegate.model.kinds import SECRET
from tidegate.model.objects import Key, Object, spec
from tidegate.node.runtime import Launch, LaunchRejected


class PodImages:
    """Pulls in the name of Pods."""

    def __init__(self, context: Context, puller: Puller) -> None:
        self._cluster = context.cluster
        self._puller = puller

    async def image(self, launch: Launch) -> StoredImage:
        """Raises `LaunchRejected`."""
        policy = str(launch.container.get("imagePullPolicy") or "")
        try:
            return await self._puller.pull(launch.image, policy, await self._credentials(launch.pod))
        except PullError as error:
            raise LaunchRejected(error.reason, error.message) from error

    async def _credentials(self, pod: Object) -> Credentials:
        """A Secret that does not exist brings none, as in the kubelet."""
        found = []
        for reference in spec(pod).get("imagePullSecrets") or ():
            try:
                name = Key(pod["metadata"].get("namespace", ""), str(reference.get("name") or ""))
                found.append(await self._cluster.get(SECRET, name))
            except errors.NotFound:
                continue
        return of_secrets(found)
