# SPDX-License-Identifier: Apache-2.0
"""How a pull fails: the reasons of a container's status that the kubelet has for images, and a message with the
registry's answer."""

ERR_IMAGE_PULL = "ErrImagePull"
BACK_OFF = "ImagePullBackOff"
NEVER_PULL = "ErrImageNeverPull"
INVALID_NAME = "InvalidImageName"
INSPECT_ERROR = "ImageInspectError"


class ImageError(Exception):
    """Something about an image failed; the message is for the user."""


class PullError(ImageError):
    """An image cannot be had. `reason` and `message` become the container's status."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
