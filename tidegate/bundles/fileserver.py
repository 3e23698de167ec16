# SPDX-License-Identifier: Apache-2.0
"""Serves the files of a folder over HTTP, on $PORT of $HOST (127.0.0.1): `python fileserver.py FOLDER`.

It is copied into bundles of static files, and runs there with nothing of Tidegate's beside it. Folders answer with
their index.html, missing files with 404.html; ranges, conditional requests and content types are starlette's. Names
that begin with a dot are not served, but for `.well-known`.
"""

import os
import sys

import uvicorn
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

_NOT_SERVED = ("Procfile",)


class Files(StaticFiles):
    """The files of a folder, without hidden files and the Procfile."""

    def lookup_path(self, path: str) -> tuple[str, os.stat_result | None]:
        return ("", None) if any(_is_hidden(name) for name in path.split("/")) else super().lookup_path(path)

    async def get_response(self, path: str, scope: Scope) -> Response:
        try:
            return await super().get_response(path, scope)
        except HTTPException as error:
            return Response(f"{error.detail}\n", error.status_code, error.headers, "text/plain")


def _is_hidden(name: str) -> bool:
    return name in _NOT_SERVED or (name.startswith(".") and name not in (".", ".well-known"))


if __name__ == "__main__":
    files = Files(directory=sys.argv[1], html=True)
    host, port = os.environ.get("HOST", "127.0.0.1"), int(os.environ["PORT"])
    uvicorn.run(files, host=host, port=port, access_log=False, log_level="warning", lifespan="off")
