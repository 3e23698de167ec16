# SPDX-License-Identifier: Apache-2.0
"""`tidegate simulate`: formats of a trace, charts and rejected input."""

import json
import shutil
import struct
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.cli.world import Answer, invoke
from tidegate.autoscaler.simulation import simulate
from tidegate.cli import traces
from tidegate.cli.failures import CommandFailure

STEP = "seconds,load\n0,0\n10,70\n100,0\n300,0\n"


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / "trace.csv"
    path.write_text(STEP)
    return path


def simulated(path: Path, *options: str, stdin: str | None = None) -> Answer:
    return invoke("simulate", "-f", str(path), *options, home=path.parent, stdin=stdin)


def result_of(path: Path, *options: str) -> Any:
    return json.loads(simulated(path, *options, "-o", "json").out)


@pytest.mark.parametrize(
    "text",
    [
        "0,1\n2,3.5\n",
        "seconds,load\n0,1\n2,3.5\n",
        " Seconds , Load\r\n\r\n0, 1\r\n,\r\n2 ,3.5",
        '"0","1"\n2,35e-1\n',
        'timestamp,"requests per second"\n0,1\n2,3.5\n',
    ],
)
def test_a_trace_may_have_a_header_and_empty_rows(text: str) -> None:
    assert traces.parsed("trace", text.splitlines(keepends=True)) == [(0, 1), (2, 3.5)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "trace has no rows of seconds,load"),
        ("seconds,load\n", "trace has no rows of seconds,load"),
        ("0,1\nseconds,load\n", 'trace, row 2: "seconds" is not a number'),
        ("0,1\n\n1,many\n", 'trace, row 3: "many" is not a number'),
        ("0,1\n1,\n", 'trace, row 2: "" is not a number'),
        ("0,1\n1,nan\n", 'trace, row 2: "nan" is not a number'),
        ("0,1\n1\n", "trace, row 2: 1 columns, not the two of seconds,load"),
        ("0,1,2\n", "trace, row 1: 3 columns, not the two of seconds,load"),
        ("0,1\n1,-1\n", "trace, row 2: a load is from 0 to 1000000, not -1"),
        ("0,1\n1,1e7\n", "trace, row 2: a load is from 0 to 1000000, not 1e7"),
        ("5,1\n4,1\n", "trace, row 2: 4 is before the time of the row above"),
        ("0,1\n604801,1\n", "trace, row 2: 604801 is more than a week after the first row"),
        ("1764086400000,1\n", "trace, row 1: 1764086400000 is not a time in seconds"),
        ('0,"1\n', "trace, row 1: unexpected end of data"),
    ],
)
def test_a_malformed_trace_is_reported_with_its_row(text: str, message: str) -> None:
    with pytest.raises(CommandFailure) as error:
        traces.parsed("trace", text.splitlines(keepends=True))
    assert str(error.value) == message


def test_the_json_has_each_moment_of_the_simulation_and_a_summary(trace: Path) -> None:
    got = result_of(
        trace, "--container-concurrency", "10", "--start-seconds", "4", "--max-scale", "8", "--window", "30s"
    )

    annotations = {"autoscaling.knative.dev/max-scale": "8", "autoscaling.knative.dev/window": "30s"}
    load = [(0.0, 0.0), (10.0, 70.0), (100.0, 0.0), (300.0, 0.0)]
    expected = list(simulate(load, annotations, container_concurrency=10, start_seconds=4))
    assert [(moment["seconds"], moment["wanted"], moment["ready"]) for moment in got["moments"]] == [
        (moment.time, moment.scale, moment.ready) for moment in expected
    ]
    assert got["moments"][10] == {
        "seconds": 10,
        "load": 70,
        "waiting": 70,
        "desired": 10,
        "wanted": 8,
        "ready": 0,
        "inPanic": True,
    }
    assert got["summary"]["seconds"] == 300
    assert (got["summary"]["instancesMost"], got["summary"]["started"]) == (8, 8)
    assert (got["summary"]["waitingMost"], got["summary"]["secondsWithWaiting"]) == (70, 4)


def test_each_option_equals_its_annotation(trace: Path) -> None:
    def most(*options: str) -> int:
        return int(result_of(trace, *options)["summary"]["instancesMost"])

    assert most() == 1
    assert most("--target", "10") == 10
    assert most("--metric", "rps", "--target", "20") == 5
    assert most("--container-concurrency", "5") == 20
    assert most("--min-scale", "3") == 3
    assert most("--target", "10", "--annotation", "autoscaling.knative.dev/target-utilization-percentage=100") == 7


