# SPDX-License-Identifier: Apache-2.0
"""Finding, building and checking the gate's library."""

import shutil
import subprocess
from pathlib import Path

import envoy
import pytest

from harness import gate
from tidegate.gateway import module
from tidegate.kit import native

ENVOY = Path(envoy.__file__).parent / "_bin" / "envoy"


@pytest.mark.skipif(shutil.which("nm") is None, reason="no nm, which shows what a library exports")
def test_the_library_is_in_its_place_and_exports_only_hooks() -> None:
    library = module.GATE.path()

    hooks = set(exported(library))
    assert library.name == "libgate.so"
    assert "envoy_dynamic_module_on_lb_choose_host" in hooks
    assert all(name.startswith("envoy_dynamic_module_on_") for name in hooks)


def exported(library: Path) -> list[str]:
    lines = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True, text=True, check=True).stdout
    return [line.split()[-1] for line in lines.splitlines() if " T " in line]


def test_the_shipped_envoy_fits() -> None:
    module.check(ENVOY)


def test_another_envoy_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "envoy"
    other.write_bytes(b"\x7fELF\0v0.1.0\0")

    with pytest.raises(native.NativeError, match=r"does not speak the dynamic-module ABI v0\.2\.0"):
        module.check(other)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"containerConcurrency": "one"}, "containerConcurrency must be a whole number"),
        ({"queueDeadlineSeconds": -1}, "queueDeadlineSeconds must be more than 0"),
    ],
)
async def test_envoy_rejects_a_wrong_setting_with_its_key(
    settings: gate.JsonObject, message: str, tmp_path: Path
) -> None:
    async with gate.Gateway(tmp_path, {"hello": settings}).running() as gateway:
        await gateway.until_logged(message)
        await gateway.until_logged("default/hello: ")
