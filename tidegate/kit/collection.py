# SPDX-License-Identifier: Apache-2.0
"""Python's garbage collector, kept from stopping everything at once.

A full collection looks at every object there is: 70 ms with a hundred services, seconds with ten thousand, in which no
request that waits gets its instance. Nearly all of those objects are long-lived and are freed by their reference
counts. So young objects are collected as ever, what has lived for a minute is set aside (`gc.freeze`), and all are
looked at a few times a day, for the rare cycle among the old.
"""

import gc

from tidegate.kit.clock import Clock

_NEVER = 1_000_000_000
_SET_ASIDE_EVERY = 60.0  # seconds
_ALL_EVERY = 360  # times of that


async def run(clock: Clock) -> None:
    """Do so until cancelled."""
    young, middle, _ = before = gc.get_threshold()
    gc.set_threshold(young, middle, _NEVER)
    turns = 0
    try:
        while True:
            if turns % _ALL_EVERY == 0:
                gc.unfreeze()
                gc.collect()
            else:
                gc.collect(1)
            gc.freeze()
            turns += 1
            await clock.sleep(_SET_ASIDE_EVERY)
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)
