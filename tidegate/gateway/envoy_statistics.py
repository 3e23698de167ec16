# SPDX-License-Identifier: Apache-2.0
"""Envoy's own statistics, summed over all Envoys.

In: the admin socket of each Envoy, which is queried for each scrape; histograms are as of the scrape before. Out: text
in the format of Prometheus. Called by: `metrics.py`.
"""

import asyncio
from collections.abc import Collection
from itertools import chain
from pathlib import Path
from urllib.parse import quote

import structlog

from tidegate.gateway import envoy_admin

_WANTED = (
    r"^(http\.gateway\.downstream_(cx_active|cx_total|rq_active|rq_total|rq_[1-5]xx|rq_time)"
    r"|server\.memory_(allocated|heap_size))$"
)
_log = structlog.get_logger("metrics")


async def scrape(admin_sockets: Collection[Path]) -> bytes:
    """The sums over the Envoys that answer."""
    return _sum(await asyncio.gather(*map(_scrape_one, admin_sockets)))


async def _scrape_one(admin_socket: Path) -> bytes:
    try:
        return await envoy_admin.request(admin_socket, "GET", f"/stats/prometheus?usedonly&filter={quote(_WANTED)}")
    except envoy_admin.EnvoyAdminError as error:
        _log.info("no statistics from Envoy", error=str(error))
        return b""


def _sum(texts: Collection[bytes]) -> bytes:
    """One text for several: the sums of the samples that have the same name and labels."""
    if len(texts) == 1:
        return next(iter(texts))
    families: dict[bytes, dict[bytes, float]] = {}  # by the line that gives the type, and by name and labels
    for text in texts:
        samples: dict[bytes, float] = {}
        for line in filter(None, text.splitlines()):
            if line.startswith(b"#"):
                samples = families.setdefault(line, {})
            else:
                name, _, value = line.rpartition(b" ")
                samples[name] = samples.get(name, 0) + float(value)
    lines = ([family, *[b"%s %.15g" % sample for sample in samples.items()]] for family, samples in families.items())
    return b"".join(line + b"\n" for line in chain.from_iterable(lines))
