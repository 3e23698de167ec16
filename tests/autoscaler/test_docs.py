# SPDX-License-Identifier: Apache-2.0
import re
import sys
import types
from pathlib import Path
from typing import Any

from tidegate.autoscaler.policies import Decision, Observed, Policy, PolicyContext
from tidegate.model import names
from tidegate.model.config import Configs
from tidegate.model.objects import Key

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "autoscaling.md").read_text()


def test_every_test_that_the_page_names_is_there() -> None:
    written = "".join(path.read_text() for path in (ROOT / "tests" / "autoscaler").glob("test_*.py"))

    assert [name for name in re.findall(r"\btest_\w+", PAGE) if f"def {name}(" not in written] == []


def test_the_page_knows_our_classes() -> None:
    assert names.KPA in PAGE


def test_the_example_of_a_class_decides() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    module = types.ModuleType("square")
    sys.modules["square"] = module
    exec(code, vars(module))
    policy: Policy[Any, Any] = module.create(PolicyContext())
    pod_autoscaler = {"metadata": {"namespace": "default", "name": "hello-00001"}, "spec": {}}
    spec = policy.spec_of(pod_autoscaler, Configs.parse({}))

    decision, _ = policy.decide(
        Key("default", "hello-00001"), spec, Observed(stable=10, panic=0, ready=1), policy.initial(1, 0), 0
    )

    assert decision.desired == 4
    assert not decision.is_steady
    assert decision.problem is None
    assert decision.numbers() == {"load": 10}
    assert decision.reason == "10 over the stable window needs 4."


def test_the_page_lists_the_attributes_of_a_decision() -> None:
    attributes = [name for name in vars(Decision) if not name.startswith("_")]

    assert len(attributes) == 5
    assert [name for name in attributes if f"| `{name}` |" not in PAGE and f"| `{name}()` |" not in PAGE] == []
