# SPDX-License-Identifier: Apache-2.0
"""The current config-* ConfigMaps, parsed: the settings that users change at run time.

In: the informer of ConfigMaps; the system namespace has the settings. Out: `current`, and a call of every subscriber
when it changed. Admission rejects a map that does not parse; if an invalid one exists nevertheless (written by an older
version), the last valid values stay.
"""

from collections.abc import Callable

import structlog

from tidegate.client.informer import Informer
from tidegate.model import errors, names
from tidegate.model.config import Configs
from tidegate.model.objects import Object


class LiveConfigs:
    """The parsed ConfigMaps, kept current by the informer's changes."""

    def __init__(self, config_maps: Informer, *, domain: str) -> None:
        self._maps = config_maps
        self._domain = domain
        self._subscribers: list[Callable[[], None]] = []
        self._log = structlog.get_logger("configs")
        self.current = Configs.parse({}, domain=domain)
        config_maps.subscribe(self._on_change)

    def subscribe(self, changed: Callable[[], None]) -> None:
        """Call `changed` after every change of a value."""
        self._subscribers.append(changed)

    def _on_change(self, old: Object | None, new: Object | None) -> None:
        if (new or old or {})["metadata"].get("namespace") != names.SYSTEM_NAMESPACE:
            return
        settings = self._maps.indexed("namespace", names.SYSTEM_NAMESPACE)
        maps = {config_map["metadata"]["name"]: config_map.get("data") or {} for config_map in settings}
        try:
            parsed = Configs.parse(maps, domain=self._domain)
        except errors.ApiError as error:
            self._log.error("invalid ConfigMap; the last valid values stay", error=error.message)
            return
        if parsed != self.current:
            self.current = parsed
            for changed in self._subscribers:
                changed()
