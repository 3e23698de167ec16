# SPDX-License-Identifier: Apache-2.0
"""The config-* ConfigMaps of the system namespace: they must parse as the settings that they are."""

from tidegate.model import errors, names
from tidegate.model.config import Configs
from tidegate.model.object_write import ObjectWrite

_WEBHOOK = 'admission webhook "config.webhook.serving.knative.dev" denied the request: validation failed: '


def require_settings(write: ObjectWrite) -> None:
    """Raise `BadRequest`, in the words of Knative's webhook, for a config-* map with a wrong value."""
    metadata = write.new["metadata"]
    name = metadata.get("name", "")
    if metadata.get("namespace") != names.SYSTEM_NAMESPACE or not name.startswith("config-"):
        return
    try:
        Configs.parse({name: write.new.get("data") or {}})
    except errors.Invalid as error:
        raise errors.BadRequest(_WEBHOOK + error.message, causes=error.causes) from error
