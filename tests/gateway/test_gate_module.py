# SPDX-License-Identifier: Apache-2.0
"""Finding, building and checking the gate's library."""

import os
import shutil
import subprocess
from pathlib import Path

import envoy
import pytest

from tests.gateway import gate
from tidegate.gateway import module

ENVOY = Path(envoy.__file__).parent / "_bin" / "envoy"
COMPILES = pytest.mark.skipif(module.compiler() is None, reason="no C++ compiler")


@pytest.fixture
def source_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree with one small source, and a package folder beside it."""
    (tmp_path / "gate").mkdir()
    (tmp_path / "package").mkdir()
    (tmp_path / "gate" / "filter.cc").write_text('extern "C" int gate() { return 1; }')
    monkeypatch.setattr(module, "SOURCES", tmp_path / "gate")
    monkeypatch.setattr(module, "HERE", tmp_path / "package")
    return tmp_path


@pytest.mark.skipif(shutil.which("nm") is None, reason="no nm, which shows what a library exports")
def test_the_library_is_where_it_is_told_and_lacks_no_hook() -> None:
    library = module.path()

    hooks = set(exported(library))
    assert library.name == "libgate.so"
    assert "envoy_dynamic_module_on_lb_choose_host" in hooks
    assert all(name.startswith("envoy_dynamic_module_on_") for name in hooks)


def exported(library: Path) -> list[str]:
    lines = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True, text=True, check=True).stdout
    return [line.split()[-1] for line in lines.splitlines() if " T " in line]


@COMPILES
def test_a_missing_library_is_built_and_a_younger_one_is_left_alone(source_tree: Path) -> None:
    library = module.path()
    built = library.stat().st_mtime_ns

    assert module.path() == source_tree / "package" / "libgate.so"
    assert library.stat().st_mtime_ns == built


@COMPILES
def test_a_source_that_changed_is_built_again(source_tree: Path) -> None:
    library = module.path()
    os.utime(library, (0, 0))

    module.path()

    assert library.stat().st_mtime > 0
    assert list(source_tree.glob("package/.*")) == []


@COMPILES
def test_a_compiler_error_is_told_as_it_is(source_tree: Path) -> None:
    (source_tree / "gate" / "filter.cc").write_text("int gate( {")

    with pytest.raises(module.ModuleError, match=r"the gate does not build: .*\n(.|\n)*filter.cc:1"):
        module.path()


def test_without_a_compiler_it_says_what_to_install(source_tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "compiler", lambda: None)

    with pytest.raises(module.ModuleError, match="no C\\+\\+ compiler: install"):
        module.path()


def test_an_installed_package_without_its_library_says_so(source_tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SOURCES", source_tree / "nowhere")

    with pytest.raises(module.ModuleError, match="installed without its gate"):
        module.path()


def test_the_envoy_that_is_shipped_fits() -> None:
    module.check(ENVOY)


def test_another_envoy_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "envoy"
    other.write_bytes(b"\x7fELF\0v0.1.0\0")

    with pytest.raises(module.ModuleError, match=r"does not speak the dynamic-module ABI v0\.2\.0"):
        module.check(other)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"containerConcurrency": "one"}, "containerConcurrency must be a whole number"),
        ({"queueDeadlineSeconds": -1}, "queueDeadlineSeconds must be more than 0"),
    ],
)
async def test_a_wrong_setting_is_refused_by_envoy_with_its_name(
    settings: gate.JsonObject, message: str, tmp_path: Path
) -> None:
    async with gate.Gateway(tmp_path, {"hello": settings}).running() as gateway:
        await gateway.until_logged(message)
        await gateway.until_logged("default/hello: ")
