# SPDX-License-Identifier: Apache-2.0
"""config-domain: under which domain a Route's hosts are, by its labels. Each key is a domain, each value YAML with the
`selector` of the labels it is for; one without selector is for all."""

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
    """`selectors`: by domain, the labels it asks for. There is always one domain that asks for none."""

    selectors: Mapping[str, Mapping[str, str]]

    def domain_of(self, labels: Mapping[str, str]) -> str:
        """The domain whose selector matches `labels` and names most of them; of equals the first by name. A Route that
        is cluster-local is under `names.LOCAL_DOMAIN`."""
        if labels.get(names.VISIBILITY) == names.CLUSTER_LOCAL:
            return names.LOCAL_DOMAIN
        matching = [
            (-len(selector), domain)
            for domain, selector in self.selectors.items()
            if all(labels.get(key) == value for key, value in selector.items())
        ]
        return min(matching)[1]


def read(name: str, data: Data, default: str) -> DomainConfig:
    """The ConfigMap `name`; `default` is the domain for all where the map has none."""
    selectors, causes = {}, []
    for domain, text in data.items():
        if domain != _EXAMPLE:
            try:
                selectors[domain] = _selector(text)
            except ValueError as error:
                causes.append(errors.Cause("FieldValueInvalid", str(error), f"data.{domain}"))
    if causes:
        raise values.refusal(name, causes)
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
