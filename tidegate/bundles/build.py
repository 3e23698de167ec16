# SPDX-License-Identifier: Apache-2.0
"""Making bundles.

In: a folder of source. Out: its `Bundle`. Called by: `tidegate build` and `tidegate deploy`.

A bundle is made in a folder beside and renamed, so that it is whole or not there; several may make the same one. What
has been built once is not built again. Nothing in it has a mode but 0644 or 0755, nor another owner than who built it.
"""

import fcntl
import os
import secrets
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import msgspec

from tidegate.bundles import bundle, collection, modes
from tidegate.bundles.app import App
from tidegate.bundles.bundle import Bundle, BundleError
from tidegate.bundles.packing import MADE, SECRET
from tidegate.bundles.project_kind import ProjectError
from tidegate.bundles.source import LeftOut, Source, SourceError, shown
from tidegate.bundles.tools import BuildFolder, Messages, ToolError
from tidegate.kit import trees
from tidegate.model.text import syntax

_NEW = ".new-"
_MOST_SHOWN = 5


def build(
    folder: Path,
    name: str,
    bundles: Path,
    messages: Messages,
    *,
    needs_command: bool = True,
    include: Sequence[str] = (),
) -> Bundle:
    """The bundle of an app's folder, made unless it is there. `needs_command`: reject one that does not say how it is
    started. `include`: paths to pack even if an ignore rule excludes them. `messages.remark` gets excluded
    files and unused files. Raises `BundleError`."""
    if syntax.dns_1123_label(name):
        raise BundleError(f"{name!r} cannot name a bundle: it takes lower-case letters, digits and dashes, at most 63")
    folder = folder.resolve()
    try:
        source = Source.of(folder, include)
        app = App.of(source)
        app.check()
        if needs_command:
            app.check_command()
        for note in (*_left_out(source.left_out), *app.notes()):
            messages.remark(note)
        digest = source.digest()
        if not bundle.is_whole(bundles / digest):
            count = len(source.files)
            messages.progress(f"copying {count} {'file' if count == 1 else 'files'}")
            with _new(bundles) as new:
                _make(app, BuildFolder(new, messages), bundles / digest, needs_command=needs_command)
        collection.touch(bundles / digest)
        built = bundle.read(name, bundles / digest)
    except ToolError as error:
        raise BundleError(str(error), error.lines) from error
    except (SourceError, ProjectError) as error:
        raise BundleError(str(error)) from error
    except OSError as error:
        raise BundleError(f"cannot build {shown(folder)}: {error}") from error
    if needs_command and not built.command:
        raise BundleError(app.no_command())
    return built


def _make(app: App, build_folder: BuildFolder, final: Path, *, needs_command: bool) -> None:
    """Make a bundle in a folder of its own, then give it its name."""
    app.source.copy(build_folder.source)
    app.install(build_folder)
    try:
        command = app.command(build_folder)
    except ProjectError as error:
        if needs_command:
            raise
        build_folder.messages.remark(str(error))
        command = ()
    manifest = bundle.BundleManifest(command, app.release, app.paths, app.variables)
    (build_folder.path / bundle.MANIFEST).write_bytes(msgspec.json.encode(manifest))
    _move_editable(build_folder.path, final)
    modes.normalise(build_folder.path)
    _rename(build_folder.path, final)


@contextmanager
def _new(bundles: Path) -> Iterator[Path]:
    """A folder to build in, locked as long as we do, so that others know it is in use; removed, unless it was
    renamed."""
    bundles.mkdir(parents=True, exist_ok=True, mode=0o700)
    with ExitStack() as ours:
        with _locked(bundles):
            _remove_abandoned(bundles)
            new = Path(tempfile.mkdtemp(prefix=_NEW, dir=bundles))
            ours.enter_context(_locked(new))
        try:
            yield new
        finally:
            trees.remove(new)


def _remove_abandoned(bundles: Path) -> None:
    """What a build left that was killed."""
    for left in bundles.glob(f"{_NEW}*"):
        with suppress(BlockingIOError), _locked(left, fcntl.LOCK_NB):
            trees.remove(left)


@contextmanager
def _locked(folder: Path, how: int = 0) -> Iterator[None]:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | how)
        yield
    finally:
        os.close(handle)


def _move_editable(new: Path, final: Path) -> None:
    """`-e .` in a requirements.txt notes where the source is: it is to be where the bundle will be."""
    libraries = new.glob("env/lib/python*/site-packages")
    for file in (each for folder in libraries for each in folder.iterdir() if each.suffix in (".pth", ".py")):
        text = file.read_bytes()
        if (here := os.fsencode(new)) in text:
            file.write_bytes(text.replace(here, os.fsencode(final)))


def _rename(new: Path, final: Path) -> None:
    """Give it its name, unless somebody else has built the same meanwhile. One that is damaged is set aside, for what
    runs from it; the next build removes it."""
    try:
        new.rename(final)
    except OSError:
        if bundle.is_whole(final):
            return
        final.rename(final.with_name(f"{_NEW}{secrets.token_hex(4)}"))
        new.rename(final)


def _left_out(entries: Sequence[LeftOut]) -> Iterator[str]:
    """The files that are not packed, on one line; possible secrets come first, because the app may need them."""
    by_reason: dict[str, list[str]] = {}
    for entry in entries:
        by_reason.setdefault(entry.why, []).append(shown(entry.path))
    listed = []
    for why, paths in sorted(by_reason.items(), key=lambda item: (item[0] != SECRET, item[0] == MADE)):
        more = f" and {len(paths) - _MOST_SHOWN} more" if len(paths) > _MOST_SHOWN else ""
        reason = {SECRET: " (may be secret; --include packs it)", MADE: ""}.get(why, f" ({why})")
        listed.append(f"{', '.join(sorted(paths)[:_MOST_SHOWN])}{more}{reason}")
    if listed:
        yield f"left out: {'; '.join(listed)}"
