# SPDX-License-Identifier: Apache-2.0
"""The folder that sandboxed programs see as /etc: copies of the files that programs need, and no others.

In: the host's /etc. Out: a folder of the state folder, the same for all sandboxes; `refresh` copies what has changed on
the host, so that running programs see it too. The folder is never removed: adopted sandboxes have it mounted. One mount
of this folder takes less time than one of each file. Called by: `sandbox.py`.
"""

import os
import shutil
import time
from contextlib import suppress
from pathlib import Path

_PATTERNS = (
    # users, names, addresses
    *("passwd", "group", "nsswitch.conf", "hosts", "host.conf", "resolv.conf", "gai.conf", "networks", "services"),
    *("protocols", "rpc", "ethertypes", "os-release", "*-release", "debian_version"),
    # libraries, locales, certificates
    *("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "ld-musl-*.path", "alternatives", "localtime", "timezone"),
    *("locale.conf", "locale.alias", "terminfo", "ssl/certs", "ssl/cert.pem", "ssl/openssl.cnf", "ssl/ct_log_list.cnf"),
    *("ssl/ca-bundle.pem", "ssl/java", "ca-certificates", "ca-certificates.conf", "crypto-policies"),
    *("pki/ca-trust/extracted", "pki/tls/certs", "pki/tls/cert.pem", "pki/tls/openssl.cnf", "pki/java"),
    # language runtimes and common libraries
    *("java-*", "jvm*", "python3*", "perl", "php", "php*.d", "php.ini", "lua", "R", "dotnet"),
    *("fonts", "mime.types", "mailcap", "magic", "magic.mime", "ImageMagick-*", "OpenCL", "vulkan", "glvnd"),
    *("odbcinst.ini", "bash.bashrc", "bashrc", "profile", "profile.d", "inputrc", "pango", "gtk-3.0"),
)
_REFRESHED_EVERY = 10.0  # seconds
_MOST_BYTES = 16 * 2**20  # of one file


class EtcFiles:
    """`folder`: where the copies are."""

    def __init__(self, folder: Path, source: Path = Path("/etc")) -> None:
        self.folder = folder
        self._source = source
        self._copied: dict[Path, tuple[int, ...]] = {}
        self._next_refresh = 0.0

    def refresh(self, now: float | None = None) -> None:
        """Copy what has changed; at most every 10 s."""
        now = time.monotonic() if now is None else now
        if now < self._next_refresh:
            return
        self._next_refresh = now + _REFRESHED_EVERY
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)
        for pattern in _PATTERNS:
            for found in self._source.glob(pattern):
                self._copy(found)
        with suppress(FileExistsError):
            (self.folder / "mtab").symlink_to("/proc/self/mounts")

    def make_place(self, path: str, *, is_folder: bool) -> None:
        """Make an empty file or folder, on which a path below /etc can be mounted."""
        place = self.folder / Path(path).relative_to("/etc")
        if os.path.lexists(place):
            return
        _make_parents(place.parent)
        if is_folder:
            place.mkdir(exist_ok=True)
            place.chmod(0o755)
        else:
            place.touch()

    def _copy(self, source: Path) -> None:
        try:
            state = source.stat()
            signature = state.st_mtime_ns, state.st_size, state.st_ino
            if self._copied.get(source) == signature:
                return
            self._copied[source] = signature
            target = self.folder / source.relative_to(self._source)
            _make_parents(target.parent)
            if source.is_dir():
                for folder, folders, files in os.walk(source):
                    here = target / Path(folder).relative_to(source)
                    _make_parents(here)
                    for name in (*files, *folders):
                        _copy_file(Path(folder, name), here / name)
            else:
                _copy_file(source.resolve(), target)
        except OSError:
            self._copied.pop(source, None)  # it has just been removed, or nobody but root may read it


def _copy_file(source: Path, target: Path) -> None:
    """Only files that every user may read; links stay links."""
    fresh = target.with_name(f".{target.name}.new")
    fresh.unlink(missing_ok=True)
    if source.is_symlink():
        fresh.symlink_to(source.readlink())
    elif source.is_file() and source.stat().st_mode & 0o004 and source.stat().st_size <= _MOST_BYTES:
        shutil.copyfile(source, fresh)
        fresh.chmod(0o644)
    else:
        return
    fresh.replace(target)


def _make_parents(folder: Path) -> None:
    if not folder.is_dir():
        _make_parents(folder.parent)
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)  # whatever the umask
