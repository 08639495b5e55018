"""Names and addresses: two clusters on one machine never meet."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import ClusterError
from cluster.identity import (
    BLOCKS,
    FIRST_BLOCK,
    Addresses,
    Identity,
    candidate_blocks,
    current_identity,
    default_name,
)
from cluster.network import overlapping_blocks


def test_two_checkouts_have_different_cluster_names():
    assert default_name(Path("/home/one/sluicegate")) != default_name(Path("/home/two/sluicegate"))


@given(st.text(alphabet="abcXYZ019-_. é", min_size=1, max_size=60))
def test_a_cluster_name_derived_from_any_folder_is_valid(folder):
    Identity(default_name(Path("/checkouts") / folder))


@pytest.mark.parametrize("name", ["", "9a", "UPPER", "a_b", "ends-", "a" * 31, "a/b", ".."])
def test_an_invalid_cluster_name_is_refused_with_the_allowed_form(name):
    with pytest.raises(ClusterError, match="lower-case"):
        Identity(name)


def test_the_cluster_name_can_be_configured(monkeypatch):
    monkeypatch.setenv("SLUICEGATE_CLUSTER", "mine")

    assert current_identity() == Identity("mine")


def test_link_names_fit_the_kernel_s_15_characters():
    identity = Identity("a" * 30)

    assert len(identity.host_link) <= 15


def test_sockets_have_short_paths():
    # The kernel takes 107 characters.
    assert len(str(Identity("a" * 30).run / "containerd.sock.ttrpc")) < 107


def test_each_address_block_is_tried_once_in_an_order_that_depends_on_the_name():
    blocks = candidate_blocks("one")

    assert sorted(blocks) == list(range(FIRST_BLOCK, FIRST_BLOCK + BLOCKS))
    assert blocks == candidate_blocks("one")
    assert blocks[0] != candidate_blocks("two")[0]


def test_the_ranges_of_a_cluster_lie_in_its_network_and_do_not_overlap():
    addresses = Addresses(123)
    ranges = [addresses.pods, addresses.services, addresses.link]

    assert all(part.subnet_of(addresses.network) for part in ranges)
    assert not any(a.overlaps(b) for a in ranges for b in ranges if a is not b)
    assert addresses.node in addresses.link
    assert addresses.api_service in addresses.services


@pytest.mark.parametrize(
    ("destinations", "taken"),
    [
        (["default"], set()),
        (["192.168.0.0/16"], set()),
        (["10.120.4.0/24", "10.121.0.1"], {120, 121}),
        (["10.4.0.0/14"], {4, 5, 6, 7}),
        (["fe80::/64"], set()),
    ],
)
def test_address_blocks_routed_by_the_machine_are_detected(destinations, taken):
    assert overlapping_blocks(destinations) == taken


def test_a_machine_that_routes_10_0_0_0_8_has_no_free_address_block():
    assert overlapping_blocks([str(IPv4Network("10.0.0.0/8"))]) == set(range(256))
