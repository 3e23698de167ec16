# SPDX-License-Identifier: Apache-2.0
"""config-domain: the domain of a Route's hosts, by the labels of the Route. Each key is a domain, each value YAML with
a `selector` of labels; a domain without a selector is for all Routes."""

from collections.abc import Mapping
from dataclasses import dataclass

import yaml

from tidegate.model import errors, names
from tidegate.model.config import values
from tidegate.model.config.values import Data

_EXAMPLE = "_example"
_LONGEST = 4096  # characters of a selector; YAML is slow to read


@dataclass(frozen=True, slots=True)
class DomainConfig:
    """`selectors`: the required labels by domain. One domain always requires no labels."""

    selectors: Mapping[str, Mapping[str, str]]

    def domain_of(self, labels: Mapping[str, str]) -> str:
        """The domain with the longest selector that matches `labels`; among equals the first by name. A cluster-local
        Route is under `names.LOCAL_DOMAIN`."""
        if labels.get(names.VISIBILITY) == names.CLUSTER_LOCAL:
            return names.LOCAL_DOMAIN
        matching = [
            (-len(selector), domain)
            for domain, selector in self.selectors.items()
            if all(labels.get(key) == value for key, value in selector.items())
        ]
        return min(matching)[1]


def read(name: str, data: Data, default: str) -> DomainConfig:
    """Parse the ConfigMap `name`. `default`: the domain of Routes that no entry selects."""
    selectors, causes = {}, []
    for domain, text in data.items():
        if domain != _EXAMPLE:
            try:
                selectors[domain] = _selector(text)
            except ValueError as error:
                causes.append(errors.Cause("FieldValueInvalid", str(error), f"data.{domain}"))
    if causes:
        raise values.rejection(name, causes)
    if all(selectors.values()):
        selectors[default] = {}
    return DomainConfig(selectors)


def _selector(text: str) -> dict[str, str]:
    if len(text) > _LONGEST:
        raise ValueError(f"must be no more than {_LONGEST} characters")
    try:
        found = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError("is not YAML") from error
    selector = found.get("selector") if isinstance(found, dict) else found
    if selector is None:
        return {}
    if not isinstance(selector, dict) or not all(isinstance(word, str) for pair in selector.items() for word in pair):
        raise ValueError("must be empty, or a selector: with labels that are text (quote true, no and numbers)")
    return selector
