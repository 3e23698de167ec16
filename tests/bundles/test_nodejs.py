# SPDX-License-Identifier: Apache-2.0
"""Node.js projects: installed dependencies, build scripts and start commands. Dependencies are local folders."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.bundles.world import build, folder_of, packed, remarks
from tidegate.bundles.bundle import Bundle, BundleError

pytestmark = pytest.mark.needs("node", "npm")

DEP = {
    "deps/dep/package.json": '{"name": "dep", "version": "1.0.0"}',
    "deps/dep/index.js": "module.exports = 'of dep';",
}
TOOL = {
    "deps/tool/package.json": '{"name": "tool", "version": "1.0.0", "bin": {"tool": "tool.js"}}',
    "deps/tool/tool.js": "#!/usr/bin/env node\nrequire('fs').writeFileSync('built.txt', process.env.NODE_ENV);\n",
}


def project(folder: Path, files: dict[str, str] | None = None, **package: Any) -> Path:
    content = {"server.js": "console.log(require('dep'));\n", "package.json": json.dumps(package), **DEP, **TOOL}
    return folder_of(folder, **content, **(files or {}))


def output(built: Bundle) -> str:
    """The output of the app, started the way the node agent starts it."""
    found = subprocess.run(
        built.command,
        capture_output=True,
        text=True,
        check=True,
        cwd=built.source,
        env={**built.environment(os.environ["PATH"])},
    )
    return found.stdout


def locked(folder: Path) -> Path:
    subprocess.run(
        ["npm", "install", "--package-lock-only", "--silent", "--no-audit", "--offline"], cwd=folder, check=True
    )
    return folder


def test_ignored_node_modules_are_installed_from_the_lock_file(tmp_path: Path) -> None:
    files = {".gitignore": "node_modules\n", "node_modules/dep/index.js": "throw 'of another machine';"}
    folder = locked(project(tmp_path / "app", files, dependencies={"dep": "file:deps/dep"}))
    built = build(tmp_path, folder)

    assert output(built) == "of dep\n"


def test_dependencies_are_installed_without_a_lock_file(tmp_path: Path) -> None:
    built = build(tmp_path, project(tmp_path / "app", dependencies={"dep": "file:deps/dep"}))

    assert output(built) == "of dep\n"


def test_a_lock_file_that_contradicts_package_json_fails_with_npm_s_message(tmp_path: Path) -> None:
    folder = locked(project(tmp_path / "app"))
    project(folder, dependencies={"dep": "file:deps/dep"})
    with pytest.raises(BundleError, match="npm ci --include=dev failed with exit code 1") as failure:
        build(tmp_path, folder)
    assert "in sync" in "\n".join(failure.value.lines)
    assert list((tmp_path / "bundles").iterdir()) == []


def test_dev_dependencies_are_installed_for_the_build_and_then_removed(tmp_path: Path) -> None:
    folder = project(
        tmp_path / "app",
        dependencies={"dep": "file:deps/dep"},
        devDependencies={"tool": "file:deps/tool"},
        scripts={"build": "tool"},
    )
    built = build(tmp_path, folder)

    assert (built.source / "built.txt").read_text() == "production"
    assert output(built) == "of dep\n"
    assert not (built.source / "node_modules" / "tool").exists()


@pytest.mark.parametrize("first", ["heroku-postbuild", "gcp-build"])
def test_platform_build_scripts_run_instead_of_the_build_script(tmp_path: Path, first: str) -> None:
    scripts = {"build": "exit 1", first: "node -e \"require('fs').writeFileSync('made', '')\""}
    built = build(tmp_path, project(tmp_path / "app", scripts=scripts))

    assert "made" in packed(built)


def test_a_failed_build_script_is_reported_with_its_last_lines(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="npm run build failed with exit code 3") as failure:
        build(tmp_path, project(tmp_path / "app", scripts={"build": "echo types are wrong; exit 3"}))
    assert "types are wrong" in failure.value.lines


@pytest.mark.parametrize(
    ("files", "package", "command"),
    [
        ({}, {"scripts": {"start": "node server.js --port $PORT"}}, ("node", "server.js", "--port", "$(PORT)")),
        ({}, {"scripts": {"start": "NODE_ENV=x node ."}}, ("env", "NODE_ENV=x", "node", ".")),
        ({}, {"scripts": {"prestart": "a", "start": "b"}}, ("/bin/sh", "-c", "trap 'exit 143' TERM\na && b")),
        ({}, {}, ("node", "server.js")),
        ({}, {"main": "./deps/dep/index.js"}, ("node", "server.js")),
        ({"Procfile": "web: node deps/dep"}, {"scripts": {"start": "x"}}, ("node", "deps/dep")),
        ({"Procfile": "web: npm start"}, {"scripts": {"start": "node x"}}, ("node", "x")),
        ({"Procfile": "web: npm run serve"}, {"scripts": {"serve": "node y"}}, ("node", "y")),
        ({"Procfile": "web: npm run serve"}, {"scripts": {"serve": "a", "preserve": "b"}}, ("npm", "run", "serve")),
        ({"Procfile": "web: npm start -- --x"}, {"scripts": {"start": "node x"}}, ("npm", "start", "--", "--x")),
        ({"Procfile": "release: ./migrate"}, {"scripts": {"start": "node x"}}, ("node", "x")),
        ({"main.py": "", "requirements.txt": ""}, {"scripts": {"start": "node x"}}, ("node", "x")),
    ],
)
def test_the_start_script_runs_without_npm(
    tmp_path: Path, files: dict[str, str], package: dict[str, Any], command: tuple[str, ...]
) -> None:
    assert build(tmp_path, project(tmp_path / "app", files, **package)).command == command


@pytest.mark.parametrize(
    ("main", "command"), [("lib/web", "lib/web.js"), ("./lib", "lib/index.js"), (None, "index.js")]
)
def test_a_package_without_a_start_script_starts_its_main_module(
    tmp_path: Path, main: str | None, command: str
) -> None:
    package = {"main": main} if main else {}
    folder = folder_of(tmp_path / "app", **{"package.json": json.dumps(package), command: ""})

    assert build(tmp_path, folder).command == ("node", command)


def test_a_project_without_a_start_command_is_refused_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match='has no script "start", and there is no server'):
        build(tmp_path, folder_of(tmp_path / "app", **{"package.json": "{}"}))


def test_programs_of_dependencies_are_in_path_and_node_env_is_production(tmp_path: Path) -> None:
    scripts, dependencies = {"start": "tool"}, {"tool": "file:deps/tool"}
    folder = project(tmp_path / "app", scripts=scripts, dependencies=dependencies, name="shop", version="1.2.3")
    built = build(tmp_path, folder)
    output(built)

    assert (built.source / "built.txt").read_text() == "production"
    assert built.environment("")["npm_package_version"] == "1.2.3"


def test_a_project_without_dependencies_needs_no_package_manager(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = project(tmp_path / "app")
    only(monkeypatch, tmp_path, "node")

    assert build(tmp_path, folder).command == ("node", "server.js")


def test_an_unsatisfied_engine_is_named(tmp_path: Path) -> None:
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    unmet = project(tmp_path / "unmet", engines={"node": "0.10.x"})
    met = project(tmp_path / "met", engines={"node": ">=4"})

    assert remarks(tmp_path, unmet) == [f"package.json asks for Node.js 0.10.x: it runs with this host's {version}"]
    assert remarks(tmp_path, met) == []


def only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *programs: str) -> None:
    """A host that has these programs and no others."""
    (tmp_path / "bin").mkdir()
    for name in programs:
        found = next(Path(each, name) for each in os.environ["PATH"].split(":") if Path(each, name).exists())
        (tmp_path / "bin" / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))


@pytest.mark.parametrize(
    ("files", "package", "programs", "words"),
    [
        ({}, {}, (), "package.json takes Node.js, and there is no node in PATH"),
        ({}, {}, ("node",), "package.json takes npm, and there is no npm in PATH"),
        ({"pnpm-lock.yaml": ""}, {}, ("node",), "pnpm-lock.yaml takes pnpm, and there is neither pnpm nor corepack"),
        ({"yarn.lock": ""}, {}, ("node",), "yarn.lock takes yarn, and there is neither yarn nor corepack"),
        ({}, {"packageManager": "yarn@4.1.0"}, ("node",), "package.json takes yarn"),
        ({}, {"packageManager": "bun@1.0.0"}, ("node",), "the package manager bun; there are npm, pnpm and yarn"),
    ],
)
def test_a_missing_tool_is_named_with_the_file_that_needs_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    files: dict[str, str],
    package: dict[str, str],
    programs: tuple[str, ...],
    words: str,
) -> None:
    folder = project(tmp_path / "app", files, dependencies={"dep": "file:deps/dep"}, **package)
    only(monkeypatch, tmp_path, *programs)
    with pytest.raises(BundleError, match=words):
        build(tmp_path, folder)


def test_lock_files_of_other_package_managers_are_named(tmp_path: Path) -> None:
    folder = locked(project(tmp_path / "app", {"yarn.lock": "", "bun.lock": ""}))

    assert remarks(tmp_path, folder) == [
        "yarn.lock is not used: npm installs from package-lock.json",
        "bun.lock is not used: npm installs from package-lock.json",
    ]


def test_a_python_app_with_a_package_json_for_its_tools_needs_no_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_of(tmp_path / "app", **{"package.json": "{}", "app.py": "", "Procfile": "web: python app.py"})
    only(monkeypatch, tmp_path)

    assert remarks(tmp_path, folder) == [
        "package.json takes Node.js, and there is no node in PATH: nothing is installed for it"
    ]


def test_included_node_modules_are_packed_and_nothing_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = project(tmp_path / "app", {"node_modules/dep/index.js": "module.exports = 'packed';"})
    built = build(tmp_path, folder, include=["node_modules"])

    assert output(built) == "packed\n"


def test_an_install_script_sees_neither_secrets_of_the_shell_nor_tidegate_s_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setenv("VIRTUAL_ENV", "/x")
    monkeypatch.setenv("npm_config_loglevel", "silent")
    script = "node -e \"require('fs').writeFileSync('seen', JSON.stringify(process.env))\""
    built = build(tmp_path, project(tmp_path / "app", scripts={"build": script}))
    seen = json.loads((built.source / "seen").read_text())

    assert not {"AWS_SECRET_ACCESS_KEY", "VIRTUAL_ENV"} & seen.keys()
    assert seen["npm_config_loglevel"] == "silent"
    assert seen["HOME"] == os.environ["HOME"]
