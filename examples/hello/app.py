# SPDX-License-Identifier: Apache-2.0
"""A small web app on the standard library: says hello, and with ?work=0.05 takes its time.

What it does for the platform: listens on $PORT, keeps connections open, and ends at SIGTERM, which comes once its
requests are answered.
"""

import os
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

GREETING = os.environ.get("GREETING", "Hello")


class Hello(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections stay open
    wbufsize = -1  # an answer goes out in one piece
    disable_nagle_algorithm = True

    def do_GET(self):
        query = parse_qs(urlsplit(self.path).query)
        time.sleep(float(query.get("work", ["0"])[0]))
        body = f"{GREETING} from {os.environ.get('K_REVISION', 'nowhere')}\n".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass  # the gateway's access log has every request


class Server(ThreadingHTTPServer):
    request_queue_size = 1024
    daemon_threads = True


def main():
    port = int(os.environ.get("PORT", "8080"))
    server = Server(("127.0.0.1", port), Hello)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    print(f"{GREETING}: listening on port {port}", flush=True)
    server.serve_forever()
    print(f"{GREETING}: ended", flush=True)


if __name__ == "__main__":
    main()
