# SPDX-License-Identifier: Apache-2.0
"""The images of containers, pulled as their Pods say.

In: a container, with the pull policy and the pull secrets of its Pod. Out: its image in the store, and the kubelet's
Events of a pull; or `LaunchRejected` with the reasons of the kubelet, e.g. ErrImagePull. Called by: `runtime.py`.
"""

from tidegate.client.context import Context
from tidegate.images.errors import PullError
from tidegate.images.pull_secrets import credentials_of
from tidegate.images.puller import Puller
from tidegate.images.stored import StoredImage
from tidegate.model.objects import spec
from tidegate.node.runtime import Launch, LaunchRejected


class PodImages:
    """Pulls in the name of Pods."""

    def __init__(self, context: Context, puller: Puller) -> None:
        self._cluster = context.cluster
        self._recorder = context.recorder
        self._clock = context.clock
        self._puller = puller

    async def image(self, launch: Launch) -> StoredImage:
        """Raises `LaunchRejected`."""
        pod, image, began = launch.pod, launch.image, self._clock.monotonic()
        policy = str(launch.container.get("imagePullPolicy") or "")
        logins = await credentials_of(self._cluster, pod["metadata"].get("namespace", ""), spec(pod))
        pulls: list[str] = []

        def pulling() -> None:
            pulls.append(image)
            self._recorder.normal(pod, "Pulling", f'Pulling image "{image}"')

        try:
            found = await self._puller.pull(image, policy, logins, pulling=pulling)
        except PullError as error:
            raise LaunchRejected(error.reason, error.message) from error
        if pulls:
            seconds = self._clock.monotonic() - began
            message = f'Successfully pulled image "{image}" in {seconds:.3f}s. Image size: {found.size} bytes.'
        else:
            message = f'Container image "{image}" already present on machine'
        self._recorder.normal(pod, "Pulled", message)
        return found
