# SPDX-License-Identifier: Apache-2.0
"""Rules in the tables of iptables, where Docker, ufw or an administrator drop all packets that no rule accepts.

In: a `NetworkPlan`. Out: rules at the top of the chains FORWARD and INPUT that accept packets of our interfaces. Called
by: `host.py`, in a thread.

An `accept` of our own table does not overrule another table's `drop`. Our own rules reject first (`firewall.py`, with
earlier priorities), so these rules admit nothing that those do not. A chain without rules and with the policy ACCEPT is
left alone. Docker evaluates DOCKER-USER before its own rules, and FORWARD begins with it, so FORWARD is enough.
"""

import shutil
import subprocess
from collections.abc import Iterator

from tidegate.network.plan import NetworkPlan

_SECONDS = 10.0


def accept(plan: NetworkPlan) -> bool:
    """Add the rules that are missing; returns whether any was."""
    added = False
    for chain, rule in _rules(plan):
        if _is_needed(chain) and _run("-C", chain, *rule) is None:
            added |= _run("-I", chain, "1", *rule) is not None
    return added


def remove(plan: NetworkPlan) -> None:
    for chain, rule in _rules(plan):
        while _run("-D", chain, *rule) is not None:
            pass


def _rules(plan: NetworkPlan) -> Iterator[tuple[str, list[str]]]:
    interfaces = f"{plan.interfaces}+"
    comment = ["-m", "comment", "--comment", plan.table]
    answers = ["-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED"]
    yield "FORWARD", ["-i", interfaces, *comment, "-j", "ACCEPT"]
    yield "FORWARD", ["-o", interfaces, *answers, *comment, "-j", "ACCEPT"]
    yield "INPUT", ["-i", interfaces, "-d", f"{plan.gateway}/32", *comment, "-j", "ACCEPT"]


def _is_needed(chain: str) -> bool:
    """Whether the chain can drop packets."""
    listed = _run("-S", chain)
    return listed is not None and listed.strip() != f"-P {chain} ACCEPT"


def _run(*arguments: str) -> str | None:
    """The output; None if iptables is not installed or fails."""
    program = shutil.which("iptables")
    if program is None:
        return None
    try:
        done = subprocess.run(  # noqa: S603 - without a shell
            [program, "-w", "5", *arguments], capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
