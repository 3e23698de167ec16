# SPDX-License-Identifier: Apache-2.0
"""Short makers of objects, and helpers that most tests use."""

import asyncio
from collections.abc import Callable
from typing import Any

from tidegate.apiserver.registry.api import Api, WriteOptions
from tidegate.kit.clock import settle
from tidegate.model.kinds import Kind
from tidegate.model.objects import Key, Object
from tidegate.model.user import User

Json = dict[str, Any]
USER = User("tester")
STATUS = WriteOptions("status")
DRY_RUN = WriteOptions(dry_run=True)


def metadata(name: str, namespace: str = "default", **more: Any) -> Json:
    return {"name": name, **({"namespace": namespace} if namespace else {}), **more}


def pod(name: str = "a", namespace: str = "default", *, node: str = "", grace: int = 30, **more: Any) -> Json:
    """A Pod. With `node` it is bound, so that its deletion waits for the node agent."""
    spec = {"containers": [{"name": "main", "image": "x"}], "terminationGracePeriodSeconds": grace}
    bound = {"nodeName": node} if node else {}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata(name, namespace, **more), "spec": {**spec, **bound}}


def config_map(name: str = "a", namespace: str = "default", data: Json | None = None, **more: Any) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(name, namespace, **more),
        "data": data or {},
    }


def secret(name: str = "a", **more: Any) -> Json:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata(name), "type": "Opaque", **more}


def resource_quota(name: str = "q", namespace: str = "default", **hard: str) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": metadata(name, namespace),
        "spec": {"hard": hard},
    }


def service(name: str = "hello", namespace: str = "default", *, image: str = "one", **more: Any) -> Json:
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": metadata(name, namespace, **more),
        "spec": {"template": {"spec": {"containers": [{"image": image}]}}},
    }


def owned_by(owner: Object, *, blocks: bool = False) -> Json:
    """An owner reference."""
    metadata = owner["metadata"]
    reference = {"apiVersion": owner["apiVersion"], "kind": owner["kind"]}
    return {**reference, "name": metadata["name"], "uid": metadata["uid"], "blockOwnerDeletion": blocks}


async def given(api: Api, kind: Kind, obj: Json) -> Object:
    """Create an object; returns it as stored."""
    return (await api.create(kind, obj["metadata"].get("namespace", ""), obj, user=USER)).object


def exists(api: Api, kind: Kind, name: str, namespace: str = "default") -> bool:
    return api.store.get(kind.resource, Key(namespace, name)) is not None


async def eventually(holds: Callable[[], bool]) -> None:
    """Return when the condition holds. Only turns of the event loop and commits may be needed for it."""
    async with asyncio.timeout(30):
        while not holds():
            await settle(1)
