# SPDX-License-Identifier: Apache-2.0
"""The DNS part: the name server of all Pods.

In: Ingresses, for the names of the cluster, and the host's name servers, for all others. Out: answers at the gateway's
address, and metrics. Called by: `embedded.py`.

The sockets are bound when the part is built, before any Pod is started. While the control plane restarts, queries get
no answer, and the resolvers in Pods ask again (`network/firewall.py` drops the refusal of a closed port).
"""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric

from tidegate.client.informer import Informer
from tidegate.dns import listening
from tidegate.dns.names import ClusterNames
from tidegate.dns.resolvers import HostResolvers
from tidegate.dns.server import DnsServer, QueryResult
from tidegate.kit.clock import Clock
from tidegate.kit.supervision import Supervisor
from tidegate.network.plan import DNS_PORT, NetworkPlan


class Dns:
    """The name server of the Pods of one plan."""

    def __init__(self, ingresses: Informer, plan: NetworkPlan, clock: Clock) -> None:
        gateway = str(plan.gateway)
        names = ClusterNames(ingresses, plan.subnet)
        self._server = DnsServer(names, HostResolvers(gateway), plan.subnet, plan.gateway, clock)
        self._sockets = listening.bound(gateway, DNS_PORT)
        self.port = self._sockets.port
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def start(self, supervisor: Supervisor) -> None:
        supervisor.start(dns=self._run)

    async def metrics(self) -> bytes:
        """The text for Prometheus."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """The metrics, for prometheus_client."""
        queries = CounterMetricFamily("tidegate_dns_queries", "DNS queries of Pods, by result.", labels=["result"])
        for result in QueryResult:
            queries.add_metric([result], self._server.results[result])
        yield queries

    async def _run(self) -> None:
        await listening.serve(self._server, self._sockets)
