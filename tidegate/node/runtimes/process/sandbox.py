# SPDX-License-Identifier: Apache-2.0
"""The sandbox of each container that runs as a process: bubblewrap, where it works and is wanted.

In: a container, its program and its user. Out: a `Sandbox`, or None for a container without one; `LaunchRejected` for a
field that it cannot honour. Called by: `programs.py`; `this_host.py` makes one for the node.

| `--sandbox` | host where bubblewrap works | other hosts |
| --- | --- | --- |
| `auto` | all containers but those with `tidegate.dev/sandbox: none` | none, and a warning in the log |
| `required` | all containers | no container is started |
| `none` | none | none |
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from tidegate.kit.processes import path_for_others
from tidegate.model import names
from tidegate.model.objects import Object, annotations
from tidegate.model.text import host_paths, quantities
from tidegate.model.text.host_paths import HostPath
from tidegate.node.runtime import CONFIG_ERROR, Launch, LaunchRejected, Limits
from tidegate.node.runtimes.process.bubblewrap import Bind, SandboxView, arguments
from tidegate.node.runtimes.process.confinement import Confinement
from tidegate.node.runtimes.process.etc_files import EtcFiles
from tidegate.node.runtimes.process.mounts import small_namespace
from tidegate.node.runtimes.process.visible_paths import Named, visible
from tidegate.node.runtimes.process.volume_binds import volume_binds

NONE = "none"
"""The value of the annotation `tidegate.dev/sandbox`, and one of `--sandbox`."""

REQUIRED = "required"

HOME = "/home/app"
"""The home of an app that runs as a user of its own."""

_GROUPS = ("/sys/fs/cgroup",)
"""Where language runtimes read the limits of an app that has some."""

_IN_ROOT = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_FOLDERS = ("/usr", "/opt", "/nix/store", "/sys/devices/system")
_IN_SMALL_NAMESPACE = ("/usr/", "/bin/", "/nix/")
_TEMPORARY = 2**30  # bytes of /tmp, and of /dev/shm, unless resources.limits["ephemeral-storage"] says otherwise
_TRIAL_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class SandboxHost:
    """What all sandboxes of this host share. `program`: bubblewrap; `hidden`: the state folder, which no app sees;
    `python`: Tidegate's own, which bundles need; `has_new_user`: whether bubblewrap makes a user namespace;
    `mounts`: the mount namespace in which it begins (`mounts.py`), "" for the host's."""

    program: str
    hidden: Path
    python: Path
    system: Sequence[str]
    system_links: Sequence[tuple[str, str]]
    has_new_user: bool
    mounts: str = ""


@dataclass(frozen=True, slots=True)
class Sandbox:
    """One container's sandbox, before its program and variables are known."""

    host: SandboxHost
    etc: EtcFiles
    launch: Launch
    scratch: Path
    home: str
    is_read_only: bool
    annotated: Sequence[HostPath]

    def words(self, named: Named) -> tuple[str, ...]:
        """bubblewrap and its arguments, for that program."""
        home = Path(self.home) if self.host.has_new_user else None
        seen = visible(named, self.annotated, self.host.hidden, home)
        volumes = list(volume_binds(self.launch))
        self.etc.refresh()
        for place in (*(path.path for path in seen.paths), *(bind.target for bind in volumes)):
            if place.startswith("/etc/"):
                source = next((bind.source for bind in volumes if bind.target == place), place)
                self.etc.make_place(place, is_folder=Path(source).is_dir())
        state = str(self.host.hidden)
        shows_state = any(path.path == state or state.startswith(f"{path.path}/") for path in seen.paths)
        view = SandboxView(
            hostname=str(self.launch.pod["metadata"].get("name") or "app"),
            system=(*self.host.system, *(_GROUPS if self.launch.limits != Limits() else ())),
            system_links=self.host.system_links,
            etc=str(self.etc.folder),
            home=Bind(str(self.scratch / "home"), self.home, writable=True),
            shown=seen.paths,
            links=seen.links,
            hidden=(state,) if shows_state else (),
            binds=(*self._binds(named.bundle), *volumes),
            temporary=_temporary(self.launch.container),
            is_read_only=self.is_read_only,
            has_new_user=self.host.has_new_user,
        )
        begin = ("--mounts", self.host.mounts) if self.host.mounts else ()
        return (*begin, *arguments(self.host.program, view))

    def _binds(self, bundle: Path | None) -> list[Bind]:
        needed = [self.host.python, *([bundle] if bundle is not None else ())]
        binds = [Bind(str(path), str(path)) for path in needed if not str(path).startswith("/usr/")]
        return [*binds, Bind(str(self.scratch / "hosts"), "/etc/hosts")]

    @property
    def hosts(self) -> str:
        """The host's /etc/hosts, and the name of the Pod, by which programs look for themselves."""
        name = self.launch.pod["metadata"].get("name") or "app"
        return f"{Path('/etc/hosts').read_text(errors='replace').rstrip()}\n127.0.1.1\t{name}\n"


