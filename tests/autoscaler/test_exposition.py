# SPDX-License-Identifier: Apache-2.0
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from tidegate.autoscaler.exposition import Reading, Unreadable, read

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


def app() -> CollectorRegistry:
    """The metrics of an app with Prometheus' own library."""
    registry = CollectorRegistry()
    depth = Gauge("queue_depth", "Jobs that wait.", ["queue"], registry=registry)
    depth.labels("fast").set(3)
    depth.labels("slow\n\u2028").set(4.5)
    Gauge("queue_depth_limit", "The most.", registry=registry).set(100)
    done = Counter("jobs", "Jobs that were done.", ["queue"], registry=registry)
    done.labels("fast").inc(10)
    done.labels("slow").inc(2)
    Histogram("wait_seconds", "How long.", registry=registry, buckets=(1, 2)).observe(1.5)
    return registry


@pytest.mark.parametrize(
    ("metric", "reading"),
    [
        ("queue_depth", Reading(7.5, is_total=False)),
        ("queue_depth_limit", Reading(100.0, is_total=False)),
        ("jobs", Reading(12.0, is_total=True)),
        ("jobs_total", Reading(12.0, is_total=True)),
        ("wait_seconds_count", Reading(1.0, is_total=True)),
        ("wait_seconds_sum", Reading(1.5, is_total=True)),
    ],
)
def test_a_metric_is_the_sum_over_its_label_sets_in_both_formats(metric: str, reading: Reading) -> None:
    assert read(generate_latest(app()).decode(), TEXT, metric) == reading
    text: bytes = generate_openmetrics(app())  # type: ignore[no-untyped-call]
    assert read(text.decode(), OPENMETRICS, metric) == reading


@pytest.mark.parametrize(
    ("text", "reading"),
    [
        ("jobs 5", Reading(5.0, is_total=False)),
        ("jobs 5 1764096000000\n", Reading(5.0, is_total=False)),
        ("jobs_total 5\n", Reading(5.0, is_total=True)),
        ("# TYPE jobs counter\njobs 5\n", Reading(5.0, is_total=True)),
        ("# TYPE jobs gauge\njobs 5\n# TYPE jobs_total counter\njobs_total 7\n", Reading(5.0, is_total=False)),
        ("# TYPE jobs gauge\njobs -2\n", Reading(-2.0, is_total=False)),
        ("this is not for a machine\njobs 5\n", Reading(5.0, is_total=False)),
    ],
)
def test_metrics_written_by_hand_are_read(text: str, reading: Reading) -> None:
    assert read(text, "text/plain", "jobs") == reading


@pytest.mark.parametrize(
    ("text", "content_type", "metric", "why"),
    [
        ("", TEXT, "jobs", "does not report jobs"),
        ("other_jobs 1\njobs_limit 2\n", TEXT, "jobs", "does not report jobs"),
        ("jobs many\n", TEXT, "jobs", "is not in Prometheus' format: could not convert string to float: 'many'"),
        ("jobs NaN\n", TEXT, "jobs", "reports jobs as nan"),
        ("jobs +Inf\n", TEXT, "jobs", "reports jobs as inf"),
        ('{"jobs": 5}', "application/json", "jobs", "is not in Prometheus' format: "),
        (
            generate_latest(app()).decode(),
            TEXT,
            "wait_seconds_bucket",
            "reports wait_seconds_bucket as a histogram, which has no value to scale by",
        ),
        (
            "".join(f'jobs{{of="{user}"}} 1\n' for user in range(1001)),
            TEXT,
            "jobs",
            "reports jobs in more than 1000 lines",
        ),
    ],
)
def test_an_unreadable_answer_is_refused_with_the_reason(text: str, content_type: str, metric: str, why: str) -> None:
    with pytest.raises(Unreadable) as refused:
        read(text, content_type, metric)

    assert str(refused.value).startswith(why)


WORDS = ("jobs", "_total", "_count", "# TYPE ", "# EOF", "counter", "histogram", *'{}"=,# \n1x')


@given(
    st.lists(st.sampled_from(WORDS)).map("".join),
    st.sampled_from([TEXT, OPENMETRICS]),
)
@example('# TYPE \t # {a="b"} 1_suminfo{a="b"}\t0x1 _sum# TYPE # TYPE jobs_total', OPENMETRICS)
def test_any_answer_is_read_or_refused(text: str, content_type: str) -> None:
    with suppress(Unreadable):
        assert abs(read(text, content_type, "jobs").value) <= 2**53
