# SPDX-License-Identifier: Apache-2.0
"""The app that flow tests deploy: it responds with its revision and its highest concurrency so far. `?sleep=0.05`
delays the response by 50 ms."""

import asyncio
import contextlib
import os
import signal
from urllib.parse import parse_qs, urlsplit

GREETING = os.environ.get("GREETING", "hello")


class Concurrency:
    """The number of requests in progress, now and at most so far."""

    now = most = 0


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer requests on one connection until the client closes it."""
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            target = head.split(" ", 2)[1]
            Concurrency.now += 1
            Concurrency.most = max(Concurrency.most, Concurrency.now)
            try:
                await asyncio.sleep(float(parse_qs(urlsplit(target).query).get("sleep", ["0"])[0]))
            finally:
                Concurrency.now -= 1
            body = f"{GREETING} {os.environ['K_REVISION']} {os.getpid()} {Concurrency.most}\n".encode()
            writer.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: %d\r\n\r\n" % len(body) + body
            )
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", int(os.environ["PORT"]), backlog=1024)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.close)
    print(f"{os.environ['K_REVISION']} listens on {os.environ['PORT']}", flush=True)
    with contextlib.suppress(asyncio.CancelledError):
        await server.serve_forever()


asyncio.run(main())
