# SPDX-License-Identifier: Apache-2.0
"""The progress of a service's image: its tag is resolved to a digest, then it is pulled.

In: a service, its image, the state folder. Out: a line for each step. Called by: `tidegate deploy --image`, while it
waits.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from tidegate.cli import image_store
from tidegate.cli.progress import ShowLine
from tidegate.client.cluster import Cluster
from tidegate.images import work_folder
from tidegate.images.reference import parse
from tidegate.model import errors, kinds
from tidegate.model.conditions import condition
from tidegate.model.objects import Key, status

_EVERY = 0.5  # seconds between two looks


@asynccontextmanager
async def reported(cluster: Cluster, service: Key, image: str, folder: Path, report: ShowLine) -> AsyncIterator[None]:
    """Reports the steps for as long as a `with` lasts. `folder`: the folder of images."""
    reporting = asyncio.create_task(_report(cluster, service, image, folder, report), name="progress of the image")
    try:
        yield
    finally:
        reporting.cancel()
        await asyncio.gather(reporting, return_exceptions=True)


async def _report(cluster: Cluster, service: Key, image: str, folder: Path, report: ShowLine) -> None:
    shown = ""
    while True:
        line = _pull(folder, image) or await _resolution(cluster, service, image)
        if line and line != shown:
            shown = line
            report(f"{service.name}: {line}")
        await asyncio.sleep(_EVERY)


def _pull(folder: Path, image: str) -> str:
    """How far the image is pulled; "" if it is not."""
    wanted = parse(image).name
    for pull in work_folder.running(folder):
        if parse(pull.image).name == wanted:
            return f"pulling {image}: {image_store.amount(pull.done, pull.total)}"
    return ""


async def _resolution(cluster: Cluster, service: Key, image: str) -> str:
    with suppress(errors.ApiError):
        found = await cluster.get(kinds.SERVICE, service)
        name = str(status(found).get("latestCreatedRevisionName") or "")
        revision = await cluster.get(kinds.REVISION, Key(service.namespace, name)) if name else {}
        if condition(revision, "ResourcesAvailable").get("reason") == "ResolvingDigests":
            return f"resolving {image} to a digest"
    return ""
