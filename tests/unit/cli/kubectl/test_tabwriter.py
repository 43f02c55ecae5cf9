from __future__ import annotations

import pytest

from steersman.cli.kubectl.tabwriter import Table, align


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("a\tb\nlong\tc\n", "a     b\nlong  c\n", id="a column is as wide as its widest cell and two blanks"),
        pytest.param("a\tb\nplain\nlong\tc\n", "a  b\nplain\nlong  c\n", id="a line without a tab ends the columns above it"),
        pytest.param("a\tverylong\nb\tc\td\n", "a  verylong\nb  c  d\n", id="text after the last tab is no cell"),
        pytest.param("a\t\nbbb\tc\n", "a    \nbbb  c\n", id="a cell is padded even if nothing follows"),
        pytest.param("\tx\nabc\ty\n", "     x\nabc  y\n", id="an empty cell is a cell"),
        pytest.param("é\tx\nab\ty\n", "é   x\nab  y\n", id="characters count, not bytes"),
        pytest.param("a\tb\tc\nd\te\n", "a  b  c\nd  e\n", id="an inner column may be shorter than the outer"),
        pytest.param("a\tb", "a  b", id="a last line may lack its end"),
        pytest.param("", "", id="nothing"),
    ],
)
def test_tabs_become_columns_as_in_gos_tabwriter(text: str, expected: str) -> None:
    assert align(text) == expected


def test_columns_have_a_least_width_and_a_padding_of_choice() -> None:
    assert align("a\tb\n", min_width=6, padding=3) == "a     b\n"
    assert align("abcdef\tb\n", min_width=6, padding=3) == "abcdef   b\n"


def test_a_table_keeps_the_widths_it_has_had() -> None:
    table = Table()
    assert table.align("a\tb\n") == "a     b\n"
    assert table.align("longer\tb\nplain\na\tb\n") == "longer   b\nplain\na        b\n"
    assert table.align("a\tb\tc\n") == "a        b     c\n"
