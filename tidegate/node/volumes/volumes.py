# SPDX-License-Identifier: Apache-2.0
"""The volumes of this node's Pods: made before their containers, kept up to date while they run, removed with them.

In: a Pod, and the objects that its volumes show. Out: each volume as a folder or file of this host, which a runtime
binds into containers as their `volumeMounts` say; or `LaunchRejected` with the kubelet's words. Called by:
`pod_setup.py` (`set_up`), `node_context.py` (removal), `node.py` (`run`). It does not know the runtime.

| place in `settings.volumes` | contents |
| --- | --- |
| `pods/UID/NAME` | emptyDir |
| `objects`, `memory` | volumes that show objects (`object_volumes.py`) |
| `claims/VOLUME` | persistentVolumeClaim: made and removed by `provisioner.py` |

All of it is for the owner of Tidegate alone (0700), so the modes of the files count only inside containers.
"""

import asyncio
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from tidegate.client.context import Context
from tidegate.kit import mounts, threads, trees
from tidegate.model.indexes import claim_names
from tidegate.model.kinds import CONFIG_MAP, PERSISTENT_VOLUME_CLAIM, SECRET, SERVICE_ACCOUNT, Kind
from tidegate.model.objects import Key, Object, annotations, key, labels, spec, uid
from tidegate.model.text import syntax
from tidegate.model.tokens import DEFAULT_ACCOUNT, IssueToken
from tidegate.node.downward import NodeFacts
from tidegate.node.effective_mounts import TOKEN_VOLUME
from tidegate.node.runtime import CONFIG_ERROR, LaunchRejected
from tidegate.node.volumes import claims, folders
from tidegate.node.volumes.evictions import Evictions
from tidegate.node.volumes.object_volumes import MEMORY, OBJECTS, ObjectVolumes
from tidegate.node.volumes.payload import SOURCES, Reference, VolumeProblem, references
from tidegate.node.volumes.shown_objects import ShownObjects
from tidegate.node.volumes.tokens import account_name
from tidegate.reconcile.queue import WorkQueue
from tidegate.settings import Settings

_PODS = "pods"


