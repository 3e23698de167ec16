# SPDX-License-Identifier: Apache-2.0
"""The API server as the composition starts it."""

import asyncio
import base64
import ssl
from pathlib import Path

import httpx
import yaml

from harness import apiserver
from tidegate.apiserver.access.tokens import ServiceAccountTokens
from tidegate.apiserver.apiserver import ApiServer
from tidegate.apiserver.endpoints.providers import Providers
from tidegate.apiserver.registry.api import Api
from tidegate.kit.clock import RealClock
from tidegate.kit.supervision import Supervisor
from tidegate.settings import Settings
from tidegate.store.store import Store


async def test_an_api_server_serves_its_clients_and_keeps_its_objects_in_order(tmp_path: Path) -> None:
    settings, clock = Settings(tmp_path), RealClock()
    settings.pki.mkdir()
    providers = Providers(apiserver.pod_logs, apiserver.Ended(), apiserver.NoSessions(), apiserver.metrics, dict)
    async with Store.open(settings.database) as store, asyncio.TaskGroup() as group:
        api = Api(store, admit=apiserver.admit, clock=clock)
        await api.prepare()
        server = ApiServer(api, settings, 0, providers, clock, ServiceAccountTokens(api, settings.pki, clock))
        supervisor = Supervisor(group, clock)
        server.start(supervisor)
        server.write_kubeconfig(await server.started())

        config = yaml.safe_load(settings.kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        trust = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
        headers = {"authorization": f"Bearer {user['token']}"}
        async with httpx.AsyncClient(base_url=cluster["server"], verify=trust, headers=headers) as client:
            found = (await client.get("/api/v1/namespaces/default")).json()
        assert found["metadata"]["name"] == "default"
        upkeep = {"garbage", "namespaces", "service accounts", "quota status", "compaction", "old events"}
        assert supervisor.parts.keys() == upkeep | {"api server"}
        supervisor.stop()
