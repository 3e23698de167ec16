# SPDX-License-Identifier: Apache-2.0
"""Node.js projects: a package.json.

In: the source. Out: its dependencies in node_modules, installed by the package manager whose lock file is there; what
its build script made; without what only the build needs. It starts as `npm start` would start it, without npm.

| there is | installed with |
| --- | --- |
| `packageManager` in package.json | that one |
| package-lock.json or npm-shrinkwrap.json | `npm ci` |
| pnpm-lock.yaml | `pnpm install --frozen-lockfile` |
| yarn.lock | `yarn install`, frozen |
| none of them | `npm install` |
"""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tidegate.bundles import tools
from tidegate.bundles.commands import CommandError, command
from tidegate.bundles.project_kind import Command, ProjectError
from tidegate.bundles.source import Source
from tidegate.bundles.tools import BuildFolder

_LOCKS = {
    "package-lock.json": "npm",
    "npm-shrinkwrap.json": "npm",
    "pnpm-lock.yaml": "pnpm",
    "yarn.lock": "yarn",
    "bun.lock": "bun",
    "bun.lockb": "bun",
}
_DEPENDENCIES = ("dependencies", "devDependencies", "optionalDependencies", "peerDependencies", "workspaces")
_INSTALL_SCRIPTS = ("preinstall", "install", "postinstall", "prepare")
_BUILDS = ("heroku-postbuild", "gcp-build", "build")
_QUIET = {"npm_config_audit": "false", "npm_config_fund": "false", "npm_config_update_notifier": "false"}
_SATISFIES = """
const semver = require(require.resolve("semver", { paths: [require("fs").realpathSync(process.argv[1])] }));
process.exit(semver.satisfies(process.version, process.argv[2]) ? 0 : 3);
"""


class PackageManager(NamedTuple):
    """The commands of one package manager."""

    name: str
    install: Sequence[str]
    prune: Sequence[str]
    variables: Mapping[str, str] = {}


_NPM = PackageManager(
    "npm", ("ci", "--include=dev"), ("prune", "--omit=dev", "--ignore-scripts"), _QUIET
)  # npm ci: what the lock says, or it fails
_NPM_UNLOCKED = _NPM._replace(install=("install", "--include=dev"))
_PNPM = PackageManager(
    "pnpm",
    ("install", "--frozen-lockfile", "--prod=false"),
    ("prune", "--prod", "--ignore-scripts"),
    {"CI": "true", "npm_config_package_import_method": "copy"},  # else it asks; else files are those of its store
)
_YARN = PackageManager(
    "yarn",
    ("install", "--frozen-lockfile", "--production=false", "--non-interactive"),
    ("install", "--frozen-lockfile", "--production", "--ignore-scripts", "--prefer-offline", "--non-interactive"),
)
_YARN_BERRY = PackageManager(
    "yarn",
    ("install", "--immutable"),
    ("workspaces", "focus", "--all", "--production"),
    {"YARN_NODE_LINKER": "node-modules"},  # its own format is not found by programs that it does not start
)


