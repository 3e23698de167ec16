# SPDX-License-Identifier: Apache-2.0
"""Messages of failures: short lines, one for each fault, with the field."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cli.world import World
from tidegate.cli import failures

DECODE = 'Service in version "v1" cannot be handled as a Service: '
WEBHOOK = 'admission webhook "validation.webhook.serving.knative.dev" denied the request: validation failed: '


@pytest.mark.parametrize(
    ("message", "lines"),
    [
        ('pods "a" not found', ['error: pods "a" not found']),
        (f"{WEBHOOK}missing field(s): spec.a", ["error: missing field(s): spec.a"]),
        (
            f"{WEBHOOK}expected 0 <= -1: spec.a\ninvalid value: x: spec.b",
            ["error: expected 0 <= -1: spec.a", "  invalid value: x: spec.b"],
        ),
        (
            f'{DECODE}strict decoding error: unknown field "spec.a"',
            ['error: unknown field "spec.a"'],
        ),
        (f"{DECODE}{'x' * 200}; {'y' * 200}", [f"error: {'x' * 200}", f"  {'y' * 200}"]),
        (f"{'x' * 100}; {'y' * 400}; {'z' * 100}", [f"error: {'x' * 100}; ... {'z' * 100}"]),
    ],
)
def test_each_fault_is_a_line_without_the_name_of_the_webhook(
    message: str, lines: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    failures.print_error(message)

    assert capsys.readouterr().err.splitlines() == lines


@given(st.text(max_size=3000))
def test_long_lines_are_cut_to_the_limit(message: str) -> None:
    shown = failures.shortened(message, 300)

    assert len(shown) <= 305
    assert len(shown.splitlines()) <= 1


def test_a_long_traceback_keeps_its_last_line() -> None:
    places = "".join(f'  File "/srv/app/{number}.py", line 1, in <module>\n' for number in range(20))
    message = f"Container failed with: Traceback:\n{places}ModuleNotFoundError: No module named 'flask'"

    shown = failures.shortened(message, 300)

    assert shown.startswith("Container failed with: Traceback")
    assert shown.endswith("ModuleNotFoundError: No module named 'flask'")


def test_the_failure_of_a_manifest_names_its_file_and_object(tidegate: World) -> None:
    manifest = '{"apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": {"name": "x"}, "sepc": {}}'

    answer = tidegate.run("apply", "-f", "-", stdin=manifest)

    assert (answer.code, answer.out) == (1, "")
    assert answer.err == 'error: standard input: service.serving.knative.dev/x: unknown field "sepc"\n'
