# SPDX-License-Identifier: Apache-2.0
"""The base of the benchmarks of the whole: a Tidegate of their own, and an app that starts at almost no cost."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.platform import Platform, service
from tidegate.model.objects import Object

ASLEEP = {"autoscaling.knative.dev/initial-scale": "0"}


@contextmanager
def running() -> Iterator[tuple[Platform, Path]]:
    """A started Tidegate that allows an initial scale of zero, and the C app; both are removed at the end."""
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder:
        Path(folder).chmod(0o711)  # apps run as other users where root runs this
        app = build_app(Path(folder))
        platform = Platform(Path(folder) / "home")
        platform.start()
        try:
            allow_zero = {"allow-zero-initial-scale": "true"}
            named = {"name": "config-autoscaler", "namespace": "knative-serving"}
            platform.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": named, "data": allow_zero})
            yield platform, app
        finally:
            platform.stop()


def build_app(folder: Path, *options: str) -> Path:
    """Compile the C app, with any compiler that is installed."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise SystemExit("the benchmarks need a C compiler for their app")
    app = folder / "app"
    source = str(Path(__file__).with_name("app.c"))
    subprocess.run([compiler, "-O2", "-pthread", *options, "-o", str(app), source], check=True)
    return app


def fast_service(name: str, app: Path, annotations: dict[str, str] | None = None, **revision_spec: Any) -> Object:
    """A Service that runs the C app."""
    obj = service(name, annotations=annotations, **revision_spec)
    obj["spec"]["template"]["spec"]["containers"][0]["command"] = [str(app)]
    return obj
