# SPDX-License-Identifier: Apache-2.0
"""Go projects: the programs that are built, and the one that starts."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.bundles.world import build, folder_of
from tidegate.bundles.bundle import BundleError

pytestmark = pytest.mark.needs("go")

MOD = "module example.com/team/shop/v2\n\ngo 1.20\n"
MAIN = 'package main\n\nimport "fmt"\n\nfunc main() { fmt.Println("of %s") }\n'


@pytest.mark.parametrize(
    ("files", "command", "output"),
    [
        ({"main.go": MAIN % "shop"}, ("shop",), "of shop\n"),
        ({"cmd/server/main.go": MAIN % "server", "lib.go": "package shop\n"}, ("server",), "of server\n"),
        ({"cmd/shop/main.go": MAIN % "shop", "cmd/tool/main.go": MAIN % "tool"}, ("shop",), "of shop\n"),
        (
            {"cmd/a/main.go": MAIN % "a", "cmd/b/main.go": MAIN % "b", "Procfile": "web: b"},
            ("b",),
            "of b\n",
        ),
    ],
    ids=["root", "cmd", "named-as-the-module", "procfile"],
)
def test_the_programs_of_a_module_are_built_and_the_right_one_starts(
    tmp_path: Path, files: dict[str, str], command: tuple[str, ...], output: str
) -> None:
    built = build(tmp_path, folder_of(tmp_path / "app", **{"go.mod": MOD, **files}))
    found = subprocess.run(
        ["sh", "-c", command[0]],
        capture_output=True,
        text=True,
        check=True,
        env={**built.environment(os.environ["PATH"])},
    )

    assert built.command == command
    assert found.stdout == output


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"lib.go": "package shop\n"}, "no package main"),
        ({"cmd/a/main.go": MAIN % "a", "cmd/b/main.go": MAIN % "b"}, "has the programs a, b: add a Procfile"),
    ],
)
def test_a_module_with_an_ambiguous_program_is_refused(tmp_path: Path, files: dict[str, str], words: str) -> None:
    with pytest.raises(BundleError, match=words):
        build(tmp_path, folder_of(tmp_path / "app", **{"go.mod": MOD, **files}))


def test_a_compile_error_is_reported_with_the_compiler_s_message(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"^go build \. failed with exit code 1$") as failure:
        build(tmp_path, folder_of(tmp_path / "app", **{"go.mod": MOD, "main.go": "package main\nfunc main() { x }\n"}))
    assert "undefined: x" in "\n".join(failure.value.lines)
