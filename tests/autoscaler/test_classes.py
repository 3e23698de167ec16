# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest

from tidegate.autoscaler.bounds import class_of
from tidegate.autoscaler.classes import installed
from tidegate.autoscaler.kpa import Kpa
from tidegate.model import names
from tidegate.model.config import Configs

PACKAGE = """
class Policy:
    def __init__(self, host): ...

    def spec_of(self, pod_autoscaler, configs): ...
    def initial(self, ready, now): ...
    def decide(self, revision, spec, observed, state, now): ...
"""


def test_a_package_brings_a_class_by_an_entry_point_and_cannot_replace_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text(PACKAGE)
    about = tmp_path / "mine-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    entries = "\n".join(f"{name} = mine:Policy" for name in ("mine.example.com", names.KPA))
    (about / "entry_points.txt").write_text(f"[tidegate.autoscalers]\n{entries}\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    policies = installed()

    assert type(policies["mine.example.com"]).__module__ == "mine"
    assert isinstance(policies[names.KPA], Kpa)


def test_the_class_is_the_revisions_or_that_of_the_configuration() -> None:
    configs = Configs.parse({"config-autoscaler": {"pod-autoscaler-class": names.HPA}})
    annotated = {"metadata": {"annotations": {names.AUTOSCALING_CLASS: "mine.example.com"}}}

    assert class_of(annotated, configs) == "mine.example.com"
    assert class_of({"metadata": {}}, configs) == names.HPA
    assert class_of({"metadata": {}}, Configs()) == names.KPA
