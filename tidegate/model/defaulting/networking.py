# SPDX-License-Identifier: Apache-2.0
"""The defaults of Ingresses: visibility, and the percent of a single split, as in Knative's webhook."""

from tidegate.model.object_write import ObjectWrite


def ingress(write: ObjectWrite) -> None:
    for rule in write.new["spec"].get("rules") or ():
        rule.setdefault("visibility", "ExternalIP")
        for path in (rule.get("http") or {}).get("paths") or ():
            splits = path.get("splits") or []
            if len(splits) == 1 and not splits[0].get("percent"):
                splits[0]["percent"] = 100
