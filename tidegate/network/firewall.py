# SPDX-License-Identifier: Apache-2.0
"""The rules of nftables for the Pods of one Tidegate, in a table of their own.

In: a `NetworkPlan` and `FirewallOptions`. Out: text for `nft -f -` (`rules`), which replaces the table in one step; or
the table in the kernel (`apply`, `remove`, `listing`). Called by: `host.py`, in a thread.

| packet | rule |
| --- | --- |
| from a Pod, with another source than its own address, or IPv6 | dropped |
| from a Pod to this host | the gateway's address only: HTTP (80 and the internal port) and DNS (53) |
| DNS queries and connections of one Pod, more than 3,000 a second | dropped |
| from a Pod to any Pod of any Tidegate | rejected |
| from a Pod to a link-local address (metadata of clouds) | rejected, unless allowed |
| from a Pod to any other address | forwarded with this host's address |
| from this host to a Pod | accepted |
| from any other host or container to a Pod or the gateway's address | dropped |
| answers | accepted |

The rules about this host come before other tables rewrite a packet's target (priority -150): a port that e.g. Docker
publishes is a port of this host too. A verdict `accept` here does not overrule another table's `drop`.
"""

import subprocess
from collections.abc import Collection
from dataclasses import dataclass

from tidegate.network.errors import FirewallError
from tidegate.network.plan import INTERFACES, NetworkPlan

HTTP, DNS = 80, 53
"""The ports that Pods use at the gateway's address."""

QUERIES = 3000
"""DNS queries of one Pod in a second, at most, so that no Pod keeps the control plane from its work."""

_SECONDS = 10.0  # for nft


@dataclass(frozen=True, slots=True)
class FirewallOptions:
    """`http`, `dns`: the ports at the gateway's address where Envoy and the DNS part listen; Pods use 80 and 53.
    `metadata`: whether Pods reach link-local addresses. `transit`: interfaces that forward packets only because
    Tidegate lets them; packets that are not for Pods are dropped there."""

    http: int
    dns: int
    metadata: bool = False
    transit: Collection[str] = ()


def rules(plan: NetworkPlan, options: FirewallOptions) -> str:
    """The table, replaced as a whole."""
    pods, anyone, gateway = f'"{plan.interfaces}*"', f'"{INTERFACES}*"', plan.gateway
    flood = f"update @queries {{ ip saddr limit rate over {QUERIES}/second burst {QUERIES} packets }}"
    metadata = "" if options.metadata else "ip daddr 169.254.0.0/16 goto refused"
    named = sorted(name for name in options.transit if '"' not in name)
    transit = "\n".join(f'    iifname "{name}" oifname != {anyone} drop' for name in named)
    return f"""table inet {plan.table}
delete table inet {plan.table}
table inet {plan.table} {{
  set queries {{
    type ipv4_addr; flags dynamic; timeout 1m; size 65536;
  }}
  chain refused {{
    # At once. The kernel limits the rate of ICMP, so TCP gets a reset.
    meta l4proto tcp reject with tcp reset
    reject with icmpx type admin-prohibited
  }}
  chain arriving {{
    type filter hook prerouting priority -150; policy accept;
    iifname {pods} goto from_pod
    iifname != "lo" ip daddr {plan.subnet} drop
    iifname != "lo" ip saddr {plan.subnet} drop
  }}
  chain from_pod {{
    meta nfproto != ipv4 drop
    fib saddr . iif oif missing drop
    ip daddr {gateway} udp dport {DNS} {flood} drop
    ip daddr {gateway} tcp dport {DNS} tcp flags & (syn | ack) == syn {flood} drop
    ct state established,related accept
    ct state invalid drop
    ip daddr {gateway} tcp dport {{ {HTTP}, {options.http}, {DNS} }} accept
    ip daddr {gateway} udp dport {DNS} accept
    fib daddr type != unicast goto refused
    ip daddr {plan.subnet} goto refused
    {metadata}
  }}
  chain redirected {{
    type nat hook prerouting priority dstnat; policy accept;
    iifname {pods} ip daddr {gateway} tcp dport {HTTP} dnat ip to {gateway}:{options.http}
    iifname {pods} ip daddr {gateway} tcp dport {DNS} dnat ip to {gateway}:{options.dns}
    iifname {pods} ip daddr {gateway} udp dport {DNS} dnat ip to {gateway}:{options.dns}
  }}
  chain forwarded {{
    type filter hook forward priority -10; policy accept;
    iifname {pods} oifname {anyone} goto refused
    iifname {pods} accept
    oifname {pods} ct state established,related accept
    oifname {pods} drop
{transit}
  }}
  chain sent {{
    type filter hook output priority 0; policy accept;
    # While the DNS part restarts, a query without an answer is repeated; one that is refused fails at once.
    oifname {pods} ip saddr {gateway} icmp code port-unreachable icmp type destination-unreachable drop
  }}
  chain leaving {{
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr {plan.subnet} oifname != {{ "lo", {anyone} }} masquerade
  }}
}}
"""


def apply(plan: NetworkPlan, options: FirewallOptions) -> None:
    """Bring the rules into effect. Raises `FirewallError`."""
    _nft("-f", "-", script=rules(plan, options))


def remove(plan: NetworkPlan) -> None:
    """Remove the table; does nothing if there is none."""
    _nft("-f", "-", script=f"table inet {plan.table}\ndelete table inet {plan.table}\n")


def listing(plan: NetworkPlan) -> str:
    """The table as the kernel has it, without counters and elements; "" if it has none."""
    try:
        return _nft("-s", "-t", "list", "table", "inet", plan.table)
    except FirewallError:
        return ""


def _nft(*arguments: str, script: str = "") -> str:
    try:
        done = subprocess.run(  # noqa: S603 - without a shell
            ["nft", *arguments],  # noqa: S607 - from PATH, e.g. /usr/sbin or /sbin
            input=script,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FirewallError(f"nft: {error}") from error
    if done.returncode:
        message = done.stderr.strip().partition("\n")[0][:200]
        raise FirewallError(f"nft: {message}")
    return done.stdout
