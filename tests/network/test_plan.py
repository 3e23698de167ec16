# SPDX-License-Identifier: Apache-2.0
"""The plan of the Pod network."""

from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.network import plan
from tidegate.network.errors import NoSubnet
from tidegate.network.numbers import Numbers
from tidegate.network.plan import NetworkPlan

SUBNETS = st.builds(
    lambda address, length: IPv4Network((address, length), strict=False),
    st.integers(0x0A000000, 0x0AFFFFFF),
    st.integers(plan.LARGEST, plan.SMALLEST),
)


@given(SUBNETS, st.data())
def test_a_plan_has_an_address_and_a_name_for_each_pod(subnet: IPv4Network, data: st.DataObject) -> None:
    made = NetworkPlan(subnet)
    number = data.draw(st.integers(1, made.pods))

    assert made.address(number) in subnet
    assert made.address(number) not in (subnet.network_address, subnet.broadcast_address, made.gateway)
    assert len(made.interface(number)) <= 15
    assert made.interface(number).startswith(made.interfaces)


@given(SUBNETS, SUBNETS)
def test_disjoint_subnets_have_no_name_in_common(one: IPv4Network, other: IPv4Network) -> None:
    if not one.overlaps(other):
        assert NetworkPlan(one).interfaces != NetworkPlan(other).interfaces
        assert NetworkPlan(one).table != NetworkPlan(other).table


@given(st.lists(SUBNETS), st.integers(0))
def test_a_plan_avoids_every_subnet_in_use(taken: list[IPv4Network], seed: int) -> None:
    assert not plan.collisions(plan.plan(taken, seed).subnet, taken)


@pytest.mark.parametrize("route", ["0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1"])
def test_a_default_route_leaves_all_subnets_free(route: str) -> None:
    assert plan.plan([IPv4Network(route)], 0).subnet == IPv4Network("10.208.0.0/20")


def test_a_plan_is_outside_of_private_networks_that_are_used_as_a_whole() -> None:
    taken = [IPv4Network("10.0.0.0/8"), IPv4Network("172.16.0.0/12")]

    assert plan.plan(taken, 0).subnet.subnet_of(IPv4Network("192.168.0.0/16"))


def test_a_host_that_uses_all_private_networks_has_no_plan() -> None:
    taken = [IPv4Network(each) for each in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")]

    with pytest.raises(NoSubnet, match="--pod-cidr"):
        plan.plan(taken, 0)


def test_a_chosen_subnet_may_not_overlap_with_a_route() -> None:
    with pytest.raises(NoSubnet, match=r"overlaps with 192\.0\.2\.0/24"):
        plan.requested(IPv4Network("192.0.2.0/28"), [IPv4Network("192.0.2.0/24")])


@pytest.mark.parametrize("text", ["10.0.0.0/8", "10.0.0.0/29", "10.0.0.1/24", "127.1.0.0/24", "fd00::/64", "x"])
def test_a_subnet_that_is_not_for_pods_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        plan.parse(text)


@given(st.integers(1, 20), st.lists(st.integers(0, 30)))
def test_a_number_is_used_again_as_late_as_possible(most: int, steps: list[int]) -> None:
    numbers = Numbers(most)
    in_use: list[int] = []
    for step in steps:
        if step % 2 and in_use:
            numbers.free([in_use.pop(step % len(in_use))])
            continue
        number = numbers.next()
        assert (number is None) == (len(in_use) == most) == numbers.exhausted or number is not None
        if number is not None:
            assert number not in in_use
            in_use.append(number)


def test_a_freed_number_waits_for_all_others() -> None:
    numbers = Numbers(3)
    first = numbers.next()
    assert first is not None
    numbers.free([first])

    assert [numbers.next() for _ in range(4)] == [2, 3, 1, None]
