"""Numbers, strings and bytes as an expression spells them."""

from __future__ import annotations

import re

from steersman.machinery.cel.values import MAX_INT, MAX_UINT, MIN_INT, UInt

_SIMPLE = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v",
    "\\": "\\", "'": "'", '"': '"', "?": "?", "`": "`",
}  # fmt: skip
_ESCAPE = re.compile(
    r"\\(?:x([0-9a-fA-F]{2})|X([0-9a-fA-F]{2})|([0-3][0-7]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL
)
_PREFIX = re.compile(r"[bBrR]*")


class BadLiteral(Exception):
    """The token has the form of a literal, but no value."""


def integer(text: str) -> int:
    value = int(text, 16) if text[:3].lower().lstrip("-").startswith("0x") else int(text)
    if not MIN_INT <= value <= MAX_INT:
        raise BadLiteral("invalid int literal")
    return value


def unsigned(text: str) -> UInt:
    digits = text[:-1]
    value = int(digits, 16) if digits[:2].lower() == "0x" else int(digits)
    if value > MAX_UINT:
        raise BadLiteral("invalid uint literal")
    return UInt(value)


def double(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise BadLiteral("invalid double literal")
    return value


def string(token: str) -> str | bytes:
    """The value of a string or bytes token, prefix and quotes included."""
    found = _PREFIX.match(token)
    prefix = found[0].lower() if found is not None else ""
    body = token[len(prefix) :]
    width = 3 if body[:3] in ('"""', "'''") and len(body) >= 6 else 1
    text = body[width:-width].replace("\r\n", "\n").replace("\r", "\n")
    if "r" in prefix:
        return text.encode("utf-8", "surrogatepass") if "b" in prefix else text
    return _bytes(text) if "b" in prefix else _ESCAPE.sub(_character, text)


def _character(found: re.Match[str]) -> str:
    code = next((int(digits, 16) for digits in (found[1], found[2], found[4], found[5]) if digits), None)
    if code is None and found[3]:
        code = int(found[3], 8)
    if code is None:
        if found[6] not in _SIMPLE:
            raise BadLiteral("unable to unescape string")
        return _SIMPLE[found[6]]
    if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        raise BadLiteral("invalid unicode code point")
    return chr(code)


def _bytes(text: str) -> bytes:
    out, place = bytearray(), 0
    for found in _ESCAPE.finditer(text):
        out += text[place : found.start()].encode("utf-8", "surrogatepass")
        place = found.end()
        if found[1] or found[2]:
            out.append(int(found[1] or found[2], 16))
        elif found[3]:
            out.append(int(found[3], 8))
        elif found[6] in _SIMPLE:
            out += _SIMPLE[found[6]].encode()
        else:
            # \u and \U name code points, which bytes do not have.
            raise BadLiteral("unable to unescape string")
    return bytes(out + text[place:].encode("utf-8", "surrogatepass"))
