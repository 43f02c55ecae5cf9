"""A cache for what is made of texts from outside: `functools.lru_cache` counts entries, and one of them may be megabytes long."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Concatenate, Final, ParamSpec, TypeVar

LONGEST: Final = 512
"""Texts longer than this are not remembered, nor is what is made of them."""

_Text = TypeVar("_Text", str, bytes)
_More = ParamSpec("_More")
_Made = TypeVar("_Made")
_Function = Callable[Concatenate[_Text, _More], _Made]


def kept(entries: int, longest: int = LONGEST) -> Callable[[_Function[_Text, _More, _Made]], _Function[_Text, _More, _Made]]:
    """For functions whose first argument is the text; the others must be few in number."""

    def decorate(function: _Function[_Text, _More, _Made]) -> _Function[_Text, _More, _Made]:
        remembered: _Function[_Text, _More, _Made] = lru_cache(entries)(function)

        @wraps(function)
        def call(text: _Text, /, *more: _More.args, **named: _More.kwargs) -> _Made:
            return remembered(text, *more, **named) if len(text) <= longest else function(text, *more, **named)

        return call

    return decorate
