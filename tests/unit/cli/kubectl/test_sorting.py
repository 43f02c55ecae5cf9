"""--sort-by."""

from __future__ import annotations

import pytest

from steersman.cli.kubectl.errors import KubectlError
from steersman.cli.kubectl.sorting import sort_by


@pytest.mark.parametrize(
    ("values", "order"),
    [
        (["b", "a10", "a2", None], [None, "a10", "a2", "b"]),
        (["1Gi", "500Mi", "2"], ["2", "500Mi", "1Gi"]),
        ([10, 9, None], [None, 9, 10]),
    ],
)
def test_values_are_in_order(values: list[object], order: list[object]) -> None:
    items = [{"v": value} if value is not None else {} for value in values]
    assert [item.get("v") for item in sort_by(items, ".v", lambda item: item)] == order


def test_a_field_that_no_object_has_is_an_error() -> None:
    with pytest.raises(KubectlError, match=r'couldn\'t find any field with path "\{.w\}" in the list of objects'):
        sort_by([{"v": 1}], "w", lambda item: item)