@dataclass(slots=True, eq=False)
class _PodVolumes:
    """The volumes of one Pod. `made`: the names of the volumes that follow objects; `lock`: one change at a time."""

    pod: Object
    declared: Sequence[Object] = ()
    made: set[str] = field(default_factory=set)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class Volumes:
    """The volumes of all Pods of this node. `issue_token`: the API server's."""

    def __init__(
        self, context: Context, settings: Settings, node: NodeFacts, issue_token: IssueToken, evictions: Evictions
    ) -> None:
        self._context = context
        self._evictions = evictions
        self._settings = settings
        self._folder = settings.volumes
        self._objects = ObjectVolumes(context, settings, node, issue_token)
        self._pods: dict[str, _PodVolumes] = {}
        self._shown = ShownObjects()
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
        await self._require_account(pod)
        declared = await self._objects.declared(pod)
        if not declared:
            return {}
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        known = self._pods.setdefault(uid(pod), _PodVolumes(pod))
        async with known.lock:
            known.pod, known.declared = pod, declared
            known.changed.clear()
            self._shown.set(pod, _references(pod, declared))  # before they are read: no change is missed
            found = {}
            for volume in declared:
                try:
                    found[volume["name"]] = await self._make(known, volume)
                except (VolumeProblem, OSError) as problem:
                    raise LaunchRejected("ContainerCreating", _message(volume, problem)) from problem
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
        self._objects.tokens.forget(pod_uid)
        self._shown.remove(pod_uid)
        self._evictions.forget(pod_uid)
        if known is not None:
            async with known.lock:  # a refresh that runs ends first
                await threads.whole(self._remove, pod_uid)
        elif any((place / pod_uid).exists() for place in self._places):
            await threads.whole(self._remove, pod_uid)

    async def remove_others(self, pod_uids: Collection[str]) -> None:
        """Remove the volumes of all Pods that are not in `pod_uids`."""
        found = {entry.name for place in self._places if place.exists() for entry in os.scandir(place)}
        for pod_uid in found - set(pod_uids):
            await self.remove(pod_uid)

    async def close(self) -> None:
        """Remove everything that follows objects, and all in memory: the containers have ended. An emptyDir on disk
        stays for the next start of its Pod."""
        await threads.whole(close, self._folder)

    async def _require_account(self, pod: Object) -> None:
        """A Pod needs the service account that it names; the default one is made with its namespace."""
        name = account_name(pod)
        if name != DEFAULT_ACCOUNT and await self._objects.find(pod, Reference(SERVICE_ACCOUNT, name)) is None:
            message = f'error looking up service account {key(pod).namespace}/{name}: serviceaccount "{name}" not found'
            raise LaunchRejected(CONFIG_ERROR, message)

    # One volume

    async def _make(self, known: _PodVolumes, volume: Object) -> Path:
        name, pod = str(volume["name"]), known.pod
        if syntax.dns_1123_label(name) and name != TOKEN_VOLUME:
            raise VolumeProblem("its name is invalid")
        source = next((found for found in volume if found != "name" and volume[found] is not None), "emptyDir")
        content = volume.get(source) or {}
        if source in SOURCES:
            place = await self._objects.make(pod, volume)
            known.made.add(name)
            return place
        if source == "emptyDir":
            place = await threads.whole(folders.empty_dir, self._folder / _PODS / uid(pod) / name, content, pod)
            self._evictions.watch(pod, volume, place)
            return place
        if source == "persistentVolumeClaim":
            return await self._claim(pod, str(content.get("claimName") or ""))
        if source == "hostPath":
            return await threads.whole(folders.host_path, content, self._settings.home)
        raise VolumeProblem(f"volumes of type {source} are not supported")

    async def _claim(self, pod: Object, name: str) -> Path:
        """The folder of a claim, which all containers that mount it may write to."""
        claim = await self._objects.find(pod, Reference(PERSISTENT_VOLUME_CLAIM, name))
        others = self._context.informers.pods.indexed("claim", str(Key(key(pod).namespace, name)))
        if problem := claims.problem(claim, name, pod, others):
            raise VolumeProblem(problem)
        place = claims.folder(self._folder, str(spec(claim or {}).get("volumeName")))
        if not place.is_dir():
            raise VolumeProblem(f"the folder of persistentvolumeclaim {name!r} is missing: {place}")
        if (group := folders.fs_group(pod)) is not None:
            await threads.whole(folders.give, place, folders.OPEN_TO_GROUP, group)
        return place

    # Changes of objects

    def _on_object(self, kind: Kind) -> Callable[[Object | None, Object | None], None]:
        def handle(old: Object | None, new: Object | None) -> None:
            if new is not None:  # without its object a volume keeps its files
                for pod_uid in self._shown.users(kind, key(new)):
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
                if volume["name"] in known.made:
                    await self._update(known.pod, volume)
            self._renew_later(pod_uid)

    async def _update(self, pod: Object, volume: Object) -> None:
        try:
            if await self._objects.update(pod, volume):
                self._log.info("volume updated", pod=str(key(pod)), volume=volume["name"])
        except VolumeProblem as problem:
            self._context.recorder.warning(pod, "FailedMount", _message(volume, problem))

    def _renew_later(self, pod_uid: str) -> None:
        """Give the Pod a turn when its tokens need to be renewed."""
        seconds = self._objects.tokens.renewal(pod_uid)
        if seconds is not None:
            self._queue.wake_after(pod_uid, seconds)

    # Places

    @property
    def _places(self) -> Sequence[Path]:
        return [self._folder / part for part in (_PODS, OBJECTS, MEMORY)]

    def _remove(self, pod_uid: str) -> None:
        for place in self._places:
            if (place / pod_uid).exists():
                mounts.unmount_below(place / pod_uid)
                trees.remove(place / pod_uid)


def close(folder: Path) -> None:
    """Remove all volumes in `folder` whose content is in memory or in objects. Called when no container runs."""
    if folder.exists():
        mounts.unmount_below(folder)
        for part in (OBJECTS, MEMORY):
            trees.remove(folder / part)


def _references(pod: Object, declared: Sequence[Object]) -> frozenset[Reference]:
    """All objects that the volumes of a Pod depend on."""
    shown = (_shown(volume) for volume in declared if any(source in volume for source in SOURCES))
    claimed = (Reference(PERSISTENT_VOLUME_CLAIM, name) for name in claim_names(pod))
    return frozenset((*claimed, *(reference for each in shown for reference in each)))


def _shown(volume: Object) -> Sequence[Reference]:
    try:
        return tuple(references(volume))
    except VolumeProblem:  # its set-up reports it
        return ()


def _message(volume: Object, problem: Exception) -> str:
    return f'MountVolume.SetUp failed for volume "{volume["name"]}" : {problem}'
