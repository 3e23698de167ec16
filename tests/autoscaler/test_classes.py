# SPDX-License-Identifier: Apache-2.0
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tidegate.autoscaler.bounds import class_of
from tidegate.autoscaler.classes import check, installed
from tidegate.autoscaler.kpa import Kpa
from tidegate.model import kinds, names
from tidegate.model.config import Configs
from tidegate.model.errors import BadRequest
from tidegate.model.field_errors import FieldError

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


@pytest.mark.parametrize(
    "text", ["raise ValueError('no license')", "raise SystemExit(3)", "Policy = 5", "Policy = lambda context: 5", ""]
)
def test_a_package_that_cannot_be_loaded_is_left_out_and_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    (tmp_path / "broken_class.py").write_text(text)
    about = tmp_path / "broken_class-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-class\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[tidegate.autoscalers]\nbroken.example.com = broken_class:Policy\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "broken_class", raising=False)
    failures: dict[str, BaseException] = {}

    policies = installed(failed=failures.__setitem__)

    assert list(failures) == ["broken.example.com"]
    assert "broken.example.com" not in policies
    assert isinstance(policies[names.KPA], Kpa)


@pytest.mark.parametrize("error", [ValueError("no rule"), SystemExit("no rule")])
def test_a_class_that_fails_to_check_annotations_rejects_the_object(error: BaseException) -> None:
    class Broken(Kpa):
        def problems(self, annotations: Mapping[str, str]) -> Sequence[FieldError]:
            raise error

    revision = {"metadata": {"annotations": {names.AUTOSCALING_CLASS: "broken.example.com"}}}

    with pytest.raises(BadRequest, match=r"the class broken\.example\.com cannot check its annotations: no rule"):
        check(kinds.REVISION, revision, {"broken.example.com": Broken()}, Configs())


def test_the_class_is_the_revisions_or_that_of_the_configuration() -> None:
    configs = Configs.parse({"config-autoscaler": {"pod-autoscaler-class": names.HPA}})
    annotated = {"metadata": {"annotations": {names.AUTOSCALING_CLASS: "mine.example.com"}}}

    assert class_of(annotated, configs) == "mine.example.com"
    assert class_of({"metadata": {}}, configs) == names.HPA
    assert class_of({"metadata": {}}, Configs()) == names.KPA
