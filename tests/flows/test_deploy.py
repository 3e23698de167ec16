# SPDX-License-Identifier: Apache-2.0
"""`tidegate deploy` of apps that fail: the reason, the app's last lines and an exit code other than 0."""

from pathlib import Path

import pytest

from harness.platform import APP, Platform, eventually

pytestmark = pytest.mark.flow
EXAMPLES = Path(__file__).parents[2] / "examples"


def app(folder: Path, text: str, procfile: str = "web: python3 app.py") -> Path:
    folder.mkdir()
    (folder / "app.py").write_text(text)
    (folder / "Procfile").write_text(procfile)
    return folder


def test_a_crashing_deploy_shows_its_last_lines_and_the_fixed_one_succeeds(platform: Platform, tmp_path: Path) -> None:
    source = app(tmp_path / "crashing", "print('opening the database')\nraise SystemExit('there is no database')\n")

    done = platform.cli("deploy", str(source), "--name", "crashing", check=False)

    assert (done.returncode, done.stdout) == (1, "")
    *_, first, second, last = done.stderr.splitlines()
    assert [first, second] == ["  opening the database", "  there is no database"]
    assert last.startswith('error: crashing is not ready: Revision "crashing-00001" failed with message: ')

    (source / "app.py").write_text((EXAMPLES / "hello" / "app.py").read_text())
    fixed = platform.cli("deploy", str(source), "--name", "crashing")

    assert "revision crashing-00002, 100 % of traffic" in fixed.stderr.splitlines()
    assert fixed.stdout.startswith("http://crashing.default.")

    platform.cli("traffic", "crashing", "2=100")
    pinned = platform.cli("deploy", str(source), "--name", "crashing", "--env", "A=1", "--env", "B-")

    pinned_line = (
        "revision crashing-00003 gets 0 % of traffic, which is pinned to crashing-00002 (100 %); "
        "move it with `tidegate traffic crashing crashing-00003=100`"
    )
    assert pinned_line in pinned.stderr.splitlines()


def test_a_failed_build_is_one_line_and_creates_no_service(platform: Platform, tmp_path: Path) -> None:
    source = app(tmp_path / "unbuilt", "", procfile="web: 'python3 app.py")

    done = platform.cli("deploy", str(source), "--name", "unbuilt", check=False)

    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "Procfile" in done.stderr
    assert platform.cli("get", "ksvc", "unbuilt", check=False).returncode == 1


def test_a_deploy_that_times_out_reports_the_reason(platform: Platform, tmp_path: Path) -> None:
    source = app(tmp_path / "silent", "import signal; signal.pause()")

    done = platform.cli("deploy", str(source), "--name", "silent", "--timeout", "2", check=False)

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: silent is not ready after 2 s: ")


def test_an_app_that_listens_elsewhere_is_named_while_the_deploy_waits(platform: Platform, tmp_path: Path) -> None:
    text = "import socket, signal\nlistening = socket.create_server(('127.0.0.1', 0))\n"
    text += "print('listening on', listening.getsockname()[1], flush=True)\nsignal.pause()\n"
    source = app(tmp_path / "elsewhere", text)

    done = platform.cli("deploy", str(source), "--name", "elsewhere", "--timeout", "15", check=False)

    *_, waiting, last = done.stderr.splitlines()
    port = next(line.split()[-1] for line in done.stderr.splitlines() if line.startswith("  listening on "))
    assert done.returncode == 1
    assert f"the app has opened 127.0.0.1:{port}: let it listen on $PORT" in waiting
    assert last.startswith("error: elsewhere is not ready after 15 s: ")


MIGRATE = "import os; print('migrating', os.environ['DATABASE'], os.environ['K_SERVICE']); raise SystemExit({code})"


async def test_a_failed_release_command_leaves_the_service_unchanged(platform: Platform, tmp_path: Path) -> None:
    good = app(tmp_path / "good", APP.read_text(), procfile="release: python3 migrate.py\nweb: python3 app.py")
    (good / "migrate.py").write_text(MIGRATE.format(code=0))
    bad = app(tmp_path / "bad", APP.read_text(), procfile="release: python3 migrate.py\nweb: python3 app.py")
    (bad / "migrate.py").write_text(MIGRATE.format(code=3))

    first = platform.cli("deploy", str(good), "--name", "released", "--env", "DATABASE=one")
    second = platform.cli("deploy", str(bad), "--name", "released", "--env", "DATABASE=two", check=False)

    assert "  migrating one released" in first.stderr.splitlines()
    assert "  migrating two released" in second.stderr.splitlines()
    assert second.returncode == 1
    failure = "the release command of released failed: Error, exit code 3; nothing was deployed"
    assert second.stderr.splitlines()[-1] == f"error: {failure}"
    assert platform.cli("get", "revisions", "-o", "name").stdout.count("/released-") == 1
    await eventually(lambda: "-release-" not in platform.cli("get", "pods", "-o", "name").stdout, "no Pod is left")


@pytest.mark.needs("node")
async def test_projects_without_a_procfile_answer_requests(platform: Platform, tmp_path: Path) -> None:
    site, shop = tmp_path / "site", tmp_path / "shop"
    site.mkdir()
    (site / "index.html").write_text("of a file")
    shop.mkdir()
    (shop / "package.json").write_text('{"scripts": {"start": "GREETING=hi node serve.js"}}')
    (shop / "serve.js").write_text(
        "require('http').createServer((_, answer) => answer.end(process.env.GREETING)).listen(process.env.PORT)"
    )
    for folder in (site, shop):
        platform.cli("deploy", str(folder), "--name", folder.name)

    async with platform.client("site") as files, platform.client("shop") as node:
        assert (await files.get("/")).text == "of a file"
        assert (await node.get("/")).text == "hi"
