# SPDX-License-Identifier: Apache-2.0
"""Tokens are renewed before they expire, in virtual time."""

from datetime import timedelta

import pytest

from tidegate.kit.clock import VirtualClock
from tidegate.model import errors
from tidegate.model.objects import Key, Object
from tidegate.model.tokens import IssuedToken, TokenOptions
from tidegate.node.volumes.payload import VolumeProblem
from tidegate.node.volumes.tokens import PodTokens

POD: Object = {"metadata": {"name": "app", "namespace": "ns", "uid": "u1"}, "spec": {}}


class Issuer:
    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.issued: list[tuple[Key, TokenOptions]] = []
        self.failure: errors.ApiError | None = None

    async def issue(self, account: Key, options: TokenOptions, pod: Object) -> IssuedToken:
        if self.failure is not None:
            raise self.failure
        self.issued.append((account, options))
        return IssuedToken(f"token {len(self.issued)}", self.clock.wall() + timedelta(seconds=options.seconds))


@pytest.mark.parametrize(("seconds", "renewed_after"), [(600, 480), (3600, 2880), (10**6, 86400)])
async def test_a_token_is_renewed_after_four_fifths_of_its_life_or_a_day(seconds: int, renewed_after: int) -> None:
    clock = VirtualClock()
    issuer = Issuer(clock)
    tokens, options = PodTokens(issuer.issue, clock), TokenOptions((), seconds)

    assert await tokens.get(POD, options) == "token 1"
    assert tokens.renewal("u1") == renewed_after
    await clock.advance(renewed_after - 1)
    assert await tokens.get(POD, options) == "token 1"
    await clock.advance(1)
    assert await tokens.get(POD, options) == "token 2"
    assert issuer.issued[0] == (Key("ns", "default"), options)


async def test_a_renewal_that_fails_is_tried_again_a_minute_later() -> None:
    clock = VirtualClock()
    issuer = Issuer(clock)
    tokens, options = PodTokens(issuer.issue, clock), TokenOptions((), 600)
    await tokens.get(POD, options)
    await clock.advance(480)
    issuer.failure = errors.NotFound("no account")

    with pytest.raises(VolumeProblem, match="failed to fetch token: no account"):
        await tokens.get(POD, options)

    assert tokens.renewal("u1") == 60
    tokens.forget("u1")
    assert tokens.renewal("u1") is None
