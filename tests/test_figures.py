# SPDX-License-Identifier: Apache-2.0
"""Each limit, default and period that a page states is the constant that the code has.

A row is a page and its own words, with constants where the figures are: who changes a constant finds the page here. In
a section named "Limits" every figure must come from a row, so a limit cannot be documented without its constant.
"""

import re
from pathlib import Path

import pytest

from tests.test_docs import DOCS, PAGES, ROOT
from tidegate import embedded
from tidegate.apiserver import apiserver
from tidegate.apiserver.endpoints import (
    acceptor,
    bodies,
    connection,
    json_body,
    port_forward,
    responses,
    session_response,
    watch,
)
from tidegate.apiserver.registry import offload
from tidegate.apiserver.upkeep import compaction, event_expiry
from tidegate.autoscaler import controller, meter, scale, scaler, scraper
from tidegate.bundles import source
from tidegate.controllers.serving import instances
from tidegate.gateway import access_log
from tidegate.gateway.publisher import ingress_status
from tidegate.kit import disk, keeper, sampling, supervision
from tidegate.model import pods
from tidegate.model.config.observability import ObservabilityConfig
from tidegate.model.registry import metadata_validation, patches, selectors
from tidegate.model.validation import traffic
from tidegate.node import instance, logs, machine, node, probe, prober, restarts
from tidegate.reconcile import object_queue
from tidegate.store import encoding, store
from tidegate.streaming import byte_queue, spdy_frames
from tidegate.xds import mirror


def count(number: int) -> str:
    return f"{number:,}"


def size(number: int) -> str:
    for unit, power in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if number >= 2**power:
            return f"{number / 2**power:g} {unit}"
    return f"{number} bytes"


def time(seconds: float) -> str:
    if seconds >= 3600 and not seconds % 3600:
        return f"{seconds / 3600:g} h"
    return f"{seconds:g} s" if seconds >= 1 else f"{seconds * 1000:g} ms"


def waits(bounds: restarts.Waits) -> str:
    return f"{time(bounds.first)}, doubling to {bounds.longest / 60:g} min"


def of_gate(field: str, file: str = "settings.h") -> int:
    """A default in the gate's code, e.g. `size_t held_bytes = 64 << 20;`."""
    found = re.search(rf"\b{field} = ([\d']+)(?: << (\d+))?\b", (ROOT / "gate" / file).read_text())
    assert found is not None, f"gate/{file} sets no {field}"
    return int(found[1].replace("'", "")) << int(found[2] or 0)


