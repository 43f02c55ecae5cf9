"""The tokens of a template. Positions are characters from its start."""

from __future__ import annotations

import re
from typing import NamedTuple

from steersman.machinery import govalues

KEYWORDS = frozenset({"if", "else", "end", "range", "with", "define", "template", "block", "break", "continue"})
_SPACE = " \t\r\n"
_WORD = re.compile(r"[^\W\d]\w*|_\w*")
_NUMBER = re.compile(
    r"[-+]?(?:0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO][0-7_]+|(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9_]+)(?:[eE][-+]?[0-9_]+)?)"
)
_AFTER_WORD = frozenset(_SPACE + ".,|:()=}") | {""}
_COMMENT = "/*"


class Token(NamedTuple):
    """kind: text, open, close, space, word, keyword, field, variable, dot, string, char, number, bool, nil, eof, other; or a sign
    as itself."""

    kind: str
    value: str
    at: int
    line: int

    def __str__(self) -> str:
        if self.kind == "eof":
            return "EOF"
        if self.kind == "keyword":
            return f"<{self.value}>"
        if len(self.value) > 10:
            return f"{govalues.quote(self.value[:10])}..."
        return govalues.quote(self.value)


class TemplateSyntaxError(ValueError):
    """`line` is where Go's parser says it is."""

    def __init__(self, why: str, line: int) -> None:
        super().__init__(why)
        self.line = line


def tokens(text: str) -> list[Token]:
    """All tokens, the last of kind `eof`. Raises TemplateSyntaxError."""
    return _Lexer(text).run()


class _Lexer:
    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0
        self._found: list[Token] = []

    def run(self) -> list[Token]:
        trim = False
        while self._at < len(self._text):
            opening = self._text.find("{{", self._at)
            end = len(self._text) if opening < 0 else opening
            literal, start = self._text[self._at : end], self._at
            if trim:
                start += len(literal) - len(literal.lstrip(_SPACE))
                literal = literal.lstrip(_SPACE)
            trim_left = opening >= 0 and self._text[opening + 2 : opening + 3] == "-" and self._blank(opening + 3)
            if trim_left:
                literal = literal.rstrip(_SPACE)
            if literal:
                self._add("text", literal, start)
            self._at = end
            if opening < 0:
                break
            trim = self._action(opening, 4 if trim_left else 2)
        self._add("eof", "", len(self._text))
        return self._found

    def _action(self, opening: int, width: int) -> bool:
        """Tokens of one action. True if the text behind it is to be trimmed."""
        self._at = opening + width - (1 if width == 4 else 0)
        if self._text.startswith(_COMMENT, opening + width):
            return self._comment(opening + width)
        self._add("open", "{{", opening)
        depth = 0
        while True:
            if not depth and self._closing():
                trimmed = self._text[self._at] != "}"
                self._at += 4 if trimmed else 2
                self._add("close", "}}", self._at - 2)
                return trimmed
            if self._closing():
                raise self._fault("unclosed left paren")
            kind = self._one()
            depth += (kind == "(") - (kind == ")")
            if depth < 0:
                raise self._fault("unexpected right paren")

    def _closing(self) -> bool:
        """`}}`, or white space, `-` and `}}`."""
        at = self._at
        return self._text.startswith("}}", at) or (
            self._text[at : at + 1] in tuple(_SPACE) and self._text.startswith("-}}", at + 1)
        )

    def _comment(self, start: int) -> bool:
        end = self._text.find("*/", start)
        if end < 0:
            raise self._fault("unclosed comment")
        self._at = end + 2
        if not self._closing():
            raise self._fault("comment ends before closing delimiter")
        trimmed = self._text[self._at] != "}"
        self._at += 4 if trimmed else 2
        return trimmed

    def _one(self) -> str:
        """One token inside of an action; its kind."""
        at, char = self._at, self._text[self._at : self._at + 1]
        if not char:
            raise self._fault("unclosed action")
        if char in _SPACE:
            while self._text[self._at : self._at + 1] in tuple(_SPACE) and not self._closing():
                self._at += 1
            return self._add("space", self._text[at : self._at], at)
        if char in "\"'`":
            return self._quoted(char)
        if char in "(),|=":
            self._at += 1
            return self._add(char, char, at)
        if char == ":":
            if self._text[at + 1 : at + 2] != "=":
                raise self._fault("expected :=")
            self._at += 2
            return self._add(":=", ":=", at)
        if char in ".$" and not self._text[at + 1 : at + 2].isdigit():
            return self._dotted(char)
        if char.isdigit() or char in "+-.":
            return self._number()
        if char.isascii() and char.isprintable() and not (char.isalpha() or char == "_"):
            self._at += 1
            return self._add("other", char, at)
        word = _WORD.match(self._text, at)
        if word is None:
            raise self._fault(f"unrecognized character in action: {govalues.unicode_name(char)}")
        self._at = word.end()
        self._end_word()
        kind = "bool" if word[0] in ("true", "false") else "nil" if word[0] == "nil" else "word"
        return self._add("keyword" if word[0] in KEYWORDS else kind, word[0], at)

    def _dotted(self, char: str) -> str:
        at = self._at
        word = _WORD.match(self._text, at + 1)
        self._at = word.end() if word else at + 1
        if word or char == "$":
            self._end_word()
            return self._add("field" if char == "." else "variable", self._text[at : self._at], at)
        return self._add("dot", ".", at)

    def _end_word(self) -> None:
        char = self._text[self._at : self._at + 1]
        if char not in _AFTER_WORD:
            raise self._fault(f"bad character {govalues.unicode_name(char)}")

    def _number(self) -> str:
        at = self._at
        found = _NUMBER.match(self._text, at)
        self._at = found.end() if found else at + 1
        following = self._text[self._at : self._at + 1]
        if following.isalnum():
            raise self._fault(f"bad number syntax: {govalues.quote(self._text[at : self._at + len(following)])}")
        return self._add("number", self._text[at : self._at], at)

    def _quoted(self, mark: str) -> str:
        at = self._at
        self._at += 1
        while (char := self._text[self._at : self._at + 1]) != mark:
            if not char or (char == "\n" and mark != "`"):
                what = {'"': "quoted string", "`": "raw quoted string", "'": "character constant"}[mark]
                raise self._fault(f"unterminated {what}")
            self._at += 2 if char == "\\" and mark != "`" else 1
        self._at += 1
        return self._add("char" if mark == "'" else "string", self._text[at : self._at], at)

    def _blank(self, at: int) -> bool:
        return self._text[at : at + 1] in tuple(_SPACE)

    def _add(self, kind: str, value: str, at: int) -> str:
        self._found.append(Token(kind, value, at, 1 + self._text.count("\n", 0, at)))
        return kind

    def _fault(self, why: str) -> TemplateSyntaxError:
        return TemplateSyntaxError(why, 1 + self._text.count("\n", 0, self._at))
