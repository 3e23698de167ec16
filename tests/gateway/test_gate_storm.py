# SPDX-License-Identifier: Apache-2.0
"""A few thousand random requests; `make soak` sends a million."""

from pathlib import Path

from tests.gateway.storm import storm


async def test_in_a_storm_every_request_is_answered_and_no_bound_is_passed(tmp_path: Path) -> None:
    async with storm(tmp_path, requests=4000, seed=1) as raging:
        await raging.rage()
        await raging.settle()

        assert raging.failures == []
        assert raging.excess == {}
        answered = sum(count for outcome, count in raging.outcomes.items() if outcome != "aborted")
        told = [raging.gateway.reports.latest[f"default/{name}"] for name in raging.apps]
        assert answered <= sum(sum(report["responses"].values()) for report in told) <= raging.sent
        assert all(requests == 0 for report in told for requests in report["hosts"].values())
