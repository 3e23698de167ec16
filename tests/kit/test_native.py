# SPDX-License-Identifier: Apache-2.0
"""Compiled files: where they are found, and when they are built."""

import os
from pathlib import Path

import pytest

from tidegate.kit import native
from tidegate.kit.native import Native, NativeError

COMPILES = pytest.mark.skipif(native.compiler() is None, reason="no C++ compiler")


@pytest.fixture
def thing(tmp_path: Path) -> Native:
    """A small source file, and a package folder next to it."""
    (tmp_path / "sources").mkdir()
    (tmp_path / "package").mkdir()
    (tmp_path / "sources" / "one.cc").write_text('extern "C" int one() { return 1; }')
    return Native("the thing", tmp_path / "package" / "thing.so", tmp_path / "sources", ("-shared", "-fPIC"))


@COMPILES
def test_a_missing_file_is_built_and_a_younger_one_is_left_alone(thing: Native) -> None:
    built = thing.path().stat().st_mtime_ns

    assert thing.path() == thing.file
    assert thing.file.stat().st_mtime_ns == built


@COMPILES
def test_a_source_that_changed_is_built_again(thing: Native) -> None:
    os.utime(thing.path(), (0, 0))

    thing.path()

    assert thing.file.stat().st_mtime > 0
    assert list(thing.file.parent.glob(".*")) == []


@COMPILES
def test_an_error_of_the_compiler_is_reported_unchanged(thing: Native) -> None:
    (thing.sources / "one.cc").write_text("int one( {")

    with pytest.raises(NativeError, match=r"the thing does not build: .*\n(.|\n)*one.cc:1"):
        thing.path()


def test_a_build_without_a_compiler_says_what_to_install(thing: Native, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "compiler", lambda: None)

    with pytest.raises(NativeError, match="no C\\+\\+ compiler: install"):
        thing.path()


def test_an_installed_package_without_the_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(NativeError, match="installed without the thing"):
        Native("the thing", tmp_path / "thing.so", tmp_path / "nowhere", ()).path()
