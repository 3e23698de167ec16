# SPDX-License-Identifier: Apache-2.0
"""How a Python app starts that has no Procfile: the module with its application, and the server for it. Pure.

In: the files of the source, and which packages are installed. Out: a `PythonStart`. Called by: `python`.

The module is the first of these that exists; below `main.py` and `app.py`, only one that makes an application counts:

| file | application |
| --- | --- |
| `PROJECT/wsgi.py` beside a `manage.py` | `application`, of Django |
| `main.py`, `app.py` | `app`; `application` or `api` that is the result of a call; else the file is a program |
| `wsgi.py`, `asgi.py`, `server.py`, `api.py`, `application.py` | the same names |
| `app/main.py`, `app/app.py`, `app/api.py` | the same names |
| `src/main.py`, `src/app.py` | the same names, with `src` as the folder of modules |

These are the names that Flask, FastAPI's command and Google's buildpacks look for.

| the application | is served by |
| --- | --- |
| is of FastAPI, Starlette, Quart or Litestar, and gunicorn is not the only server installed | uvicorn |
| any other, if gunicorn is installed | gunicorn |
| of a file that is a program (`if __name__ == "__main__"`) | no server: `python FILE` |
| any other | uvicorn or gunicorn, which the build installs |
"""

import re
from collections.abc import Collection
from typing import NamedTuple

from tidegate.bundles.source import Source

GUNICORN, UVICORN = "gunicorn", "uvicorn"

_PROGRAMS = ("main.py", "app.py")
_MODULES = ("wsgi.py", "asgi.py", "server.py", "api.py", "application.py", "app/main.py", "app/app.py", "app/api.py")
_IN_SRC = ("src/main.py", "src/app.py")
_APPLICATION = re.compile(
    r"^(?:(app)\b\s*(?::[^=\n]+)?=[^=]"
    r"|(application|api)\b\s*(?::[^=\n]+)?=\s*[\w.]+\("
    r"|(?:async )?def (app|application)\b)",
    re.MULTILINE,
)
_GUARD = re.compile(r"^if __name__ *== *['\"]__main__['\"]", re.MULTILINE)
_ASYNCHRONOUS = re.compile(r"^\s*(?:from|import)\s+(?:fastapi|starlette|quart|litestar)\b", re.MULTILINE)
_SYNCHRONOUS = re.compile(r"^\s*(?:from|import)\s+(?:flask|django|bottle|falcon|pyramid)\b", re.MULTILINE)
_ASYNCHRONOUS_PACKAGES = frozenset({"fastapi", "starlette"})
_GUNICORN = (GUNICORN, "--bind", "127.0.0.1:$(PORT)", "--workers", "1", "--threads", "8", "--timeout", "0")


class PythonStart(NamedTuple):
    """The start command; `server`: the package that it takes and that is not installed, or ""."""

    command: tuple[str, ...]
    server: str = ""


class _Module(NamedTuple):
    """A file of the source. `application`: the name of its application, or ""; `folder`: of modules, "" for the top."""

    file: str
    name: str
    application: str
    folder: str = ""


def gunicorn(module: str) -> tuple[str, ...]:
    """The command that serves "module:app"."""
    return (*_GUNICORN, module)


def is_known(source: Source) -> bool:
    return _django(source) != "" or _module(source) is not None


def start(source: Source, installed: Collection[str]) -> PythonStart | None:
    """`installed`: those packages of `PACKAGES` that are installed. None if nothing says how the app starts."""
    if (module := _django(source)) and "django" in installed:
        return PythonStart(gunicorn(module), "" if GUNICORN in installed else GUNICORN)
    found = _module(source)
    if found is None:
        return None
    text = source.text(found.file)
    if not found.application:
        return PythonStart(("python", found.file))
    target = f"{found.name}:{found.application}"
    is_asynchronous = _is_asynchronous(text, installed)
    server = UVICORN if is_asynchronous else GUNICORN
    if server not in installed and is_asynchronous and GUNICORN in installed:
        server = GUNICORN  # with a worker class that the app's own settings name
    if server not in installed and _GUARD.search(text):
        return PythonStart(("python", found.file))
    return PythonStart(_served(server, target, found.folder), "" if server in installed else server)


PACKAGES = ("django", GUNICORN, UVICORN, *sorted(_ASYNCHRONOUS_PACKAGES))
"""The packages whose installation decides."""


def _is_asynchronous(text: str, installed: Collection[str]) -> bool:
    """By the imports of the module; by the installed packages, if it imports no framework."""
    if _ASYNCHRONOUS.search(text):
        return True
    return not _SYNCHRONOUS.search(text) and not _ASYNCHRONOUS_PACKAGES.isdisjoint(installed)


def _served(server: str, target: str, folder: str) -> tuple[str, ...]:
    if server == UVICORN:
        return (UVICORN, "--port", "$(PORT)", *(("--app-dir", folder) if folder else ()), target)
    return (*_GUNICORN, *(("--chdir", folder) if folder else ()), target)


def _django(source: Source) -> str:
    """The module of the only `wsgi.py` of a Django project."""
    if not source.has("manage.py"):
        return ""
    found = [path for path in source.files if path.endswith("/wsgi.py") and path.count("/") == 1]
    return found[0].removesuffix(".py").replace("/", ".") if len(found) == 1 else ""


def _module(source: Source) -> _Module | None:
    for file in (*_PROGRAMS, *_MODULES, *_IN_SRC):
        if not source.has(file):
            continue
        made = _APPLICATION.search(source.text(file))
        application = next(filter(None, made.groups())) if made is not None else ""
        if application or file in _PROGRAMS:
            folder = "src" if file in _IN_SRC else ""
            name = file.removeprefix("src/").removesuffix(".py").replace("/", ".")
            return _Module(file, name, application, folder)
    return None
