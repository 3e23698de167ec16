# SPDX-License-Identifier: Apache-2.0
"""A container that is complete except for its program: it waits until it is started.

In: its folder and record. Out: a running container, or no container. Called by: `container.py`.

runc's init waits in an open of `exec.fifo`; opening the other end is what `runc start` does, without the 6 ms that the
program takes. Other runtimes are started by their own `start`.
"""

import asyncio
import os
import time

import msgspec

from tidegate.node.runtime import LaunchRejected
from tidegate.node.runtimes.oci import programs
from tidegate.node.runtimes.oci.conmon import runtime_arguments
from tidegate.node.runtimes.oci.failures import RUN_ERROR, message_of
from tidegate.node.runtimes.oci.folders import ContainerFolder, ContainerRecord
from tidegate.node.runtimes.oci.host import OciHost
from tidegate.node.runtimes.oci.running import OciContainer
from tidegate.node.runtimes.oci.storage import watch
from tidegate.node.runtimes.oci.tools import Tools

_SECONDS = 20.0  # for a start; a busy host takes 0.1


class CreatedOciContainer:
    """One container before its start."""

    def __init__(self, host: OciHost, tools: Tools, folder: ContainerFolder, record: ContainerRecord) -> None:
        self._host = host
        self._tools = tools
        self.folder = folder
        self._record = record
        host.live[folder.id] = self

    async def start(self) -> OciContainer:
        record = msgspec.structs.replace(self._record, started=time.time())
        self.folder.note_start(record.started)  # first: an app never runs that counts as not started
        try:
            async with asyncio.timeout(_SECONDS):
                await (self._open_fifo() if self._tools.has_fifo else self._call_start())
        except (OSError, TimeoutError) as error:
            self._host.remove_later(self.folder)
            raise LaunchRejected(
                RUN_ERROR, f"the container was not started: {error or 'it does not answer'}"
            ) from error
        except BaseException:
            self._host.remove_later(self.folder)
            raise
        return running(self._host, self._tools, self.folder, record)

    async def remove(self) -> None:
        await self._host.remove(self.folder)

    async def _open_fifo(self) -> None:
        """Return once init has passed the FIFO. It writes one byte after it has opened it."""
        fifo = self._host.folders.state / self.folder.id / "exec.fifo"
        handle = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        loop, readable = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(handle, readable.set)
        died = asyncio.create_task(self._record.init.ended(), name=f"end of {self.folder.id}")
        opened = asyncio.create_task(readable.wait(), name=f"start of {self.folder.id}")
        try:
            await asyncio.wait((died, opened), return_when=asyncio.FIRST_COMPLETED)
            if not readable.is_set():
                raise OSError("its init has ended")
        finally:
            loop.remove_reader(handle)
            os.close(handle)
            died.cancel()
            opened.cancel()
        fifo.unlink()  # for the runtime, the container runs from now on

    async def _call_start(self) -> None:
        log = self.folder.path / "runtime.log"
        arguments = runtime_arguments(self._host.folders.state, log)
        if await programs.run([self._tools.runtime, *arguments, "start", self.folder.id]):
            raise OSError(message_of(log.read_bytes()) if log.exists() else f"{self._tools.name} start failed")


def running(host: OciHost, tools: Tools, folder: ContainerFolder, record: ContainerRecord) -> OciContainer:
    """A container that was started, with the limit of its writable layer."""
    container = host.live[folder.id] = OciContainer(host, folder, record, tools.name)
    if record.storage:
        host.watch(watch(container, record.storage), f"storage of {folder.id}")
    return container
