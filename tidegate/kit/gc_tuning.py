# SPDX-License-Identifier: Apache-2.0
"""Tuning of Python's garbage collector, against long pauses. Called by: `embedded.py`.

A full collection examines every object: 70 ms with a hundred services, seconds with ten thousand. Meanwhile no waiting
request gets its instance. Nearly all objects are long-lived and are freed by their reference counts. So young objects
are collected as usual, objects that are a minute old are excluded (`gc.freeze`), and a full collection, for the rare
cycle among old objects, runs every six hours.
"""

import gc

from tidegate.kit.clock import Clock

_NEVER = 1_000_000_000
_FREEZE_EVERY = 60.0  # seconds
_ALL_EVERY = 360  # of these rounds


async def run(clock: Clock) -> None:
    """Tune it until cancelled."""
    young, middle, _ = before = gc.get_threshold()
    gc.set_threshold(young, middle, _NEVER)
    rounds = 0
    try:
        while True:
            if rounds % _ALL_EVERY == 0:
                gc.unfreeze()
                gc.collect()
            else:
                gc.collect(1)
            gc.freeze()
            rounds += 1
            await clock.sleep(_FREEZE_EVERY)
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)
