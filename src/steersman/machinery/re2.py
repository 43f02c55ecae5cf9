"""Regular expressions as Go and CEL have them (RE2 syntax), on Python's engine: patterns are rewritten where the two differ.

What differs: `$` and `\\z` mean the very end, classes are ASCII, flags may stand anywhere, POSIX classes, \\Q..\\E; and what RE2
does not have (look-around, backreferences, possessive repeats) is refused. Unlike RE2, matching may backtrack.
"""

from __future__ import annotations

import re
from functools import lru_cache

_POSIX = {
    "alnum": "0-9A-Za-z", "alpha": "A-Za-z", "ascii": "\\x00-\\x7f", "blank": "\\t ", "cntrl": "\\x00-\\x1f\\x7f",
    "digit": "0-9", "graph": "!-~", "lower": "a-z", "print": " -~", "punct": "!-/:-@\\[-`{-~",
    "space": "\\t\\n\\v\\f\\r ", "upper": "A-Z", "word": "0-9A-Za-z_",
}  # fmt: skip
_LETTERS = {"L": "[^\\W\\d_]", "Lu": "[A-Z\u00c0-\u00de]", "Ll": "[a-z\u00df-\u00ff]", "N": "\\d", "Nd": "\\d"}
_ESCAPES = frozenset("AbBdDsSwWafnrtv")
_META = frozenset(".\\+*?()|[]{}^$")
_REFUSED = ("(?=", "(?!", "(?<=", "(?<!", "(?P=", "(?(", "(?>", "(?#")
_FLAGS = re.compile(r"\(\?([imsU]*)(-[imsU]+)?([:)])")
_BRACES = re.compile(r"\{(\d+)(?:,(\d*))?\}")
_MAX_REPEAT = 1000


@lru_cache(maxsize=4096)
def compile(pattern: str) -> re.Pattern[str]:
    """The pattern, to be used with `search`. Raises ValueError in Go's words: error parsing regexp: ..."""
    try:
        return re.compile(_Rewriter(pattern).rewritten(), re.ASCII)
    except (re.error, RecursionError, OverflowError):
        raise ValueError(f"error parsing regexp: invalid or unsupported Perl syntax: `{pattern}`") from None