class Sandboxes:
    """`host`: None where containers run without sandboxes, and `problem` says why. `required`: then none runs."""

    def __init__(self, host: SandboxHost | None, etc: EtcFiles, problem: str = "", *, required: bool = False) -> None:
        self.problem = problem
        self._host = host
        self._etc = etc
        self._required = required

    def has_sandbox(self, pod: Object) -> bool:
        """Raises `LaunchRejected`."""
        wanted = annotations(pod).get(names.SANDBOX, "")
        if wanted not in ("", NONE):
            raise _rejection(names.SANDBOX, f"{wanted!r} is not {NONE}")
        if self._required and wanted:
            raise _rejection(names.SANDBOX, f"{wanted} is not allowed: Tidegate runs with --sandbox=required")
        if self._required and self._host is None:
            raise LaunchRejected(CONFIG_ERROR, f"no sandbox can be made (--sandbox=required): {self.problem}")
        return self._host is not None and wanted != NONE

    def of(self, launch: Launch, confinement: Confinement, scratch: Path) -> Sandbox | None:
        """Raises `LaunchRejected`."""
        if not self.has_sandbox(launch.pod) or self._host is None:
            return None
        if confinement.gains:
            raise _rejection(
                "securityContext.allowPrivilegeEscalation",
                f"set-user-ID programs do not work in a sandbox; the annotation {names.SANDBOX}: none switches it off",
            )
        try:
            annotated = host_paths.parse(annotations(launch.pod).get(names.SANDBOX_PATHS, ""))
        except ValueError as error:
            raise _rejection(names.SANDBOX_PATHS, str(error)) from error
        home = HOME if confinement.user is not None else str(Path.home())
        return Sandbox(self._host, self._etc, launch, scratch, home, confinement.read_only, annotated)


def sandboxes(mode: str, home: Path, folder: Path, python: Path) -> Sandboxes:
    """The sandboxes of this host. `mode`: of `--sandbox`; `home`: the state folder; `folder`: for the files of /etc."""
    etc = EtcFiles(folder)
    if mode == NONE:
        return Sandboxes(None, etc, "Tidegate runs with --sandbox=none")
    host = find_host(home, python)
    problem = host if isinstance(host, str) else trial(host)
    if problem or isinstance(host, str):
        log = structlog.get_logger("node")
        log.warning("apps run without a sandbox: see `tidegate doctor`", reason=problem, mode=mode)
        return Sandboxes(None, etc, problem, required=mode == REQUIRED)
    etc.refresh()  # the first takes 0.2 s, which no app should wait for
    return Sandboxes(host, etc, required=mode == REQUIRED)


def find_host(home: Path, python: Path) -> SandboxHost | str:
    """This host as a sandbox shows it; a reason if bubblewrap is missing. `home`: the state folder."""
    program = shutil.which("bwrap", path=path_for_others())
    if program is None:
        return "bubblewrap is not installed"
    system = [folder for folder in _FOLDERS if Path(folder).is_dir()]
    links = []
    for folder in (Path("/", name) for name in _IN_ROOT):
        if folder.is_symlink():
            links.append((str(folder), str(folder.readlink())))
        elif folder.is_dir():
            system.append(str(folder))
    is_root = os.geteuid() == 0
    mounts = small_namespace() if is_root and program.startswith(_IN_SMALL_NAMESPACE) else ""
    return SandboxHost(
        program, home.resolve(), python.resolve(), system, links, has_new_user=not is_root, mounts=mounts
    )


def trial(host: SandboxHost) -> str:
    """Why bubblewrap cannot make a sandbox here; "" if it can."""
    view = SandboxView(
        hostname="trial",
        system=host.system,
        system_links=host.system_links,
        etc="/etc",
        home=Bind("/usr", "/home/app"),
        shown=(),
        links=(),
        hidden=(),
        binds=(),
        temporary=_TEMPORARY,
        has_new_user=host.has_new_user,
    )
    folder = os.open("/etc", os.O_PATH)
    words = [*arguments(host.program, view), "--ro-bind-fd", str(folder), "/etc", "--", "/usr/bin/env", "true"]
    try:
        done = subprocess.run(  # noqa: S603 - bubblewrap with our own arguments
            words, pass_fds=(folder,), capture_output=True, text=True, timeout=_TRIAL_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    finally:
        os.close(folder)
    lines = done.stderr.strip().splitlines()
    return "" if done.returncode == 0 else (lines[-1] if lines else f"bwrap ends with {done.returncode}")


def _temporary(container: Object) -> int:
    amount = ((container.get("resources") or {}).get("limits") or {}).get("ephemeral-storage")
    if amount is None:
        return _TEMPORARY
    try:
        return max(4096, int(quantities.parse(amount).amount))
    except ValueError as error:
        raise LaunchRejected(CONFIG_ERROR, f"resources.limits[ephemeral-storage]: {error}") from error


def _rejection(field: str, why: str) -> LaunchRejected:
    return LaunchRejected(CONFIG_ERROR, f"{field}: {why}")
