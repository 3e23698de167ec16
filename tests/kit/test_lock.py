# SPDX-License-Identifier: Apache-2.0
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tidegate.kit import lock
from tidegate.kit.processes import Process

HOLDS = """
import sys
from pathlib import Path
from tidegate.kit import lock
with lock.held(Path(sys.argv[1])):
    print("holds", flush=True)
    sys.stdin.read()
"""


def test_a_lock_names_its_holder_and_is_released_when_the_holder_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert lock.holder(path) is None
    command = [sys.executable, "-c", HOLDS, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        other = Process.of(process.pid)

        assert lock.holder(path) == other
        with pytest.raises(lock.Held, match=f"process {process.pid}$") as rejection, lock.held(path):
            pass
        assert rejection.value.process == other

        process.kill()
        process.wait()

    assert lock.holder(path) is None
    with lock.held(path):
        assert lock.holder(path) == Process.of(os.getpid())


@pytest.mark.parametrize("content", ["", "{", "[1", '{"pid": 1}', "[999999999, 1]", "\0" * 200])
def test_a_lock_with_damaged_content_still_holds(tmp_path: Path, content: str) -> None:
    path = tmp_path / "lock"
    with lock.held(path):
        path.write_text(content)
        with pytest.raises(lock.Held, match="another process") as rejection, lock.held(path):
            pass

    assert rejection.value.process is None
