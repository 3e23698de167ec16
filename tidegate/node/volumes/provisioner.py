# SPDX-License-Identifier: Apache-2.0
"""Gives each claim a folder of this host, and takes it back.

In: PersistentVolumeClaims, StorageClasses and Pods. Out: folders in `settings.volumes`, PersistentVolumes, and the
status of claims. Called by: `node.py` (`run`). Rules: k8s.io/kubernetes pkg/controller/volume/persistentvolume and
pvcprotection.

| claim | then |
| --- | --- |
| new, its class is of `PROVISIONER` | a folder and a PersistentVolume; Bound |
| new, its class is missing, or of another provisioner | Pending, with an event |
| deleted, a Pod uses it | it stays, held by the finalizer `CLAIM_PROTECTION` |
| deleted, no Pod uses it | it is removed; with the policy Delete also the volume, then its folder |
| removed, the policy is Retain | the volume is Released, and its folder stays |
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tidegate.client.context import Context
from tidegate.kit import trees
from tidegate.model import errors
from tidegate.model.kinds import PERSISTENT_VOLUME, PERSISTENT_VOLUME_CLAIM, STORAGE_CLASS
from tidegate.model.names import CLAIM_PROTECTION, PROVISIONER
from tidegate.model.objects import Key, Object, is_deleting, key, spec, status, uid
from tidegate.node.volumes import claims
from tidegate.node.volumes.folders import OPEN_TO_ALL
from tidegate.reconcile.object_queue import object_queue


class Provisioner:
    """`place`: `Settings.volumes`."""

    def __init__(self, context: Context, place: Path) -> None:
        self._context = context
        self._place = place
        self._cluster = context.cluster
        informers = context.informers
        self._pods, self._claims = informers.pods, informers.persistent_volume_claims
        self._volumes, self._classes = informers.persistent_volumes, informers.storage_classes
        self._queue = object_queue("claims", self._reconcile, context.clock)
        self._claims.subscribe(self._waking(key))
        self._volumes.subscribe(self._waking(_claim_of))
        self._pods.subscribe(self._on_pod)
        self._classes.subscribe(self._on_class)

    async def run(self) -> None:
        """Provision until cancelled."""
        for informer in (self._pods, self._claims, self._volumes, self._classes):
            await informer.synced()
        if not self._classes.list():
            with suppress(errors.AlreadyExists):
                await self._cluster.create(STORAGE_CLASS, claims.default_class())
        await self._queue.run()

    def _waking(self, name: Callable[[Object], Key | None]) -> Callable[[Object | None, Object | None], None]:
        def handle(old: Object | None, new: Object | None) -> None:
            found = name(new or old or {})
            if found is not None:
                self._queue.wake(found)

        return handle

    def _on_pod(self, old: Object | None, new: Object | None) -> None:
        """A claim may be free once a Pod has ended or is removed."""
        if old is not None and (new is None or not claims.is_used_by(new)):
            for name in claims.claims_of(old):
                self._queue.wake(name)

    def _on_class(self, old: Object | None, new: Object | None) -> None:
        for claim in self._claims.list():
            if status(claim).get("phase") != "Bound":
                self._queue.wake(key(claim))

    async def _reconcile(self, name: Key) -> None:
        claim = self._claims.get(name)
        for volume in self._volumes.indexed("claim", str(name)):
            if claim is None or spec(volume)["claimRef"].get("uid") != uid(claim):
                await self._reclaim(name, volume)
        if claim is None:
            return
        if is_deleting(claim):
            await self._release(claim)
        elif status(claim).get("phase") != "Bound":
            await self._bind(claim)
        elif status(claim).get("capacity") != claims.size(claim):
            await self._note_size(claim)

    async def _bind(self, claim: Object) -> None:
        storage_class = claims.class_of(claim, self._classes.list())
        if storage_class is None or storage_class.get("provisioner") != PROVISIONER:
            self._report_pending(claim, storage_class)
            return
        volume = claims.desired_volume(claim, storage_class, claims.folder(self._place, claims.volume_name(claim)))
        await asyncio.to_thread(_make, Path(volume["spec"]["hostPath"]["path"]))
        if self._volumes.get(key(volume)) is None:
            with suppress(errors.AlreadyExists):
                self._volumes.learn(await self._cluster.create(PERSISTENT_VOLUME, volume))
            await self._volume_status(key(volume), {"phase": "Bound"})
        chosen = {"volumeName": key(volume).name, "storageClassName": storage_class["metadata"]["name"]}
        await self._patch(claim, {"spec": chosen})
        await self._claim_status(claim, claims.bound_status(claim))
        message = f"Successfully provisioned volume {key(volume).name}"
        self._context.recorder.normal(claim, "ProvisioningSucceeded", message)

    def _report_pending(self, claim: Object, storage_class: Object | None) -> None:
        named = spec(claim).get("storageClassName")
        if storage_class is not None:
            why = f"waiting for a volume to be created by the external provisioner '{storage_class['provisioner']}'"
            self._context.recorder.normal(claim, "ExternalProvisioning", why)
        elif named:
            why = f'storageclass.storage.k8s.io "{named}" not found'
            self._context.recorder.warning(claim, "ProvisioningFailed", why)
        else:
            why = "no persistent volumes available for this claim and no storage class is set"
            self._context.recorder.normal(claim, "FailedBinding", why)

    async def _note_size(self, claim: Object) -> None:
        volume = Key("", claims.volume_name(claim))
        with suppress(errors.NotFound):
            patch = {"spec": {"capacity": claims.size(claim)}}
            self._volumes.learn(await self._cluster.patch(PERSISTENT_VOLUME, volume, patch))
        await self._claim_status(claim, claims.bound_status(claim))

    async def _release(self, claim: Object) -> None:
        """Let a deleted claim be removed, once no Pod uses it."""
        finalizers = claim["metadata"].get("finalizers") or []
        if CLAIM_PROTECTION in finalizers and not self._is_used(key(claim)):
            await self._patch(
                claim, {"metadata": {"finalizers": [name for name in finalizers if name != CLAIM_PROTECTION]}}
            )

    async def _reclaim(self, claim: Key, volume: Object) -> None:
        """Take the volume of a removed claim back. The object is removed last: it is the record of the folder."""
        if self._is_used(claim):  # the finalizer was removed by hand
            return
        name = key(volume)
        if spec(volume).get("persistentVolumeReclaimPolicy") != "Delete":
            if is_deleting(volume):
                await self._remove(volume)
            elif status(volume).get("phase") != "Released":
                await self._volume_status(name, {"phase": "Released"})
        elif name.name == f"pvc-{spec(volume)['claimRef'].get('uid')}":  # one that this class has made
            await asyncio.to_thread(trees.remove, claims.folder(self._place, name.name))
            await self._remove(volume)

    async def _remove(self, volume: Object) -> None:
        with suppress(errors.NotFound):  # a volume that is marked is removed with its finalizer
            unprotected = {"metadata": {"uid": uid(volume), "finalizers": None}}
            await self._cluster.patch(PERSISTENT_VOLUME, key(volume), unprotected)
            await self._cluster.delete(PERSISTENT_VOLUME, key(volume), uid=uid(volume))

    def _is_used(self, claim: Key) -> bool:
        return any(claims.is_used_by(pod) for pod in self._pods.indexed("claim", str(claim)))

    async def _patch(self, claim: Object, patch: Object) -> None:
        guarded = {**patch, "metadata": {**patch.get("metadata", {}), "uid": uid(claim)}}
        written = await self._cluster.patch(PERSISTENT_VOLUME_CLAIM, key(claim), guarded)
        self._claims.learn(written)

    async def _claim_status(self, claim: Object, desired: Object) -> None:
        patch = {"metadata": {"uid": uid(claim)}, "status": desired}
        self._claims.learn(await self._cluster.patch(PERSISTENT_VOLUME_CLAIM, key(claim), patch, subresource="status"))

    async def _volume_status(self, name: Key, desired: Object) -> None:
        patch = {"status": desired}
        self._volumes.learn(await self._cluster.patch(PERSISTENT_VOLUME, name, patch, subresource="status"))


def _make(folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.mkdir(exist_ok=True)
    folder.chmod(OPEN_TO_ALL)


def _claim_of(volume: Object) -> Key | None:
    """The claim that a volume was made for."""
    reference = spec(volume).get("claimRef") or {}
    return Key(str(reference.get("namespace")), str(reference.get("name"))) if reference else None
