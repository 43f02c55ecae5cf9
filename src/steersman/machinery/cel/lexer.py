"""An expression as tokens."""

from __future__ import annotations

import re
from typing import NamedTuple

from steersman.machinery.cel.errors import CelError, Issue

MAX_CODE_POINTS = 100_000
_END = "<EOF>"
_STRING = (
    r"[rR]'''(?:.|\n|\r)*?'''|[rR]\"\"\"(?:.|\n|\r)*?\"\"\"|[rR]'[^'\n\r]*'|[rR]\"[^\"\n\r]*\""
    r"|'''(?:[^\\]|\\(?:.|\n|\r))*?'''|\"\"\"(?:[^\\]|\\(?:.|\n|\r))*?\"\"\""
    r"|'(?:[^\\'\n\r]|\\.)*'|\"(?:[^\\\"\n\r]|\\.)*\""
)
_TOKEN = re.compile(
    r"(?P<space>[\t \r\n\f]+|//[^\n]*)"
    rf"|(?P<BYTES>[bB](?:{_STRING}))"
    rf"|(?P<STRING>{_STRING})"
    r"|(?P<NUM_FLOAT>[0-9]+\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+|\.[0-9]+(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<NUM_UINT>(?:0x[0-9a-fA-F]+|[0-9]+)[uU])"
    r"|(?P<NUM_INT>0x[0-9a-fA-F]+|[0-9]+)"
    r"|(?P<IDENTIFIER>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<quoted>`[A-Za-z0-9_.\-/ ]+`)"
    r"|(?P<symbol>==|!=|<=|>=|&&|\|\||[<>\[\]{}().,\-+*/%!?:])"
)
_WORDS = frozenset({"in", "true", "false", "null"})


class Token(NamedTuple):
    """kind: of literals and identifiers as the grammar calls them; of symbols and key words the text itself."""

    kind: str
    text: str
    place: int


def tokens(source: str) -> list[Token]:
    """All tokens and the end. Raises CelError."""
    if len(source) > MAX_CODE_POINTS:
        text = f"expression code point size exceeds limit: size: {len(source)}, limit {MAX_CODE_POINTS}"
        raise CelError("", [Issue(0, text)])
    found: list[Token] = []
    place = 0
    while place < len(source):
        match = _TOKEN.match(source, place)
        if match is None:
            raise CelError(source, [Issue(place, f"Syntax error: token recognition error at: '{_unrecognized(source, place)}'")])
        kind, text = str(match.lastgroup), match[0]
        if kind == "quoted":
            raise CelError(source, [Issue(place, "unsupported syntax: '`'")])
        if kind == "symbol" or (kind == "IDENTIFIER" and text in _WORDS):
            kind = text
        if kind != "space":
            found.append(Token(kind, text, place))
        place = match.end()
    found.append(Token(_END, _END, len(source)))
    return found


def _unrecognized(source: str, place: int) -> str:
    """A quote that nobody closes takes all that follows on its line."""
    if source[place] not in "'\"":
        return source[place]
    return source[place:].split("\n", 1)[0]