@dataclass(frozen=True, slots=True)
class NodeProject:
    """A source with a package.json."""

    source: Source
    package: Mapping[str, Any]

    kind = "Node.js"
    paths = ("source/node_modules/.bin",)
    hint = 'package.json has no script "start", and there is no server.js: add one of them, or a Procfile'

    @classmethod
    def of(cls, source: Source) -> "NodeProject | None":
        if not source.has("package.json"):
            return None
        try:
            package = json.loads(source.text("package.json"))
        except ValueError as error:
            raise ProjectError(f"package.json cannot be read: {error}") from error
        if not isinstance(package, dict):
            raise ProjectError("package.json is no JSON object")
        return cls(source, package)

    @property
    def variables(self) -> Mapping[str, str]:
        names = {f"npm_package_{each}": str(self.package[each]) for each in ("name", "version") if each in self.package}
        return {"NODE_ENV": "production", **names}

    @property
    def starts(self) -> bool:
        return bool(self._script("start") or self._main())

    def missing(self) -> str:
        if tools.find("node") is None:
            return "package.json takes Node.js, and there is no node in PATH"
        name = self._manager().name
        if self._program() or not (self._installs() or self._build()):
            return ""
        if name in ("pnpm", "yarn"):
            return f"{self._asked_by(name)} takes {name}, and there is neither {name} nor corepack in PATH"
        return f"{self._asked_by(name)} takes {name}, and there is no {name} in PATH"

    def notes(self) -> Sequence[str]:
        notes = []
        used = self._manager().name
        for lock, name in _LOCKS.items():
            if self.source.has(lock) and name != used:
                notes.append(f"{lock} is not used: {used} installs from {self._asked_by(used)}")
        wanted = (self.package.get("engines") or {}).get("node")
        if wanted and (found := _unsatisfied(str(wanted))):
            notes.append(f"package.json asks for Node.js {wanted}: it runs with this host's {found}")
        return notes

    def install(self, build_folder: BuildFolder) -> None:
        manager, program = self._manager(), self._program()
        if self._installs():
            self._run(build_folder, *program, *manager.install)
        if build := self._build():
            self._run(build_folder, *program, "run", build, NODE_ENV="production")
        if self._installs() and self.package.get("devDependencies"):
            self._run(build_folder, *program, *manager.prune)

    def command(self, build_folder: BuildFolder) -> Command:
        if script := self._script("start"):
            before = self._script("prestart")
            return self._command(f"{before} && {script}" if before else script)
        main = self._main()
        return ("node", main) if main else ()

    def translated(self, web: Command) -> Command:
        """`npm start` and `npm run NAME` are the script itself, which gets its signals then and starts sooner."""
        if web[:1] not in (("npm",), ("yarn",), ("pnpm",)):
            return web
        rest = web[1:]
        name = rest[1] if len(rest) == 2 and rest[0] == "run" else rest[0] if rest == ("start",) else ""
        if not name or not self._script(name) or self._script(f"pre{name}") or self._script(f"post{name}"):
            return web
        return self._command(self._script(name))

    def _command(self, script: str) -> Command:
        try:
            return command(script)
        except CommandError as error:
            raise ProjectError(f"a script of package.json cannot be read: {error}") from error

    def _script(self, name: str) -> str:
        scripts = self.package.get("scripts")
        return str(scripts.get(name) or "").strip() if isinstance(scripts, dict) else ""

    def _build(self) -> str:
        return next((each for each in _BUILDS if self._script(each)), "")

    def _main(self) -> str:
        """server.js as npm has it, else the package's main module."""
        declared = str(self.package.get("main") or "index.js")
        names = ("server.js", *(declared.removeprefix("./") + ending for ending in ("", ".js", "/index.js")))
        return next((name for name in names if self.source.has(name)), "")

    def _installs(self) -> bool:
        """Not where there is nothing to install, nor where the user has packed node_modules by name."""
        wanted = any(self.package.get(each) for each in _DEPENDENCIES) or any(map(self._script, _INSTALL_SCRIPTS))
        return wanted and not self.source.has_folder("node_modules")

    def _manager(self) -> PackageManager:
        named = str(self.package.get("packageManager") or "").partition("@")[0]
        locks = [name for lock, name in _LOCKS.items() if self.source.has(lock)]
        name = named or next((each for each in ("npm", "pnpm", "yarn") if each in locks), "npm")
        if name == "npm":
            return _NPM if "npm" in locks else _NPM_UNLOCKED
        if name == "pnpm":
            return _PNPM if "pnpm" in locks else _PNPM._replace(install=("install", "--prod=false"))
        if name == "yarn":
            return self._yarn(locked="yarn" in locks)
        raise ProjectError(f"package.json asks for the package manager {name}; there are npm, pnpm and yarn")

    def _yarn(self, *, locked: bool) -> PackageManager:
        version = str(self.package.get("packageManager") or "").partition("@")[2]
        berry = "__metadata:" in self.source.text("yarn.lock") if locked else version[:1] not in ("", "1")
        manager = _YARN_BERRY if berry else _YARN
        return manager if locked else manager._replace(install=manager.install[:1])

    def _program(self) -> Sequence[str]:
        """What runs the package manager; corepack brings pnpm and yarn where they are not installed."""
        name = self._manager().name
        if found := tools.find(name):
            return (found,)
        corepack = tools.find("corepack") if name != "npm" else None
        return (corepack, name) if corepack else ()

    def _asked_by(self, manager: str) -> str:
        found = next((lock for lock, name in _LOCKS.items() if name == manager and self.source.has(lock)), "")
        return found or "package.json"

    def _run(self, build_folder: BuildFolder, *arguments: str, **variables: str) -> None:
        label = " ".join((Path(arguments[0]).name, *arguments[1:]))
        extra = {"COREPACK_ENABLE_DOWNLOAD_PROMPT": "0", **self._manager().variables, **variables}
        build_folder.run(*arguments, label=label, **extra)


def _unsatisfied(wanted: str) -> str:
    """The version of the node that is here, if it is none that is wanted; npm's own semver says so, where it is."""
    node, npm = tools.find("node"), tools.find("npm")
    if node is None or npm is None:
        return ""
    asked = [node, "-e", _SATISFIES, npm, wanted]
    done = subprocess.run(asked, capture_output=True, check=False, env=tools.environment())  # noqa: S603
    if done.returncode != 3:
        return ""
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)  # noqa: S603
    return version.stdout.strip()
