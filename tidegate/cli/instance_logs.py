# SPDX-License-Identifier: Apache-2.0
"""The logs of a service's instances in one stream; if none runs, of the last ended instances.

In: the service, and which lines to show. Out: lines on stdout. Called by: `tidegate logs`; `tidegate deploy` and the
release command use `copy` and `Followers`.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import click

from tidegate.cli import failures, watching
from tidegate.cli.connection import connected, run
from tidegate.client.http import HttpCluster
from tidegate.model import errors, kinds, names, objects
from tidegate.model.logs import LogOptions
from tidegate.model.objects import Key, Object

_LAST = 10
"""How many ended instances are shown if none runs."""


def show(service: Key, revision: str, options: LogOptions, data_dir: Path | None) -> None:
    """Print the logs of a service's instances."""
    run(_logs(service, revision, options, data_dir))


async def _logs(service: Key, revision: str, options: LogOptions, data_dir: Path | None) -> None:
    selector = f"{names.SERVICE}={service.name}" + (f",{names.REVISION}={revision}" if revision else "")
    async with connected(data_dir) as cluster:
        listing = await cluster.list(kinds.POD, service.namespace, labels=selector)
        ended = [] if listing.items and not options.previous else await _ended(cluster, service, revision)
        if not listing.items:
            await _explain(cluster, service, revision, ended)
        lines = LogPrinter(click.echo)
        for pod in (*ended, *listing.items):
            lines.expect(objects.key(pod).name)
        for pod in ended:
            await copy(cluster, pod, replace(options, follow=False, previous=False), lines)
        if not options.follow:
            for pod in listing.items:
                await copy(cluster, pod, options, lines)
            if options.previous and not lines.are_written:
                failures.remark(f"there is no log of an earlier run of {service.name}")
            return

        def watch(version: str) -> watching.Watching:
            return cluster.watch(kinds.POD, service.namespace, resource_version=version, labels=selector)

        async with asyncio.TaskGroup() as group:
            followers = Followers(cluster, group, lines)
            for pod in listing.items:
                followers.see(pod, options)
            async with aclosing(watching.changes(watch, listing.resource_version)) as events:
                async for event in events:
                    followers.see(event.object, LogOptions(follow=True))


async def _ended(cluster: HttpCluster, service: Key, revision: str) -> list[Object]:
    """The last ended instances, oldest first."""
    found = await cluster.ended(service)
    return [pod for pod in found if revision in ("", objects.labels(pod).get(names.REVISION))][-_LAST:]


async def _explain(cluster: HttpCluster, service: Key, revision: str, ended: Sequence[Object]) -> None:
    """Print on stderr why no running instance is shown. Raises `NotFound` if the service or revision never existed."""
    try:
        await cluster.get(kinds.SERVICE, service)
        if revision:
            await cluster.get(kinds.REVISION, Key(service.namespace, revision))
        state = f"{revision or service.name} has no instance now"
    except errors.NotFound:
        if not ended:
            raise
        state = f"{revision or service.name} is deleted"
    if not ended:
        failures.remark(f"{state}, and there is no log of an earlier instance")
        return
    when = datetime.fromisoformat(objects.annotations(ended[-1])[names.ENDED]).astimezone()
    which = "the last instance" if len(ended) == 1 else f"the last {len(ended)} instances"
    failures.remark(f"{state}: these are the logs of {which}, until {when:%Y-%m-%d %H:%M:%S}")


class LogPrinter:
    """Writes whole lines; with several instances, each line begins with its instance."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._instances: set[str] = set()
        self.are_written = False

    def expect(self, instance: str) -> None:
        self._instances.add(instance)

    def write(self, instance: str, line: bytes) -> None:
        text = line.decode(errors="replace")
        self.are_written = True
        self._write(f"[{instance}] {text}" if len(self._instances) > 1 else text)


async def copy(cluster: HttpCluster, pod: Object, options: LogOptions, lines: LogPrinter) -> None:
    """Copy the log of one instance, line by line; nothing if it is deleted or has not started yet."""
    key, left = objects.key(pod), b""
    try:
        async with cluster.logs(key, options=options) as pieces:
            async for piece in pieces:
                *whole, left = (left + piece).split(b"\n")
                for line in whole:
                    lines.write(key.name, line)
    except (errors.NotFound, errors.BadRequest):
        return
    if left:
        lines.write(key.name, left)


class Followers:
    """One reader for each run of each instance, started when the run starts."""

    def __init__(self, cluster: HttpCluster, group: asyncio.TaskGroup, lines: LogPrinter) -> None:
        self._cluster = cluster
        self._group = group
        self._lines = lines
        self._latest: dict[str, Object] = {}
        self._read: dict[str, int] = {}
        self._reading: set[str] = set()

    def see(self, pod: Object, options: LogOptions) -> None:
        """Start a reader for the run of an instance, unless it has one."""
        uid, run_number = objects.uid(pod), _run_number(pod)
        self._latest[uid] = pod
        if run_number is None or uid in self._reading or self._read.get(uid) == run_number:
            return
        self._read[uid] = run_number
        self._reading.add(uid)
        self._lines.expect(objects.key(pod).name)
        self._group.create_task(self._follow(pod, uid, options), name=f"log of {objects.key(pod)}")

    async def _follow(self, pod: Object, uid: str, options: LogOptions) -> None:
        await copy(self._cluster, pod, options, self._lines)
        self._reading.discard(uid)
        self.see(self._latest[uid], LogOptions(follow=True))


def _run_number(pod: Object) -> int | None:
    """The number of starts before this run; None before the first start."""
    statuses: Sequence[Object] = objects.status(pod).get("containerStatuses") or ()
    started = [entry for entry in statuses if {"running", "terminated"} & set(entry.get("state") or {})]
    return int(started[0].get("restartCount", 0)) if started else None
