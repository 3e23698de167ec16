# SPDX-License-Identifier: Apache-2.0
"""config-defaults: the defaults of revisions, and the limits of what authors may set."""

from collections.abc import Iterator
from dataclasses import dataclass

from tidegate.model.config import values
from tidegate.model.config.values import Data, Problem
from tidegate.model.text import templates
from tidegate.model.text.quantities import Quantity
from tidegate.model.text.templates import Template


def _name_template(text: str) -> Template:
    return templates.parse(text, ("Name", "Namespace"), ("Labels", "Annotations"))


def _service_links(text: str) -> bool | None:
    return {"true": True, "false": False}.get(text.lower())


@dataclass(frozen=True, slots=True)
class DefaultsConfig:
    """Timeouts are whole seconds. `enable_service_links` None leaves the field unset, for Kubernetes' default."""

    revision_timeout_seconds: int = values.whole(300)
    max_revision_timeout_seconds: int = values.whole(600)
    revision_response_start_timeout_seconds: int = values.whole(300)
    revision_idle_timeout_seconds: int = values.whole(0)
    container_name_template: Template = values.setting(_name_template("user-container"), _name_template)
    init_container_name_template: Template = values.setting(_name_template("init-container"), _name_template)
    container_concurrency: int = values.whole(0)
    container_concurrency_max_limit: int = values.whole(1000)
    allow_container_concurrency_zero: bool = values.switch(True)
    enable_service_links: bool | None = values.setting(False, _service_links)
    revision_cpu_request: Quantity | None = values.quantity()
    revision_memory_request: Quantity | None = values.quantity()
    revision_ephemeral_storage_request: Quantity | None = values.quantity()
    revision_cpu_limit: Quantity | None = values.quantity()
    revision_memory_limit: Quantity | None = values.quantity()
    revision_ephemeral_storage_limit: Quantity | None = values.quantity()

    def problems(self) -> Iterator[Problem]:
        timeout = self.revision_timeout_seconds
        if timeout > self.max_revision_timeout_seconds:
            problem = f"must not exceed max-revision-timeout-seconds {self.max_revision_timeout_seconds}, was {timeout}"
            yield "revision-timeout-seconds", problem
        for key, value in (
            ("revision-response-start-timeout-seconds", self.revision_response_start_timeout_seconds),
            ("revision-idle-timeout-seconds", self.revision_idle_timeout_seconds),
        ):
            if value > 0 and value > timeout:
                yield key, f"must not exceed revision-timeout-seconds {timeout}, was {value}"
        highest = self.container_concurrency_max_limit
        if highest < 1:
            yield "container-concurrency-max-limit", f"must be at least 1, was {highest}"
        elif not 0 <= self.container_concurrency <= highest:
            yield "container-concurrency", f"must be between 0 and {highest}, was {self.container_concurrency}"


def completed(data: Data) -> Data:
    """`data` with the default that depends on another key: a response must start within the whole timeout."""
    key = "revision-response-start-timeout-seconds"
    if "revision-timeout-seconds" in data and key not in data:
        return {**data, key: data["revision-timeout-seconds"]}
    return data