ROWS = [
    ("api.md", f"| a request's body | {size(bodies.LIMIT)} | 413 |"),
    ("api.md", f"| an object | {size(encoding.LARGEST)} of JSON | 413 |"),
    ("api.md", f"| values in a body | {count(json_body.MOST_VALUES)} | 413 |"),
    ("api.md", f"| nesting of a body | {json_body.DEEPEST} levels | 400 |"),
    ("api.md", f"| terms of a selector | {selectors.MOST_TERMS} | 400 |"),
    ("api.md", f"selection that is large ({size(offload.SMALL)} and more)"),
    ("api.md", f"| targets in `spec.traffic` | {traffic.MOST_TARGETS} | 400 |"),
    ("api.md", f"| annotations of an object | {size(metadata_validation.MOST_ANNOTATION_BYTES)} | 422 |"),
    (
        "api.md",
        f"| warnings with an answer | {responses.MOST_WARNINGS} of {responses.LONGEST_WARNING} characters each |",
    ),
    (
        "api.md",
        "| operations of a JSON patch, bytes that it copies "
        f"| {count(patches.MOST_OPERATIONS)}; {size(patches.MOST_COPIED_BYTES)} | 413 |",
    ),
    (
        "api.md",
        f"| sessions (exec, attach, port-forward) at a time | {session_response.MOST_SESSIONS}; "
        f"{session_response.MOST_OF_POD} of one Pod | 429 ",
    ),
    (
        "sessions.md",
        f"| sessions at a time | {session_response.MOST_SESSIONS}; {session_response.MOST_OF_POD} of one Pod |",
    ),
    ("sessions.md", f"| a session without a byte in either direction | {time(session_response.IDLE_SECONDS)}, "),
    ("sessions.md", f"| ports of a port-forward over WebSocket channels | {port_forward.MOST_PORTS} |"),
    ("sessions.md", f"| a control frame of SPDY, its headers | {size(spdy_frames.MOST_CONTROL)} each |"),
    ("sessions.md", f"Nothing is buffered beyond {size(byte_queue.MOST_BYTES)}"),
    ("api.md", f"| watches and followed logs at a time | {count(apiserver.MOST_STREAMS)} | 429 "),
    (
        "api.md",
        f"| connections at a time | {count(acceptor.MOST_CONNECTIONS)}, or half of the files that Tidegate may open |",
    ),
    ("api.md", f"| connections without a token at a time | {acceptor.MOST_UNAUTHENTICATED} | the oldest is closed |"),
    ("api.md", f"| a TLS handshake | {time(acceptor.HANDSHAKE_SECONDS)} | closed |"),
    ("api.md", f"| a request's head | {time(connection.HEAD_SECONDS)} | closed |"),
    ("api.md", f"| a request's body, while it is sent | {time(connection.BODY_SECONDS)} | closed |"),
    ("api.md", f"| changes that a watch may lag behind | {count(store.QUEUE)}, or what history holds "),
    ("api.md", "| the watch ends with 410: list again |"),
    (
        "api.md",
        "| history, for watches and lists that begin in the past "
        f"| {count(store.HISTORY)} changes, {size(store.HISTORY_BYTES)} of JSON, "
        f"{compaction.INTERVAL / 60:g} to {2 * compaction.INTERVAL / 60:g} min | 410 |",
    ),
    ("api.md", f"| the life of an Event | {time(event_expiry.TTL.total_seconds())} since it was last seen |"),
    ("api.md", f"| a watch | {time(watch.DEFAULT_TIMEOUT)}, or its `timeoutSeconds` |"),
    ("api.md", f"| drops old versions of objects every {compaction.INTERVAL / 60:g} minutes,"),
    ("api.md", f"left in these files {2 * compaction.INTERVAL / 60:g} minutes after it was deleted"),
    ("security.md", f"At most {acceptor.MOST_UNAUTHENTICATED} may be without a request that had the token"),
    (
        "security.md",
        f"A handshake has {time(acceptor.HANDSHAKE_SECONDS)}, a request's head {time(connection.HEAD_SECONDS)}, "
        f"its body {time(connection.BODY_SECONDS)}.",
    ),
    ("security.md", f"its write-ahead log after {2 * compaction.INTERVAL / 60:g} minutes"),
    ("gate.md", f"| `containerConcurrency` | {of_gate('container_concurrency')}: no limit |"),
    ("gate.md", f"{of_gate('kWorkers', 'host.h')} threads of Envoy can share a revision"),
    ("gate.md", f"| (no control plane, and no instance) | | {of_gate('patience', 'reporter.h')} s | 503 "),
    ("gate.md", f"| requests that wait | `queueLength` | {count(of_gate('queue_length'))} | 503 "),
    ("gate.md", f"| time in the queue | `queueDeadlineSeconds` | {of_gate('queue_deadline')} s | 504 "),
    ("gate.md", f"| `heldBytes` | {size(of_gate('held_bytes'))} | 503 "),
    (
        "gate.md",
        "| `mirrorQueueLength`, `mirrorHeldBytes` "
        f"| {of_gate('mirror_queue_length')}, {size(of_gate('mirror_held_bytes'))} |",
    ),
    ("gateway.md", f"If a connected Envoy acknowledges nothing for {ingress_status.ACKNOWLEDGEMENT_SECONDS:g} seconds"),
    ("gateway.md", f"a copy of more than {size(mirror.BODY_BYTES)} is dropped"),
    ("gateway.md", f"{of_gate('mirror_queue_length')} a revision and {size(of_gate('mirror_held_bytes'))} at the most"),
    ("gateway.md", f"bounds it to two files of {size(access_log.FILE_BYTES)}"),
    (
        "controllers.md",
        f"retries it after {time(object_queue.RACE_WAITS[0])}, doubling to {time(object_queue.RACE_WAITS[1])}",
    ),
    (
        "controllers.md",
        f"retried after {time(object_queue.REJECTION_WAITS[0])}, doubling to {time(object_queue.REJECTION_WAITS[1])}",
    ),
    ("controllers.md", f"if it is not written within {time(instances.SCALE_SECONDS)}"),
    ("controllers.md", f"after {time(instances.DELETION_SECONDS)} without news of the deletion"),
    (
        "operations.md",
        f"it restarts after {time(supervision.FIRST_WAIT)}, doubling to {time(supervision.LONGEST_WAIT)}; "
        f"the others continue; after {supervision.STEADY / 60:g} min of running",
    ),
    (
        "operations.md",
        f"starts it again after {time(keeper.FIRST_SECONDS)}, doubling to {time(keeper.LONGEST_SECONDS)}",
    ),
    (
        "operations.md",
        f"the control plane, {keeper.MOST_CRASHES + 1} times in a row within {keeper.STEADY_SECONDS / 60:g} min each",
    ),
    (
        "operations.md",
        f"less than {disk.SHORT_PART * 100:g} % and less than {size(disk.SHORT_BYTES)} of the disk are free, "
        f"or less than {disk.FEW_FILES * 100:g} % of its inodes",
    ),
    ("node.md", f"the last lines of its log ({size(logs._STATUS_BYTES)}, {logs._STATUS_LINES} lines)"),
    ("node.md", f"and {count(machine._MOST_PODS)} Pods"),
    ("node.md", f"less {machine._RESERVED_CPU / 1000:g} core, and less {size(machine._RESERVED_MEMORY * 1024)}"),
    ("node.md", f"If its Pod does not say so within {time(pods.WOKEN_LABEL_SECONDS)}, it is frozen again"),
    ("node.md", f"Each keeps its last {size(logs.KEEP)}"),
    ("node.md", f"A start that failed is retried after {waits(restarts.START_WAITS)}."),
    (
        "node.md",
        "An app that ended is restarted immediately the first time, then after "
        f"{waits(restarts.RESTART_WAITS)} ",
    ),
    ("node.md", f"After a run of {pods.STEADY / 60:g} min or more, the next restart is immediate again."),
    ("node.md", f"| Running, not Ready; after {time(prober._QUIET)} `ContainersReady` says `ProbesFailing`,"),
    ("node.md", f"| not Ready, within {time(node.CHECK_PORTS_EVERY)}; within"),
    (
        "node.md",
        f"sockets after {time(prober._LOOK_FIRST)} without an answer. It doubles the wait after each reading, "
        f"up to {time(prober._LOOK_AT_LEAST_EVERY)}.",
    ),
    ("node.md", f"A readiness probe without `periodSeconds` runs every {time(probe._PERIOD)} once"),
    ("node.md", f"If the instance is ready within {time(instance._STATUS_DELAY)}, the start"),
    ("node.md", f"The app has at least {time(instance._LEAST_GRACE)} from here,"),
    ("node.md", f"samples, every {time(sampling.EVERY)}, the revisions of the autoscaler's class HPA"),
    ("node.md", f"Running requests have {time(embedded._DRAIN_SECONDS)} before all instances get SIGTERM"),
    ("node.md", f"Logs are removed after {time(ObservabilityConfig().ended_for)}."),
    (
        "node.md",
        f"the logs of one service exceed {size(int(ObservabilityConfig().ended_size_of_service.amount))} "
        f"or all logs exceed {size(int(ObservabilityConfig().ended_size.amount))} ",
    ),
    (
        "source.md",
        f"Limits: {count(source.MOST_FILES)} files, {size(source.MOST_BYTES)}, folders {source.DEEPEST} levels deep",
    ),
    ("autoscaling.md", f"| every {time(scaler.TICK)} | every revision with load"),
    ("autoscaling.md", f"at most every {time(controller._ADD_EVERY)}; such a decision only adds"),
    ("autoscaling.md", f"counts as ended after {time(meter._SILENT)}"),
    ("autoscaling.md", f"progress deadline and {time(scale._ACTIVATION_BUFFER)}"),
    ("autoscaling.md", f"is sampled every {time(sampling.EVERY)} from `/proc`"),
    ("autoscaling.md", f"Tidegate scrapes every ready instance every {time(sampling.EVERY)},"),
    ("autoscaling.md", f"An answer may take {time(scraper._TIMEOUT)} and have {size(scraper._LARGEST)};"),
]  # fmt: skip
"""Every row is (page, its words)."""


NO_FIGURES = re.compile(r"`[^`]*`|\b[45]\d\d\b|\b0: no limit\b")
"""Code, HTTP status codes, and that a limit is off."""


def words(text: str) -> str:
    """Text as read: lines do not count."""
    return " ".join(text.split())


@pytest.mark.parametrize(("page", "stated"), ROWS)
def test_a_page_states_the_constant(page: str, stated: str) -> None:
    assert words(stated) in words((DOCS / page).read_text())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_figure_under_limits_comes_from_a_constant(page: Path) -> None:
    sections = re.findall(r"^## Limits\n(.*?)(?=^## |\Z)", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for line in "".join(sections).splitlines():
        cells = words(line)
        for _, stated in (row for row in ROWS if row[0] == page.name):
            cells = cells.replace(words(stated), "")
        assert not re.search(r"\d", NO_FIGURES.sub("", cells)), f"{page.name}: no row of ROWS has this figure: {line}"
