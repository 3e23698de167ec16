# SPDX-License-Identifier: Apache-2.0
from harness import make
from tidegate.kit.clock import VirtualClock
from tidegate.model.conditions import Conditions
from tidegate.reconcile.verdict import Verdict, mark


def test_a_verdict_is_copied_word_for_word() -> None:
    route = make.observed(make.route(), Ready=("False", "Why", "Because."))
    conditions = Conditions(make.service(), ("RoutesReady",), VirtualClock().wall())

    mark(conditions, "RoutesReady", Verdict.of(route))

    found = conditions.get("RoutesReady")
    assert (found["status"], found["reason"], found["message"]) == ("False", "Why", "Because.")
    mark(conditions, "RoutesReady", Verdict("True"))
    assert conditions.get("Ready")["status"] == "True"
