"""Booleans in text from outside, as Go reads them. Python's clients write True and False, others true and 1."""

from __future__ import annotations

_TRUE, _FALSE = ("1", "t", "T", "true", "TRUE", "True"), ("0", "f", "F", "false", "FALSE", "False")


def query_bool(text: str | None) -> bool:
    """An option in a URL. Not there (None), `0` and `false` in any case are false; all else is true, even nothing.

    Source: apimachinery, Convert_Slice_string_To_bool.
    """
    return text is not None and text != "0" and text.lower() != "false"


def parse_bool(text: str) -> bool:
    """strconv.ParseBool. Raises ValueError in Go's words."""
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError(f'strconv.ParseBool: parsing "{text}": invalid syntax')
