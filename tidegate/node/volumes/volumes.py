# SPDX-License-Identifier: Apache-2.0
"""The volumes of this node's Pods: made before their containers, kept up to date while they run, removed with them.

In: a Pod, and the ConfigMaps and Secrets that its volumes show. Out: each volume as a folder or file of this host,
which a runtime binds into containers as their `volumeMounts` say; or `LaunchRejected` with the kubelet's words. Called
by: `pod_setup.py` (`set_up`), `node_context.py` (removal), `node.py` (`run`). It does not know the runtime.

| place in `settings.volumes` | contents |
| --- | --- |
| `pods/UID/NAME` | emptyDir, configMap |
| `claims/VOLUME` | persistentVolumeClaim: made and removed by `provisioner.py` |
| `memory/UID/NAME` | secret, projected, downwardAPI: in a tmpfs if root runs Tidegate |

All of it is for the owner of Tidegate alone (0700), so the modes of the files count only inside containers.
"""

import asyncio
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import structlog

from tidegate.client.context import Context
from tidegate.kit import mounts, trees
from tidegate.model import errors, pods
from tidegate.model.indexes import claim_names
from tidegate.model.kinds import CONFIG_MAP, PERSISTENT_VOLUME_CLAIM, SECRET, SERVICE_ACCOUNT, Kind
from tidegate.model.objects import Key, Object, annotations, key, labels, spec, uid
from tidegate.model.text import syntax
from tidegate.model.tokens import IssueToken
from tidegate.node.downward import NodeFacts
from tidegate.node.effective_mounts import TOKEN_VOLUME
from tidegate.node.runtime import LaunchRejected
from tidegate.node.volumes import atomic_writer, automount, claims, folders
from tidegate.node.volumes.payload import (
    SOURCES,
    Payload,
    Reference,
    Sources,
    VolumeProblem,
    payload,
    references,
    tokens,
)
from tidegate.node.volumes.tokens import PodTokens, account_name
from tidegate.reconcile.queue import WorkQueue
from tidegate.settings import Settings

T = TypeVar("T")

_IN_MEMORY = ("secret", "projected", "downwardAPI")