class _Rewriter:
    """Goes through a pattern once, left to right."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._place = 0
        self._multiline = [False]
        self._out: list[str] = []

    def rewritten(self) -> str:
        pattern, out = self._pattern, self._out
        extra_groups = 0
        while self._place < len(pattern):
            char = pattern[self._place]
            if char == "\\":
                out.append(self._escape())
            elif char == "[":
                out.append(self._class())
            elif char == "(":
                extra_groups += self._open()
            elif char == ")":
                if len(self._multiline) > 1:
                    self._multiline.pop()
                out.append(")")
                self._place += 1
            elif char == "$":
                out.append("$" if self._multiline[-1] else r"\Z")
                self._place += 1
            elif char in "*+?{":
                self._repeat(char)
            else:
                out.append(char)
                self._place += 1
        return "".join(out) + ")" * extra_groups

    def _fail(self, why: str, what: str) -> ValueError:
        return ValueError(f"error parsing regexp: {why}: `{what}`")

    def _repeat(self, char: str) -> None:
        """A repeat; in Python a `+` after it would be possessive, in RE2 it is an error."""
        pattern = self._pattern
        if char == "{":
            found = _BRACES.match(pattern, self._place)
            if found is None:
                self._out.append(r"\{")
                self._place += 1
                return
            if max(int(number) for number in found.groups() if number) > _MAX_REPEAT:
                raise self._fail("invalid repeat count", found[0])
            text = found[0]
        else:
            text = char
        end = self._place + len(text)
        if pattern[end : end + 1] == "?":
            text, end = text + "?", end + 1
        if pattern[end : end + 1] in ("*", "+", "?") and end < len(pattern):
            raise self._fail("invalid nested repetition operator", pattern[self._place : end + 1])
        self._out.append(text)
        self._place = end

    def _open(self) -> int:
        """A group, or flags for the rest of the group around; 1 if a group was opened that nobody closes."""
        pattern = self._pattern
        for bad in _REFUSED:
            if pattern.startswith(bad, self._place):
                raise self._fail("invalid or unsupported Perl syntax", bad)
        found = _FLAGS.match(pattern, self._place)
        if found is None:
            self._multiline.append(self._multiline[-1])
            for name in ("(?P<", "(?<"):
                if pattern.startswith(name, self._place):
                    self._out.append("(?P<")
                    self._place += len(name)
                    return 0
            self._out.append("(")
            self._place += 1
            return 0
        on, off = found[1].replace("U", ""), (found[2] or "")[1:].replace("U", "")
        multiline = ("m" in on or self._multiline[-1]) and "m" not in off
        flags = on + (f"-{off}" if off else "")
        self._place = found.end()
        if found[3] == ":":
            self._multiline.append(multiline)
            self._out.append(f"(?{flags}:")
            return 0
        self._multiline[-1] = multiline
        if not flags:
            return 0
        # Flags hold to the end of the group around. Python knows them only for a group, so one is opened.
        if len(self._multiline) > 1:
            raise self._fail("invalid or unsupported Perl syntax", found[0])
        self._out.append(f"(?{flags}:")
        return 1

    def _escape(self) -> str:
        pattern = self._pattern
        char = pattern[self._place + 1 : self._place + 2]
        if not char:
            raise ValueError("error parsing regexp: trailing backslash at end of expression: ``")
        if char == "Q":
            end = pattern.find(r"\E", self._place)
            literal = pattern[self._place + 2 : end if end >= 0 else len(pattern)]
            self._place = end + 2 if end >= 0 else len(pattern)
            return re.escape(literal)
        if char == "z":
            self._place += 2
            return r"\Z"
        if char in "pP":
            return self._unicode(char == "P")
        if char == "x":
            return self._hex()
        self._place += 2
        if char in _ESCAPES:
            return "\\" + char
        if char in _META or not char.isalnum():
            return re.escape(char)
        raise self._fail("invalid escape sequence", "\\" + char)

    def _hex(self) -> str:
        found = re.compile(r"\\x(?:\{([0-9a-fA-F]{1,6})\}|([0-9a-fA-F]{2}))").match(self._pattern, self._place)
        if found is None or int(found[1] or found[2], 16) > 0x10FFFF:
            raise self._fail("invalid escape sequence", self._pattern[self._place : self._place + 2])
        self._place = found.end()
        return re.escape(chr(int(found[1] or found[2], 16)))

    def _unicode(self, negated: bool) -> str:
        found = re.compile(r"\\[pP](?:\{(\^?)(\w+)\}|(\w))").match(self._pattern, self._place)
        name = (found[2] or found[3]) if found is not None else ""
        if found is None or name not in _LETTERS:
            raise self._fail("invalid character class range", self._pattern[self._place : self._place + 3])
        self._place = found.end()
        letters = _LETTERS[name]
        outside = negated != bool(found[1])
        return f"(?:(?!(?u:{letters}))(?s:.))" if outside else f"(?u:{letters})"

    def _class(self) -> str:
        """A bracket expression."""
        pattern, start = self._pattern, self._place
        self._place += 1
        out = ["["]
        if pattern.startswith("^", self._place):
            out.append("^")
            self._place += 1
        first = True
        while True:
            if self._place >= len(pattern):
                raise self._fail("missing closing ]", pattern[start:])
            char = pattern[self._place]
            if char == "]" and not first:
                self._place += 1
                return "".join(out) + "]"
            first = False
            out.append(self._class_item(char))

    def _class_item(self, char: str) -> str:
        pattern = self._pattern
        if pattern.startswith("[:", self._place):
            end = pattern.find(":]", self._place)
            name = pattern[self._place + 2 : end] if end >= 0 else ""
            if name not in _POSIX:
                raise self._fail("invalid character class range", pattern[self._place : end + 2 if end >= 0 else None])
            self._place = end + 2
            return _POSIX[name]
        if char == "\\":
            if pattern[self._place + 1 : self._place + 2] in ("p", "P"):
                raise self._fail("invalid character class range", pattern[self._place : self._place + 3])
            escaped = self._escape()
            return escaped if len(escaped) > 1 or escaped.isalnum() else "\\" + escaped
        self._place += 1
        return "\\" + char if char in "[&~|" else char
