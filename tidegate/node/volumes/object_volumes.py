# SPDX-License-Identifier: Apache-2.0
"""The volumes that show objects: configMap, secret, projected, downwardAPI, and the automounted token of a Pod.

In: a Pod and one of its volumes. Out: its folder, written with the present content of the objects; `VolumeProblem` if
they are missing. Called by: `volumes.py`.

| place in `settings.volumes` | contents |
| --- | --- |
| `objects/UID/NAME` | configMap |
| `memory/UID/NAME` | secret, projected, downwardAPI: in a tmpfs if root runs Tidegate |
"""

import os
import threading
from collections.abc import Sequence
from pathlib import Path

import structlog

from tidegate.client.context import Context
from tidegate.kit import mounts, threads
from tidegate.model import errors, pods
from tidegate.model.kinds import SERVICE_ACCOUNT
from tidegate.model.objects import Key, Object, key, spec, uid
from tidegate.model.tokens import IssueToken
from tidegate.node.downward import NodeFacts
from tidegate.node.volumes import atomic_writer, automount, folders
from tidegate.node.volumes.payload import Payload, Reference, Sources, VolumeProblem, payload, references, tokens
from tidegate.node.volumes.tokens import PodTokens, account_name
from tidegate.settings import Settings

OBJECTS, MEMORY = "objects", "memory"
_FOLDER_MODE = 0o755


class ObjectVolumes:
    """`tokens`: the present tokens of all Pods."""

    def __init__(self, context: Context, settings: Settings, node: NodeFacts, issue_token: IssueToken) -> None:
        self.tokens = PodTokens(issue_token, context.clock)
        self._context = context
        self._folder = settings.volumes
        self._authority = settings.pki / "ca.crt"
        self._facts = node
        self._mounting = threading.Lock()
        self._log = structlog.get_logger("node.volumes")

    async def declared(self, pod: Object) -> Sequence[Object]:
        """The volumes of the spec, and the one that a Pod gets without asking."""
        named = spec(pod).get("volumes") or ()
        if pods.runtime_of(pod) != "oci" or spec(pod).get("automountServiceAccountToken") is False:
            return named
        token = automount.automounted(pod, await self.find(pod, Reference(SERVICE_ACCOUNT, account_name(pod))))
        return named if token is None else (*named, token)

    async def find(self, pod: Object, reference: Reference) -> Object | None:
        """An object as it is now: an informer may not have it yet."""
        try:
            return await self._context.cluster.get(reference.kind, Key(key(pod).namespace, reference.name))
        except errors.NotFound:
            return None

    def place(self, pod: Object, volume: Object) -> Path:
        part = OBJECTS if volume.get("configMap") is not None else MEMORY
        return self._folder / part / uid(pod) / str(volume["name"])

    async def make(self, pod: Object, volume: Object) -> Path:
        """The folder with its files. A volume that was made before keeps its files if the objects are missing now."""
        place = self.place(pod, volume)
        try:
            await self.update(pod, volume)
        except VolumeProblem:
            if not atomic_writer.is_written(place):
                raise
        return place

    async def update(self, pod: Object, volume: Object) -> bool:
        """Give a volume the present content of its objects; whether a file has changed."""
        objects = {reference: await self.find(pod, reference) for reference in references(volume)}
        texts = {options: await self.tokens.get(pod, options) for options in tokens(volume)}
        authority = self._authority.read_bytes() if texts else b""
        content = payload(volume, Sources(pod, self._facts, objects, texts, authority))
        return await threads.whole(self._write, self.place(pod, volume), content, folders.fs_group(pod))

    def _write(self, place: Path, content: Payload, group: int | None) -> bool:
        if self._folder / MEMORY in place.parents:
            self._mount_memory()
        place.mkdir(parents=True, exist_ok=True)
        folders.give(place, _FOLDER_MODE, group)
        return atomic_writer.write(place, content, self._context.clock.wall(), group=group)

    def _mount_memory(self) -> None:
        """Keep the values of Secrets off the disk, if this user may mount anything."""
        memory = self._folder / MEMORY
        with self._mounting:  # a second mount would hide the files in the first
            if os.geteuid() != 0 or memory.is_mount():
                return
            memory.mkdir(parents=True, exist_ok=True)
            try:
                mounts.mount("tmpfs", memory, "mode=0700", mounts.NO_SUID | mounts.NO_DEVICES)
            except OSError as error:
                self._log.warning("values of Secrets are on the disk: no tmpfs can be mounted", error=str(error))
