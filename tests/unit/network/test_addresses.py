"""The addresses of a node's pod range: given round-robin, kept on disk, used up at some point, and free again."""

from __future__ import annotations

from pathlib import Path

import pytest

from steersman.network.addresses import AddressPool, NoAddress


def test_a_range_that_is_used_up_says_so_until_an_address_is_given_back(tmp_path: Path) -> None:
    pool = AddressPool(tmp_path, "10.244.7.0/29")
    # Of eight: not the network's, the gateway's and the broadcast address.
    given = [pool.take(f"pod-{number}") for number in range(5)]
    assert sorted(given) == [f"10.244.7.{number}" for number in range(2, 7)]
    for again in (pool, AddressPool(tmp_path, "10.244.7.0/29")):
        with pytest.raises(NoAddress, match=r"^no address is left in the node's pod range 10.244.7.0/29: 5 are in use$"):
            again.take("one-more")
        assert again.take("pod-3") == given[3], "who has one keeps it"
    pool.release("pod-3")
    assert pool.take("one-more") == given[3]


def test_a_freed_address_rests_while_others_are_free(tmp_path: Path) -> None:
    pool = AddressPool(tmp_path, "10.244.7.0/28")
    first = pool.take("a")
    pool.release("a")
    assert pool.take("b") != first
    assert AddressPool(tmp_path, "10.244.7.0/28").take("c") not in (first, pool.of("b")), "also after a restart"
