# SPDX-License-Identifier: Apache-2.0
import pytest
from tidegate_predictive.options import MARGIN, NAME, QUANTILE, PredictiveOptions, options_of, problems


def test_given_options_replace_the_defaults() -> None:
    assert options_of({}) == PredictiveOptions(quantile=0.9, margin=60)
    assert options_of({QUANTILE: "0.99", MARGIN: "2m30s"}) == PredictiveOptions(quantile=0.99, margin=150)
    assert list(problems({QUANTILE: "0.5", MARGIN: "1h", "autoscaling.knative.dev/metric": "rps"})) == []


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (QUANTILE, "1", "expected 0.5 <= 1 <= 0.99"),
        (QUANTILE, "nan", "invalid value: nan"),
        (QUANTILE, "high", "invalid value: high"),
        (MARGIN, "2h", "expected 0s <= 2h <= 1h"),
        (MARGIN, "soon", "invalid value: soon"),
        (f"{NAME}/qantile", "0.9", f'invalid key name "{NAME}/qantile"'),
        ("autoscaling.knative.dev/metric", "cpu", "invalid value: cpu"),
    ],
)
def test_an_invalid_option_is_reported_at_its_key_and_counts_as_not_set(name: str, value: str, message: str) -> None:
    (problem,) = problems({name: value})

    assert problem.message == message
    assert problem.paths in ((name,), ("",))
    assert options_of({name: value}) == PredictiveOptions()
