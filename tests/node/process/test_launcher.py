# SPDX-License-Identifier: Apache-2.0
"""The launcher, compiled with sanitizers: orders that it carries out, and failures that it reports."""

import os
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from tests import sanitizers
from tidegate.node.runtimes.process.confinement import Confinement
from tidegate.node.runtimes.process.identity import hindrance
from tidegate.node.runtimes.process.launcher import LAUNCHER, Orders

SANITIZER = "address,undefined"
SOURCES = sorted(LAUNCHER.sources.glob("*.cc"))
NOBODY = 65534
AS_ROOT = pytest.mark.skipif(hindrance() != "", reason="only root, with its capabilities, may set users")


class Outcome(NamedTuple):
    """`answer`: step and errno of a failure, empty after a successful exec; `output`: of the program."""

    answer: str
    output: str


@pytest.fixture(scope="module")
def program(pytestconfig: pytest.Config) -> Path:
    folder = pytestconfig.cache.mkdir("launcher") if pytestconfig.cache is not None else Path()
    program = sanitizers.compiled("launcher", SOURCES, SANITIZER, folder)
    if program is None:
        pytest.skip(f"no compiler with -fsanitize={SANITIZER}")
    return program


def launch(program: Path, orders: bytes) -> Outcome:
    read_orders, write_orders = os.pipe()
    read_answer, write_answer = os.pipe()
    read_status, write_status = os.pipe()
    with subprocess.Popen(
        [program, str(read_orders), str(write_answer), str(write_status)],
        env={},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        pass_fds=(read_orders, write_answer, write_status),
    ) as process:
        os.close(read_orders)
        os.close(write_answer)
        os.close(write_status)
        os.close(read_status)
        with os.fdopen(write_orders, "wb") as writer, os.fdopen(read_answer) as reader:
            writer.write(orders)
            writer.close()
            answer = reader.read()
        output, _ = process.communicate()
    return Outcome(answer, output)


def orders(*program: str, folder: str = "/", confinement: Confinement | None = None, **environment: str) -> bytes:
    return Orders(program, environment, Path(folder), confinement or Confinement()).encode()


@pytest.mark.parametrize(
    ("given", "outcome"),
    [
        (orders("env", A="b", C=""), Outcome("", "A=b\nC=\n")),
        (orders("pwd", folder="/usr", PATH="/nowhere:/usr/bin:/bin"), Outcome("", "/usr\n")),
        (orders("/bin/echo", "one", "two words"), Outcome("", "one two words\n")),
        (orders("missing"), Outcome("program 2", "")),
        (orders("/etc/passwd"), Outcome("program 13", "")),
        (orders("true", PATH="/nowhere:/etc/passwd"), Outcome("program 2", "")),
        (orders("true", folder="/nowhere"), Outcome("directory 2", "")),
        (b"", Outcome("orders 32", "")),
        (orders("true")[:-4], Outcome("orders 32", "")),
        (orders("true", confinement=Confinement(user=2**31)), Outcome("user 22", "")),
    ],
)
def test_the_launcher_executes_the_program_or_reports_the_failed_step(
    program: Path, given: bytes, outcome: Outcome
) -> None:
    assert launch(program, given) == outcome


@AS_ROOT
def test_the_launcher_sets_user_groups_and_capabilities(program: Path) -> None:
    status = "grep -E '^(Uid|Gid|Groups|CapBnd|CapEff|NoNewPrivs|Seccomp):' /proc/self/status | tr '\\t' ' '"
    confinement = Confinement(user=NOBODY, group=NOBODY, groups=(7,), capabilities=1 << 10, filtered=True)

    answer, output = launch(program, orders("/bin/sh", "-c", status, confinement=confinement, PATH="/usr/bin:/bin"))

    assert answer == ""
    values = dict(line.split(":", 1) for line in output.splitlines())
    assert values["Uid"].split() == values["Gid"].split() == [str(NOBODY)] * 4
    assert values["Groups"].split() == ["7"]
    assert int(values["CapBnd"], 16) == 1 << 10
    assert int(values["CapEff"], 16) == 0
    assert (values["NoNewPrivs"].strip(), values["Seccomp"].strip()) == ("1", "2")


@AS_ROOT
def test_the_launcher_hides_covered_folders_and_shows_exposed_ones(program: Path, tmp_path: Path) -> None:
    for name in ("hidden", "shown/below"):
        (tmp_path / name).mkdir(parents=True)
    confinement = Confinement(covered=(str(tmp_path),), exposed=(str(tmp_path / "shown"),))

    outcome = launch(program, orders("find", ".", folder=str(tmp_path), confinement=confinement, PATH="/usr/bin:/bin"))

    assert outcome == Outcome("", ".\n./shown\n./shown/below\n")