@dataclass(slots=True, eq=False)
class _PodVolumes:
    """The volumes of one Pod. `shown`: the volumes that follow objects; `lock`: one change at a time."""

    pod: Object
    declared: Sequence[Object] = ()
    references: frozenset[Reference] = frozenset()
    shown: dict[str, Path] = field(default_factory=dict)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class Volumes:
    """The volumes of all Pods of this node. `issue_token`: the API server's."""

    def __init__(self, context: Context, settings: Settings, node: NodeFacts, issue_token: IssueToken) -> None:
        self._context = context
        self._settings = settings
        self._folder = settings.volumes
        self._facts = node
        self._tokens = PodTokens(issue_token, context.clock)
        self._pods: dict[str, _PodVolumes] = {}
        self._users: dict[tuple[Kind, Key], set[str]] = {}  # by object: the Pods that show it
        self._queue = WorkQueue("volumes", self._refresh, clock=context.clock)
        self._log = structlog.get_logger("node.volumes")
        informers = context.informers
        informers.config_maps.subscribe(self._on_object(CONFIG_MAP))
        informers.secrets.subscribe(self._on_object(SECRET))
        informers.persistent_volume_claims.subscribe(self._on_object(PERSISTENT_VOLUME_CLAIM))
        informers.pods.subscribe(self._on_pod)

    async def run(self) -> None:
        """Let volumes follow their objects, until cancelled."""
        await self._queue.run()

    async def set_up(self, pod: Object) -> Mapping[str, Path]:
        """Each volume of the Pod by its name: new, or as it was set up before. Raises `LaunchRejected`."""
        declared = await self._declared(pod)
        if not declared:
            return {}
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        known = self._pods.setdefault(uid(pod), _PodVolumes(pod))
        async with known.lock:
            self._register(known, pod, declared)
            found = {}
            for volume in declared:
                try:
                    found[volume["name"]] = await self._make(known, volume)
                except (VolumeProblem, OSError) as problem:
                    message = f'MountVolume.SetUp failed for volume "{volume["name"]}" : {problem}'
                    raise LaunchRejected("ContainerCreating", message) from problem
            self._renew_later(uid(pod))
            return found

    async def changed(self, pod_uid: str) -> None:
        """Return once an object that the Pod's volumes show has changed since `set_up` began."""
        known = self._pods.get(pod_uid)
        if known is None:
            await asyncio.Event().wait()  # nothing can change
        else:
            await known.changed.wait()

    async def remove(self, pod_uid: str) -> None:
        """Remove the volumes of a Pod whose containers have ended."""
        known = self._pods.pop(pod_uid, None)
        self._tokens.forget(pod_uid)
        if known is not None:
            self._unregister(pod_uid, known)
            async with known.lock:  # a refresh that runs ends first
                await _in_thread(lambda: self._remove(pod_uid))
        elif any((place / pod_uid).exists() for place in self._places):
            await _in_thread(lambda: self._remove(pod_uid))

    async def remove_others(self, pod_uids: Collection[str]) -> None:
        """Remove the volumes of all Pods that are not in `pod_uids`."""
        found = {entry.name for place in self._places if place.exists() for entry in os.scandir(place)}
        for pod_uid in found - set(pod_uids):
            await self.remove(pod_uid)

    async def close(self) -> None:
        """Remove everything that follows objects, and all in memory: the containers have ended. An emptyDir on disk
        stays for the next start of its Pod."""
        await _in_thread(lambda: close(self._folder))

    # One volume

    async def _make(self, known: _PodVolumes, volume: Object) -> Path:
        name, pod = volume["name"], known.pod
        if syntax.dns_1123_label(name) and name != TOKEN_VOLUME:
            raise VolumeProblem("its name is invalid")
        source = next((found for found in volume if found != "name" and volume[found] is not None), "emptyDir")
        if source in SOURCES:
            return await self._show(known, volume, source)
        content = volume.get(source) or {}
        if source == "emptyDir":
            return await _in_thread(lambda: folders.empty_dir(self._place("pods", pod) / name, content, pod))
        if source == "persistentVolumeClaim":
            return await self._claim(pod, str(content.get("claimName") or ""))
        if source == "hostPath":
            return await _in_thread(lambda: folders.host_path(content, self._settings.home))
        raise VolumeProblem(f"volumes of type {source} are not supported")

    async def _claim(self, pod: Object, name: str) -> Path:
        """The folder of a claim, which all containers that mount it may write to."""
        named = Key(key(pod).namespace, name)
        claim = await self._object(pod, Reference(PERSISTENT_VOLUME_CLAIM, name))
        others = self._context.informers.pods.indexed("claim", str(named))
        if problem := claims.problem(claim, name, pod, others):
            raise VolumeProblem(problem)
        place = claims.folder(self._folder, str(spec(claim or {}).get("volumeName")))
        if not place.is_dir():
            raise VolumeProblem(f"the folder of persistentvolumeclaim {name!r} is missing: {place}")
        if (group := folders.fs_group(pod)) is not None:
            await _in_thread(lambda: folders.give(place, folders.OPEN_TO_GROUP, group))
        return place

    async def _show(self, known: _PodVolumes, volume: Object, source: str) -> Path:
        """A volume that shows objects. If they are missing later, it keeps what it has."""
        place = self._place("memory" if source in _IN_MEMORY else "pods", known.pod) / str(volume["name"])
        try:
            content = await self._payload(known.pod, volume)
        except VolumeProblem:
            if not atomic_writer.is_written(place):
                raise
        else:
            await _in_thread(lambda: self._write(place, content, known.pod))
        known.shown[volume["name"]] = place
        return place

    async def _payload(self, pod: Object, volume: Object) -> Payload:
        objects = {reference: await self._object(pod, reference) for reference in references(volume)}
        texts = {options: await self._tokens.get(pod, options) for options in tokens(volume)}
        authority = (self._settings.pki / "ca.crt").read_bytes() if texts else b""
        return payload(volume, Sources(pod, self._facts, objects, texts, authority))

    async def _declared(self, pod: Object) -> Sequence[Object]:
        """The volumes of the spec, and the one that a Pod gets without asking."""
        named = spec(pod).get("volumes") or ()
        token = None
        if pods.runtime_of(pod) == "oci" and spec(pod).get("automountServiceAccountToken") is not False:
            token = automount.automounted(pod, await self._object(pod, Reference(SERVICE_ACCOUNT, account_name(pod))))
        return named if token is None else (*named, token)

    async def _object(self, pod: Object, reference: Reference) -> Object | None:
        """An object as it is now: an informer may not have it yet."""
        try:
            return await self._context.cluster.get(reference.kind, Key(key(pod).namespace, reference.name))
        except errors.NotFound:
            return None

    def _write(self, place: Path, content: Payload, pod: Object) -> bool:
        if self._folder / "memory" in place.parents:
            self._mount_memory()
        place.mkdir(parents=True, exist_ok=True)
        group = folders.fs_group(pod)
        folders.give(place, 0o755, group)
        return atomic_writer.write(place, content, self._context.clock.wall(), group=group)

    def _mount_memory(self) -> None:
        """Keep the values of Secrets off the disk, if this user may mount anything."""
        memory = self._folder / "memory"
        if os.geteuid() != 0 or memory.is_mount():
            return
        memory.mkdir(parents=True, exist_ok=True)
        try:
            mounts.mount("tmpfs", memory, "mode=0700", mounts.NO_SUID | mounts.NO_DEVICES)
        except OSError as error:
            self._log.warning("values of Secrets are on the disk: no tmpfs can be mounted", error=str(error))

    # Changes of objects

    def _renew_later(self, pod_uid: str) -> None:
        """Give the Pod a turn when its tokens need to be renewed."""
        seconds = self._tokens.renewal(pod_uid)
        if seconds is not None:
            self._queue.wake_after(pod_uid, seconds)

    def _register(self, known: _PodVolumes, pod: Object, declared: Sequence[Object]) -> None:
        """From now on, changes of the objects wake the Pod."""
        self._unregister(uid(pod), known)
        known.pod, known.declared = pod, declared
        known.changed.clear()
        found = (references(volume) for volume in declared if any(source in volume for source in SOURCES))
        claimed = (Reference(PERSISTENT_VOLUME_CLAIM, name) for name in claim_names(pod))
        known.references = frozenset((*claimed, *(reference for each in found for reference in each)))
        for reference in known.references:
            self._users.setdefault((reference.kind, Key(key(pod).namespace, reference.name)), set()).add(uid(pod))

    def _unregister(self, pod_uid: str, known: _PodVolumes) -> None:
        for reference in known.references:
            name = (reference.kind, Key(key(known.pod).namespace, reference.name))
            users = self._users.get(name, set())
            users.discard(pod_uid)
            if not users:
                self._users.pop(name, None)
        known.references = frozenset()

    def _on_object(self, kind: Kind) -> Callable[[Object | None, Object | None], None]:
        def handle(old: Object | None, new: Object | None) -> None:
            if new is not None:  # without its object a volume keeps what it has
                for pod_uid in self._users.get((kind, key(new)), ()):
                    self._pods[pod_uid].changed.set()
                    self._queue.wake(pod_uid)

        return handle

    def _on_pod(self, old: Object | None, new: Object | None) -> None:
        """The downward API shows labels and annotations."""
        if old is None or new is None or uid(new) not in self._pods:
            return
        if labels(old) != labels(new) or annotations(old) != annotations(new):
            self._queue.wake(uid(new))

    async def _refresh(self, pod_uid: str) -> None:
        """Bring the volumes of one Pod in line with their objects."""
        known = self._pods.get(pod_uid)
        if known is None:
            return
        async with known.lock:
            pod = self._context.informers.pods.get(key(known.pod))
            if self._pods.get(pod_uid) is not known:
                return  # removed meanwhile
            if pod is not None and uid(pod) == pod_uid:
                known.pod = pod
            for volume in known.declared:
                if volume["name"] in known.shown:
                    await self._update(known, volume)
            self._renew_later(pod_uid)

    async def _update(self, known: _PodVolumes, volume: Object) -> None:
        name, place, pod = volume["name"], known.shown[volume["name"]], known.pod
        try:
            content = await self._payload(pod, volume)
        except VolumeProblem as problem:
            message = f'MountVolume.SetUp failed for volume "{name}" : {problem}'
            self._context.recorder.warning(pod, "FailedMount", message)
            return
        if await _in_thread(lambda: self._write(place, content, pod)):
            self._log.info("volume updated", pod=str(key(pod)), volume=name)

    # Places

    @property
    def _places(self) -> Sequence[Path]:
        return self._folder / "pods", self._folder / "memory"

    def _place(self, part: str, pod: Object) -> Path:
        return self._folder / part / uid(pod)

    def _remove(self, pod_uid: str) -> None:
        for place in self._places:
            if (place / pod_uid).exists():
                mounts.unmount_below(place / pod_uid)
                trees.remove(place / pod_uid)


def close(folder: Path) -> None:
    """Remove all volumes in `folder` whose content is in memory or in objects. Called when no container runs."""
    if folder.exists():
        mounts.unmount_below(folder)
        trees.remove(folder / "memory")


async def _in_thread(work: Callable[[], T]) -> T:
    """Run file operations in a thread. A cancelled caller waits for them, so that the next change finds them done."""
    running = asyncio.create_task(asyncio.to_thread(work), name="volume")
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise
