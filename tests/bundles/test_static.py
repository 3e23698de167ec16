# SPDX-License-Identifier: Apache-2.0
"""Static files, served by a real server from a real bundle."""

import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from harness.waiting import eventually_blocking
from tests.bundles.world import build, folder_of
from tidegate.bundles.bundle import Bundle

Serve = Callable[[Bundle], httpx.Client]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a bundle the way the node agent does; it is terminated after the test."""
    children, clients = [], []

    def start(bundle: Bundle) -> httpx.Client:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        variables = {**os.environ, **bundle.environment(os.environ["PATH"]), "PORT": str(port)}
        children.append(subprocess.Popen(bundle.command, cwd=bundle.source, env=variables))
        eventually_blocking(lambda: listens(children[-1], port), "the server listens on its port")
        clients.append(httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False))
        return clients[-1]

    yield start
    for client in clients:
        client.close()
    for child in children:
        child.terminate()
        assert child.wait() in (0, -15)


def listens(server: "subprocess.Popen[bytes]", port: int) -> bool:
    assert server.poll() is None
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True


SITE = {
    "index.html": "<h1>home</h1>",
    "404.html": "<h1>lost</h1>",
    "blog/index.html": "<h1>blog</h1>",
    "style.css": "body {}",
    "app.js": "let x;",
    "data.bin": "0123456789",
    ".well-known/security.txt": "mail us",
    ".htaccess": "secret",
}


def test_a_folder_with_an_index_is_served(tmp_path: Path, serve: Serve) -> None:
    client = serve(build(tmp_path, folder_of(tmp_path / "site", **SITE)))

    assert client.get("/").text == "<h1>home</h1>"
    assert client.get("/blog/").text == "<h1>blog</h1>"
    assert client.get("/blog", follow_redirects=True).text == "<h1>blog</h1>"
    assert client.get("/style.css").headers["content-type"].startswith("text/css")
    assert client.get("/app.js").headers["content-type"].split(";")[0] in ("text/javascript", "application/javascript")
    lost = client.get("/none")
    assert (lost.status_code, lost.text) == (404, "<h1>lost</h1>")
    assert client.head("/").headers["content-length"] == "13"
    assert client.post("/").status_code == 405
    ranged = client.get("/data.bin", headers={"range": "bytes=2-4"})
    assert (ranged.status_code, ranged.text) == (206, "234")
    again = client.get("/", headers={"if-none-match": client.get("/").headers["etag"]})
    assert again.status_code == 304


def test_files_outside_the_folder_and_hidden_files_are_not_served(tmp_path: Path, serve: Serve) -> None:
    client = serve(build(tmp_path, folder_of(tmp_path / "site", **{**SITE, "Procfile": "static: ."})))

    paths = ("/.htaccess", "/Procfile", "/..%2fbundle.json", "/%2e%2e/bundle.json", "/blog/%2e%2e/%2e%2e/bundle.json")
    assert {client.get(path).status_code for path in (*paths, "//etc/passwd", "/%00")} == {404}
    assert client.get("/.well-known/security.txt").text == "mail us"


def test_the_folder_named_by_a_procfile_is_served(tmp_path: Path, serve: Serve) -> None:
    client = serve(build(tmp_path, folder_of(tmp_path / "app", **{"public/a.txt": "x", "Procfile": "static: public/"})))

    assert client.get("/a.txt").text == "x"
    assert client.get("/Procfile").status_code == 404


@pytest.mark.needs("npm")
def test_a_folder_created_by_the_build_is_served(tmp_path: Path, serve: Serve) -> None:
    package = '{"scripts": {"build": "mkdir dist && echo made > dist/index.html"}}'
    files = {"package.json": package, "Procfile": "static: dist", ".gitignore": "dist"}
    client = serve(build(tmp_path, folder_of(tmp_path / "app", **files)))

    assert client.get("/").text == "made\n"