def test_each_quantity_is_plotted_in_the_terminal_with_its_highest_value(trace: Path) -> None:
    out = simulated(trace, "--container-concurrency", "10").out

    names = [line.split()[:2] for line in out.splitlines() if line.lstrip().startswith(("load", "wai", "ready", "wan"))]
    assert names == [["load", "70"], ["waiting", "70"], ["ready", "10"], ["wanted", "10"], ["waiting:", "70"]]
    assert "█" in out
    assert max(len(line) for line in out.splitlines()) <= 100
    assert "instances: 10 at most" in out
    assert "0 s to 300 s" in out


def test_a_simulation_is_drawn_to_an_svg_file(trace: Path) -> None:
    path = trace.parent / "picture.svg"

    answer = simulated(trace, "--out", str(path))

    root = ElementTree.fromstring(path.read_text())
    names = {text.text for text in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"load", "waiting", "ready", "wanted", "5 min"} <= names
    assert answer.err == f"drawn into {path}\n"


@pytest.mark.skipif(shutil.which("fc-match") is None, reason="no fontconfig, so no font is known")
def test_a_simulation_is_drawn_to_a_png_file(trace: Path) -> None:
    path = trace.parent / "picture.png"

    answer = simulated(trace, "--out", str(path))

    assert answer.err == f"drawn into {path}\n"
    header = path.read_bytes()[:24]
    assert header.startswith(b"\x89PNG")
    assert struct.unpack(">II", header[16:]) == (1800, 1220)


def test_a_missing_png_extra_is_one_line_with_the_install_command(trace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    path = trace.parent / "picture.png"

    answer = simulated(trace, "--out", str(path))

    assert answer.code == 1
    assert answer.err.startswith("error: drawing PNG needs the extra png: pip install 'tidegate[png]'")
    assert len(answer.err.splitlines()) == 1
    assert not path.exists()


def test_a_missing_font_is_an_error(trace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")

    answer = simulated(trace, "--out", str(trace.parent / "picture.png"))

    assert answer.code == 1
    assert answer.err.startswith("error: drawing PNG needs a font")


def test_a_trace_may_come_from_stdin(trace: Path) -> None:
    answer = invoke("simulate", "-f", "-", "-o", "json", home=trace.parent, stdin=STEP)

    assert json.loads(answer.out) == result_of(trace)


PREFIX = "autoscaling.knative.dev"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--target", "0"), f"target 0.0 should be at least 0.01: {PREFIX}/target"),
        (("--metric", "cpu"), f"invalid value: cpu: {PREFIX}/metric"),
        (("--window", "fast"), f"invalid value: fast: {PREFIX}/window"),
        (("--min-scale", "5", "--max-scale", "2"), "max-scale=2 is less than min-scale=5"),
        (("--min-scale", "20000"), "min-scale: the limit of the simulation is 10000 instances"),
        (("--annotation", f"{PREFIX}/class=other.dev"), "there is no class other.dev; there are "),
        (
            ("--annotation", f"{PREFIX}/class=hpa.{PREFIX}"),
            f"the class hpa.{PREFIX} scales by the resource usage of",
        ),
        (("--annotation", "nothing"), '"nothing" is not NAME=VALUE'),
        (("--out", "picture.gif"), "--out draws SVG and PNG: picture.gif ends in neither .svg nor .png"),
        (("--container-concurrency", "-1"), "Invalid value for '--container-concurrency'"),
    ],
)
def test_invalid_options_are_one_line(trace: Path, options: tuple[str, ...], message: str) -> None:
    answer = simulated(trace, *options)

    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith(f"error: {message}")
    assert len(answer.err.splitlines()) == 1


def test_an_unreadable_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "wrong.csv").write_text("0,1\nx,1\n")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")

    absent, wrong, binary = (simulated(tmp_path / name) for name in ("absent.csv", "wrong.csv", "binary.csv"))

    assert (absent.code, wrong.code, binary.code) == (1, 1, 1)
    assert absent.err == f"error: {tmp_path}/absent.csv: No such file or directory\n"
    assert wrong.err == f'error: {tmp_path}/wrong.csv, row 2: "x" is not a number\n'
    assert binary.err == f"error: {tmp_path}/binary.csv: not a text file: invalid start byte\n"


def test_a_load_beyond_the_limit_of_instances_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "huge.csv").write_text("0,1e6\n60,1e6\n")

    answer = simulated(tmp_path / "huge.csv", "--container-concurrency", "1")

    assert answer.code == 1
    assert "the limit of the simulation is 10000" in answer.err
