# SPDX-License-Identifier: Apache-2.0
"""The command line with a served API. The API's event loop runs in a thread, since each command runs its own loop."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click
from click.testing import CliRunner

from harness.apiserver import Ended, Served, cluster_of, served
from tidegate.cli import program
from tidegate.cli.program import app
from tidegate.client.cluster import Cluster
from tidegate.model.groups import BUILT_IN_SCHEME
from tidegate.model.kinds import Kind
from tidegate.model.objects import Key, Object
from tidegate.model.scheme import Scheme

T = TypeVar("T")
PATIENCE = 30.0
COMMANDS = {name: command for name in program.COMMANDS if (command := app.get_command(click.Context(app), name))}


@dataclass(frozen=True)
class Answer:
    """Exit code and output of a command."""

    code: int
    out: str
    err: str


def invoke(*arguments: str, home: Path, stdin: str | None = None) -> Answer:
    """Run `tidegate ARGUMENTS` in this process."""
    environment = {"TIDEGATE_HOME": str(home), "NO_COLOR": "1", "COLUMNS": "200"}
    result = CliRunner().invoke(app, arguments, input=stdin, env=environment)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Answer(result.exit_code, result.stdout, result.stderr)


@dataclass(frozen=True)
class World:
    """A served API, and commands that find it by the state folder."""

    home: Path
    server: Served
    ended: Ended
    loop: asyncio.AbstractEventLoop

    def run(self, *arguments: str, stdin: str | None = None) -> Answer:
        return invoke(*arguments, home=self.home, stdin=stdin)

    def ok(self, *arguments: str, stdin: str | None = None) -> str:
        """The output of a command that must succeed."""
        answer = self.run(*arguments, stdin=stdin)
        assert answer.code == 0, answer.err
        return answer.out

    def fails(self, *arguments: str, stdin: str | None = None, code: int = 1) -> str:
        """The only line of a command that must fail."""
        answer = self.run(*arguments, stdin=stdin)
        assert answer.code == code, answer
        assert len(answer.err.splitlines()) == 1, answer.err
        return answer.err.removeprefix("error: ").strip()

    @property
    def cluster(self) -> Cluster:
        return cluster_of(self.server.api, "tester")

    def on_server(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the server's event loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(PATIENCE)

    def given(self, kind: Kind, obj: Object) -> Object:
        """Create an object and write its status."""
        created = self.on_server(self.cluster.create(kind, obj))
        if "status" not in obj:
            return created
        return self.on_server(self.cluster.update_status(kind, {**created, "status": obj["status"]}))

    def patch(self, kind: Kind, name: str, patch: Object, *, status: bool = False) -> Object:
        subresource: Any = "status" if status else ""
        return self.on_server(self.cluster.patch(kind, Key("default", name), patch, subresource=subresource))

    def get(self, kind: Kind, name: str) -> Object:
        return self.on_server(self.cluster.get(kind, Key("default" if kind.namespaced else "", name)))


@contextmanager
def following(world: World, *arguments: str) -> Iterator[Callable[[], str]]:
    """A command in a process of its own until it is terminated; yields a function that reads its next line."""
    command = [sys.executable, "-m", "tidegate", *arguments, "--data-dir", str(world.home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        bound = threading.Timer(PATIENCE, process.terminate)
        bound.start()
        try:
            assert process.stdout is not None
            yield process.stdout.readline
        finally:
            bound.cancel()
            bound.join()
            process.terminate()


@contextmanager
def world(home: Path, scheme: Scheme = BUILT_IN_SCHEME) -> Iterator[World]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def on_loop(work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, loop).result(PATIENCE)

    ended = Ended()
    serving = served(home, ended=ended, scheme=scheme)
    server = on_loop(serving.__aenter__())
    try:
        yield World(home, server, ended, loop)
    finally:
        on_loop(serving.__aexit__(None, None, None))
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def config_map(name: str, data: dict[str, str] | None = None, **metadata: Any) -> Object:
    """A ConfigMap without a namespace, as in a manifest."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}, "data": data or {}}


def service(name: str, **spec: Any) -> Object:
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"template": {"spec": {"containers": [{"image": "one"}]}}, **spec},
    }


def revision(service: str, name: str) -> Object:
    labels = {"serving.knative.dev/service": service, "serving.knative.dev/configuration": service}
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Revision",
        "metadata": {"name": name, "namespace": "default", "labels": labels},
        "spec": {"containers": [{"image": "one"}]},
    }


def pod(service: str, name: str, *, running: bool = True, revision: str = "") -> Object:
    labels = {"serving.knative.dev/service": service, "serving.knative.dev/revision": revision or f"{service}-00001"}
    state: Object = {"running": {}} if running else {"waiting": {"reason": "ContainerCreating"}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "default",
            "labels": {"serving.knative.dev/service": service, **labels},
        },
        "spec": {"containers": [{"name": "user-container", "image": "one"}]},
        "status": {
            "containerStatuses": [{"name": "user-container", "restartCount": 0, "state": state}],
            "conditions": [{"type": "Ready", "status": str(running)}],
        },
    }


READY = {"observedGeneration": 1, "conditions": [{"type": "Ready", "status": "True"}]}
