# SPDX-License-Identifier: Apache-2.0
"""The API server: the HTTPS server over one `Api`, and the upkeep of its objects.

In: the verbs over a store, the settings, and the answers that come from other parts (`Providers`). Out: the API on
a port, and the kubeconfig for its clients. Called by: the composition, which also makes the `Api`, because other parts
of the same process are its clients (`registry.inprocess`).
"""

from tidegate.apiserver import kubeconfig, pki
from tidegate.apiserver.access.tokens import ServiceAccountTokens
from tidegate.apiserver.endpoints import http
from tidegate.apiserver.endpoints.auth import Authentication
from tidegate.apiserver.endpoints.objects import ObjectEndpoints
from tidegate.apiserver.endpoints.providers import Providers
from tidegate.apiserver.endpoints.streams import Streams
from tidegate.apiserver.registry.api import Api
from tidegate.apiserver.server import HttpsServer
from tidegate.apiserver.upkeep.compaction import Compaction
from tidegate.apiserver.upkeep.event_expiry import EventExpiry
from tidegate.apiserver.upkeep.garbage_collector import GarbageCollector
from tidegate.apiserver.upkeep.namespaces import Namespaces
from tidegate.apiserver.upkeep.quota_status import QuotaStatus
from tidegate.apiserver.upkeep.service_accounts import ServiceAccounts
from tidegate.kit.clock import Clock
from tidegate.kit.supervision import Supervisor
from tidegate.model.user import AUTHENTICATED, User
from tidegate.settings import Settings

ADMIN = User("tidegate-admin", ("system:masters", AUTHENTICATED))
"""The user of the token; objects name it as their creator and last modifier."""

MOST_STREAMS = 2000  # watches and followed logs at a time


class ApiServer:
    """The API server of one Tidegate. `port` 0 takes a free port."""

    def __init__(
        self,
        api: Api,
        settings: Settings,
        port: int,
        providers: Providers,
        clock: Clock,
        tokens: ServiceAccountTokens,
    ) -> None:
        self._api = api
        self._clock = clock
        self._kubeconfig = settings.kubeconfig
        token = kubeconfig.token(settings.kubeconfig)
        self._identity = pki.identity(settings.pki, clock.wall(), known=token)
        streams = Streams(MOST_STREAMS)
        objects = ObjectEndpoints(api, api.scheme.unknown_fields, providers, streams, clock, tokens)
        app = http.application(objects, api.scheme, providers, Authentication(self._identity.token, ADMIN, tokens))
        self._server = HttpsServer(app, streams, self._identity, port)

    def start(self, supervisor: Supervisor) -> None:
        """Run the server and the upkeep until the supervisor stops."""
        supervisor.start(
            garbage=GarbageCollector(self._api, clock=self._clock).run,
            namespaces=Namespaces(self._api, clock=self._clock).run,
            service_accounts=ServiceAccounts(self._api, clock=self._clock).run,
            quota_status=QuotaStatus(self._api, clock=self._clock).run,
            compaction=Compaction(self._api.store, clock=self._clock).run,
            old_events=EventExpiry(self._api, clock=self._clock).run,
            api_server=self._server.run,
        )

    async def started(self) -> int:
        """Return the port once the server accepts requests on it."""
        return await self._server.started()

    def write_kubeconfig(self, port: int) -> None:
        """Write the kubeconfig for the clients of a port, if it is missing or differs."""
        kubeconfig.write(self._kubeconfig, self._identity, port)
