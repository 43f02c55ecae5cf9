"""Numbers as Go reads them."""

from __future__ import annotations

import pytest

from steersman.machinery.gonumbers import parse_int, parse_uint


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("-1", -1),
        ("+7", 7),
        ("007", 7),
        ("0" * 5000 + "1", 1),
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
    ],
)
def test_a_number_is_read(text: str, number: int) -> None:
    assert parse_int(text) == number


def test_without_a_sign_there_is_room_for_twice_as_much() -> None:
    assert parse_uint("18446744073709551615") == 2**64 - 1


@pytest.mark.parametrize("text", ["", "x", "1_0", " 1", "1 ", "٣", "²", "1e3", "0x1", "1.0", "--1", "\x00", "1\n"])
def test_what_is_no_number_is_told_as_go_tells_it(text: str) -> None:
    for parse, name in ((parse_int, "ParseInt"), (parse_uint, "ParseUint")):
        with pytest.raises(ValueError) as caught:
            parse(text)
        assert str(caught.value) == f'strconv.{name}: parsing "{text}": invalid syntax'


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (parse_int, "9223372036854775808"),
        (parse_int, "-9223372036854775809"),
        (parse_int, "9" * 5000),
        (parse_uint, "18446744073709551616"),
        (parse_uint, "9" * 5000),
    ],
)
def test_so_is_what_is_out_of_range(parse: object, text: str) -> None:
    assert callable(parse)
    with pytest.raises(ValueError, match="value out of range$"):
        parse(text)


def test_unsigned_numbers_have_no_sign() -> None:
    with pytest.raises(ValueError, match="invalid syntax"):
        parse_uint("+1")
