"""The text of a JSONPath template as nodes: kubectl's dialect, with its error texts.

`{...}` are actions, everything else is text. Not here: looking at objects (evaluate.py).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TypeAlias

from steersman.machinery import govalues

_DICT_KEY = re.compile(r"'([^']*)'")
_SLICE = re.compile(r"(-?[0-9]*)(:-?[0-9]*)?(:-?[0-9]*)?")
_COMPARISON = re.compile(r"([^!<>=]+)([!<>=]+)(.+?)")
_TERMINATORS = frozenset(".,[]${}@ \t\r\n")
_RELAXED = re.compile(r"\{\.?([^{}]+)\}|\.?([^{}]+)")


class JSONPathError(ValueError):
    """What is wrong with the template, or with it on this object."""


@dataclass(frozen=True, slots=True)
class Literal:
    """Text outside of actions, or a text, number or truth value inside of one."""

    value: str | int | float | bool


@dataclass(frozen=True, slots=True)
class Field:
    name: str


@dataclass(frozen=True, slots=True)
class Wildcard:
    pass


@dataclass(frozen=True, slots=True)
class Recursive:
    pass


@dataclass(frozen=True, slots=True)
class Identifier:
    """`range`, `end`, or a mistake."""

    name: str


@dataclass(frozen=True, slots=True)
class Slice:
    """`[start:end:step]`. `derived`: an end that was not written, but follows from a single index."""

    start: int | None
    end: int | None
    step: int | None
    derived: bool = False


@dataclass(slots=True)
class Path:
    """The nodes of one action: each works on what the one before it found."""

    nodes: list[Node] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Union:
    paths: list[Path]


@dataclass(frozen=True, slots=True)
class Filter:
    """`operator` is `exists` where nothing is compared."""

    left: Path
    operator: str
    right: Path


Node: TypeAlias = Literal | Field | Wildcard | Recursive | Identifier | Slice | Path | Union | Filter


def parse(text: str) -> list[Node]:
    """The nodes of a whole template: Literals and Paths. Raises JSONPathError."""
    return _Parser(text).template()


def relax(text: str) -> str:
    """`metadata.name`, `.metadata.name` and `{metadata.name}` as `{.metadata.name}`. Raises JSONPathError."""
    if not text:
        return text
    found = _RELAXED.fullmatch(text)
    if found is None:
        raise JSONPathError(
            "unexpected path string, expected a 'name1.name2' or '.name1.name2' or '{name1.name2}' or '{.name1.name2}'"
        )
    return f"{{.{found[1] or found[2]}}}"


def _action(text: str) -> Path:
    first = parse(f"{{{text}}}")[0]
    assert isinstance(first, Path)
    return first


class _Parser:
    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0

    def template(self) -> list[Node]:
        nodes: list[Node] = []
        while self._at < len(self._text):
            opening = self._text.find("{", self._at)
            end = len(self._text) if opening < 0 else opening
            if end > self._at:
                nodes.append(Literal(self._text[self._at : end]))
            self._at = end
            if opening >= 0:
                self._at += 1
                nodes.append(self._inside())
        return nodes

    def _inside(self) -> Path:
        path = Path()
        while True:
            char = self._text[self._at : self._at + 1]
            if char == "}":
                self._at += 1
                return path
            if self._text.startswith("[?(", self._at):
                path.nodes.append(self._filter())
            elif self._text.startswith("..", self._at):
                self._recursive(path)
            elif char == "" or char in "\r\n":
                raise JSONPathError("unclosed action")
            elif char in " @$":
                self._at += 1
            elif char == "[":
                path.nodes += self._brackets()
            elif char in "\"'":
                path.nodes.append(Literal(self._quoted(char)))
            elif char == ".":
                self._at += 1
                path.nodes.append(self._field())
            elif char in "+-" or char.isdigit():
                path.nodes.append(Literal(self._number()))
            elif char.isalnum() or char == "_":
                word = self._word()
                path.nodes.append(Literal(word == "true") if word in ("true", "false") else Identifier(word))
            else:
                raise JSONPathError(f"unrecognized character in action: {govalues.unicode_name(char)}")

    def _recursive(self, path: Path) -> None:
        if path.nodes and isinstance(path.nodes[-1], Recursive):
            raise JSONPathError("invalid multiple recursive descent")
        self._at += 2
        path.nodes.append(Recursive())
        following = self._text[self._at : self._at + 1]
        if following.isalnum() or following == "_":
            path.nodes.append(self._field())

    def _field(self) -> Node:
        word = self._word()
        return Wildcard() if word == "*" else Field(word.replace("\\", ""))

    def _word(self) -> str:
        """Up to the next terminator; a backslash takes the character after it along."""
        start = self._at
        while self._at < len(self._text) and self._text[self._at] not in _TERMINATORS:
            self._at += 2 if self._text[self._at] == "\\" else 1
        return self._text[start : self._at]

    def _number(self) -> int | float:
        found = re.compile(r"[-+]?[0-9.]*").match(self._text, self._at)
        assert found is not None
        self._at = found.end()
        try:
            return int(found[0])
        except ValueError:
            pass
        try:
            return float(found[0])
        except ValueError:
            raise JSONPathError(f"cannot parse number {found[0]}") from None

    def _quoted(self, mark: str) -> str:
        start = self._at
        self._at += 1
        while True:
            char = self._text[self._at : self._at + 1]
            if char in ("", "\n"):
                raise JSONPathError("unterminated quoted string")
            self._at += 1
            if char == mark and self._text[self._at - 2] != "\\":
                break
        literal = self._text[start : self._at]
        try:
            return govalues.unquote(literal)
        except ValueError as error:
            raise JSONPathError(f"unquote string {literal} error {error}") from None

    def _brackets(self) -> list[Node]:
        closing = self._text.find("]", self._at)
        line_end = self._text.find("\n", self._at)
        if closing < 0 or 0 <= line_end < closing:
            raise JSONPathError("unterminated array")
        text = self._text[self._at + 1 : closing]
        self._at = closing + 1
        if text == "*":
            text = ":"
        if "," in text:
            return [Union([_action(f"[{part.strip(' ')}]") for part in text.split(",")])]
        key = _DICT_KEY.fullmatch(text)
        if key is not None:
            return _action(f".{key[1]}").nodes
        found = _SLICE.fullmatch(text)
        if found is None:
            raise JSONPathError(f"invalid array index {text}")
        start, end, step = (_index(part) for part in found.groups())
        if found[2]:
            return [Slice(start, end, step)]
        return [Slice(start, (start or 0) + 1, step, derived=True)]

    def _filter(self) -> Filter:
        self._at += 3
        start = self._at
        begun = ended = False
        mark = ""
        while True:
            char = self._text[self._at : self._at + 1]
            if char in ("", "\n"):
                raise JSONPathError("unterminated filter")
            self._at += 1
            if char in "\"'":
                if not begun:
                    begun, mark = True, char
                elif char == mark and self._text[self._at - 2] != "\\":
                    ended = True
            elif char == ")" and begun == ended:
                break
        text = self._text[start : self._at - 1]
        if self._text[self._at : self._at + 1] != "]":
            raise JSONPathError("unclosed array expect ]")
        self._at += 1
        found = _COMPARISON.fullmatch(text)
        if found is None:
            return Filter(_action(text), "exists", Path())
        return Filter(_action(found[1]), found[2], _action(found[3]))


def _index(part: str | None) -> int | None:
    digits = (part or "").removeprefix(":")
    if not digits:
        return None
    try:
        return int(digits)
    except ValueError:
        raise JSONPathError(f"array index {digits} is not a number") from None
