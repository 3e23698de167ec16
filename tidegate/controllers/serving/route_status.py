# SPDX-License-Identifier: Apache-2.0
"""A Route's plan and its Ingress -> its status. Pure.

In: `RouteInputs`, a `RoutePlan`, and the Ingress. Out: the Route's status. Called by: `route`. Rule: knative/serving
pkg/apis/serving/v1/route_lifecycle.go.

| state | condition |
| --- | --- |
| a target that cannot be resolved | AllTrafficAssigned False or Unknown, with the reason; the Ingress does not change |
| a host name that is not valid | AllTrafficAssigned False ErrorConfig |
| an Ingress that the API rejects, or that has another owner | IngressReady False, with the reason |
| the gateway has not seen the newest Ingress | IngressReady Unknown IngressNotConfigured |
| a gradual rollout in progress | IngressReady Unknown RolloutInProgress |
| otherwise | IngressReady as the Ingress says |

Tidegate creates no certificates here: CertificateProvisioned is True TLSNotEnabled once traffic is assigned.
"""

from collections.abc import Iterator
from contextlib import suppress

from tidegate.controllers.serving import hosts
from tidegate.controllers.serving.ingress import shares_of
from tidegate.controllers.serving.rollout import Rollout
from tidegate.controllers.serving.route_plan import INGRESS_READY, RouteInputs, RoutePlan
from tidegate.controllers.serving.targets import MAIN, TrafficTarget, Unassignable
from tidegate.model.conditions import Conditions
from tidegate.model.objects import Object, status
from tidegate.reconcile.lookups import is_outdated
from tidegate.reconcile.verdict import Verdict, mark

ALL_TRAFFIC_ASSIGNED = "AllTrafficAssigned"
CERTIFICATE_PROVISIONED = "CertificateProvisioned"
DEPENDENTS = (ALL_TRAFFIC_ASSIGNED, INGRESS_READY, CERTIFICATE_PROVISIONED)

_NOT_CONFIGURED = Verdict("Unknown", "IngressNotConfigured", "Ingress has not yet been reconciled.")
_ROLLING = Verdict("Unknown", "RolloutInProgress", "A gradual rollout of the latest revision(s) is in progress.")
_NO_TLS = Verdict("True", "TLSNotEnabled", "external-domain-tls is not enabled")


def observed_status(inputs: RouteInputs, plan: RoutePlan, ingress: Object | None) -> Object:
    """The status, given the Ingress as it was written. While traffic cannot be assigned, the status keeps the traffic
    that was assigned before."""
    conditions = Conditions(inputs.route, DEPENDENTS, inputs.now)
    fields = {field: value for field, value in status(inputs.route).items() if field in ("url", "address", "traffic")}
    if isinstance(plan.traffic, Unassignable):
        final, reason, message = plan.traffic
        mark(conditions, ALL_TRAFFIC_ASSIGNED, Verdict("False" if final else "Unknown", reason, message))
        if is_outdated(inputs.route):
            mark(conditions, INGRESS_READY, _NOT_CONFIGURED)
        with suppress(hosts.InvalidHost):
            fields["url"] = inputs.url(MAIN)
    else:
        conditions.mark_true(ALL_TRAFFIC_ASSIGNED)
        mark(conditions, CERTIFICATE_PROVISIONED, _NO_TLS)
        mark(conditions, INGRESS_READY, plan.obstacle or ingress_verdict(ingress, plan.shares))
        fields = {
            "url": inputs.url(MAIN),
            "address": {"url": inputs.address(MAIN)},
            "traffic": [entry for target in plan.traffic.assigned for entry in _entries(inputs, target, plan.shares)],
        }
    return {**fields, "conditions": conditions.conditions()}


def ingress_verdict(ingress: Object | None, shares: Rollout) -> Verdict:
    """The Route's condition about its Ingress."""
    if not shares.done:
        return _ROLLING
    if ingress is None or is_outdated(ingress) or not status(ingress).get("conditions"):
        return _NOT_CONFIGURED
    return Verdict.of(ingress)


def _entries(inputs: RouteInputs, target: TrafficTarget, shares: Rollout) -> Iterator[Object]:
    """The entries of a target in the status: one for each revision that shares it."""
    for share in shares_of(target, shares, target.tag):
        yield {
            **({"tag": target.tag, "url": inputs.url(target.tag)} if target.tag else {}),
            "revisionName": share.revision,
            "percent": share.percent,
            "latestRevision": target.latest,
        }
