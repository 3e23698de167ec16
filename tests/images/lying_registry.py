# SPDX-License-Identifier: Apache-2.0
"""A registry in a thread that serves one OCI layout and lies as a test asks: no real registry can be made to."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from harness.images import ImageLayout

Body = Callable[[bytes], Iterator[bytes]]
"""The pieces to send instead of a blob or manifest."""


@dataclass
class Lies:
    """`bodies`: by digest. `status`, `headers`: of every response but that to /v2/.
    `requests`: the paths so far."""

    bodies: dict[str, Body] = field(default_factory=dict)
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    announces_length: bool = True
    released: threading.Event = field(default_factory=threading.Event)

    def half_then_nothing(self, content: bytes) -> Iterator[bytes]:
        """Send half, and hang until the test ends."""
        yield content[: len(content) // 2]
        self.released.wait(60)

    def slowly(self, content: bytes) -> Iterator[bytes]:
        """Send a little at a time, for some seconds."""
        for start in range(0, len(content), max(len(content) // 20, 1)):
            yield content[start : start + max(len(content) // 20, 1)]
            self.released.wait(0.25)


def corrupted(content: bytes) -> Iterator[bytes]:
    """As long as announced, and different."""
    yield content[:-1] + bytes([content[-1] ^ 1])


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, layout: ImageLayout, lies: Lies) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.layout = layout
        self.lies = lies


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        lies, layout = self.server.lies, self.server.layout
        lies.requests.append(self.path)
        name = self.path.rpartition("/")[2]
        digest = layout.digest if name == "v1" else name
        blob = layout.folder / "blobs" / "sha256" / digest.removeprefix("sha256:")
        if self.path == "/v2/":
            self._answer(200, b"{}", {})
        elif lies.status != 200:
            self._answer(lies.status, b'{"errors": [{"code": "X", "message": "as the test asks"}]}', lies.headers)
        elif not digest or not blob.is_file():
            self._answer(404, b"{}", {})
        else:
            self._send(digest, blob.read_bytes())

    def _send(self, digest: str, content: bytes) -> None:
        lies = self.server.lies
        is_manifest = "/manifests/" in self.path
        self.send_response(200)
        kind = "application/vnd.oci.image.manifest.v1+json" if is_manifest else "application/octet-stream"
        self.send_header("content-type", kind)
        if lies.announces_length:
            self.send_header("content-length", str(len(content)))
        else:
            self.send_header("connection", "close")
        if is_manifest:
            self.send_header("docker-content-digest", digest)
        self.end_headers()
        lie = lies.bodies.get(digest)
        for piece in [content] if lie is None else lie(content):
            self.wfile.write(piece)
            self.wfile.flush()

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
        """Nothing: tests read what they need from `lies.requests`."""

    def handle(self) -> None:
        with suppress(ConnectionError):
            super().handle()


@contextmanager
def lying(layout: ImageLayout, lies: Lies) -> Iterator[str]:
    """Serve the image as app:v1; yields HOST:PORT/app:v1."""
    server = _Server(layout, lies)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}/app:v1"
    finally:
        lies.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
