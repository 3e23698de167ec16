# SPDX-License-Identifier: Apache-2.0
"""A few thousand random requests; `make soak` sends a million."""

from pathlib import Path

from harness.storm import storm


async def test_a_storm_of_requests_gets_all_its_answers_and_passes_no_limit(tmp_path: Path) -> None:
    async with storm(tmp_path, requests=4000, seed=1) as raging:
        await raging.rage()
        await raging.settle()

        assert raging.failures == []
        assert raging.excess == {}
        answered = sum(count for outcome, count in raging.outcomes.items() if outcome != "aborted")
        reports = [raging.gateway.reports.latest[f"default/{name}"] for name in raging.apps]
        assert answered <= sum(sum(report["responses"].values()) for report in reports) <= raging.sent
        assert all(requests == 0 for report in reports for requests in report["hosts"].values())
