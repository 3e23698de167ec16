# SPDX-License-Identifier: Apache-2.0
"""A limit of events per second for each client: a token bucket. Pure. Called by: `server.py`."""


class Rates:
    """Each client has `most` events at once, and `most` more each second."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._left: dict[str, tuple[float, float]] = {}  # tokens, and when they were counted

    def take(self, client: str, now: float) -> bool:
        """Count one event; False if the client has none left."""
        tokens, counted = self._left.get(client, (self._most, now))
        tokens = min(tokens + (now - counted) * self._most, self._most)
        self._left[client] = (tokens - 1 if tokens >= 1 else tokens, now)
        return tokens >= 1
