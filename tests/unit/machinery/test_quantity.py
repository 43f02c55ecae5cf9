"""Quantities."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steersman.machinery import quantity


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("0", "0"),
        ("0Gi", "0"),
        ("1000m", "1"),
        ("0.5", "500m"),
        ("1024Mi", "1Gi"),
        ("1025Mi", "1025Mi"),
        ("1.5Gi", "1536Mi"),
        ("0.5Ki", "512"),
        ("0.1Ki", "102400m"),
        ("1023", "1023"),
        ("1000", "1k"),
        ("1e3", "1e3"),
        ("1E3", "1e3"),
        ("12e2", "1200"),
        ("1200e-3", "1200e-3"),
        ("1E", "1E"),
        ("1.25", "1250m"),
        ("0.1n", "1n"),
        ("-0.1n", "-1n"),
        ("-1500m", "-1500m"),
        ("+3", "3"),
        (".5", "500m"),
        ("1.", "1"),
        ("007", "7"),
        ("9999Ei", "9223372036854775807"),
        (2, "2"),
        (0.25, "250m"),
        (1e20, "100e18"),
    ],
)
def test_canonical_text(text: str | int | float, canonical: str) -> None:
    assert str(quantity.parse(text)) == canonical


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"),
        ("1x", "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"),
        ("1 Gi", "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"),
        ("1mi", "unable to parse quantity's suffix"),
        ("1K", "unable to parse quantity's suffix"),
        ("1e", "unable to parse quantity's suffix"),
        ("1e999999999", "unable to parse numeric part of quantity"),
    ],
)
def test_a_bad_quantity_fails_in_upstreams_words(text: str, error: str) -> None:
    with pytest.raises(ValueError) as caught:
        quantity.parse(text)
    assert str(caught.value) == error


def test_amounts_are_rounded_away_from_zero() -> None:
    assert quantity.milli("1.0001") == 1001
    assert quantity.milli("-1.0001") == -1001
    assert quantity.value("1m") == 1
    assert quantity.value("1Gi") == 1 << 30
    assert quantity.canonical_resource("0.0001") == "1m"


def test_arithmetic_keeps_the_suffix_family_of_the_first_non_zero_operand() -> None:
    assert str(quantity.parse("1Gi") + quantity.parse("1M")) == "1074741824"
    assert str(quantity.ZERO + quantity.parse("1Gi")) == "1Gi"
    assert str(quantity.parse("1Gi") - quantity.parse("512Mi")) == "512Mi"
    assert str(quantity.parse("100m") * 15) == "1500m"
    assert quantity.parse("1") == quantity.parse("1000m")
    assert quantity.parse("1Ki") > quantity.parse("1k")
    assert len({quantity.parse("1"), quantity.parse("1000m")}) == 1


@given(st.integers(-(10**15), 10**15), st.sampled_from(["", "m", "k", "Ki", "Mi", "e3", "e-3", "u"]))
def test_the_canonical_text_means_the_same_amount(number: int, suffix: str) -> None:
    parsed = quantity.parse(f"{number}{suffix}")
    factor = {
        "": Fraction(1), "m": Fraction(1, 1000), "k": Fraction(1000), "Ki": Fraction(1024), "Mi": Fraction(1 << 20),
        "e3": Fraction(1000), "e-3": Fraction(1, 1000), "u": Fraction(1, 10**6),
    }[suffix]  # fmt: skip
    most = (1 << 63) - 1
    capped = max(-most, min(number * factor, most)) if "i" in suffix else number * factor
    assert Fraction(parsed.nano, 10**9) == capped
    again = quantity.parse(str(parsed))
    assert again == parsed
    assert str(again) == str(parsed)
