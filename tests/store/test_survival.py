# SPDX-License-Identifier: Apache-2.0
"""The store after its process was killed."""

import asyncio
import signal
import sys
from pathlib import Path

from tidegate.model.objects import Key, resource_version
from tidegate.store.store import Store

WRITER = """
import asyncio, itertools, sys
from pathlib import Path
from tidegate.model.objects import Key
from tidegate.store.store import Store

async def write(store, name):
    for n in itertools.count():
        obj = {"metadata": {"name": name, "namespace": "default"}, "spec": {"n": n}}
        stored = await store.change("pods", Key("default", name), lambda old: obj)
        print(name, n, stored["metadata"]["resourceVersion"], flush=True)

async def main():
    async with Store.open(Path(sys.argv[1]), history=50) as store:
        await asyncio.gather(*(write(store, name) for name in "abcd"))

asyncio.run(main())
"""


async def test_acknowledged_writes_survive_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    for lines in (40, 1500, 7):  # the second is long enough for old rows to be deleted meanwhile
        writer = await asyncio.create_subprocess_exec(
            sys.executable, "-c", WRITER, str(path), stdout=asyncio.subprocess.PIPE
        )
        assert writer.stdout is not None
        written = [await writer.stdout.readline() for _ in range(lines)]
        writer.send_signal(signal.SIGKILL)
        written += [line for line in (await writer.stdout.read()).splitlines(keepends=True) if line.endswith(b"\n")]
        await writer.wait()

        newest = {name: (int(n), int(revision)) for name, n, revision in (line.decode().split() for line in written)}
        async with Store.open(path, history=50) as store:
            for name, acknowledged in newest.items():
                found = store.get("pods", Key("default", name))
                assert found is not None
                assert (found["spec"]["n"], resource_version(found)) >= acknowledged
            assert store.revision >= max(revision for _, revision in newest.values())
