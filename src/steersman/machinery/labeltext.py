"""Label selectors in text, as query parameters and flags have them: `a=b,c in (x,y),!d`.

Source: API concepts, "Labels and Selectors"; error texts as upstream apimachinery pkg/labels words them. What a selector is, and
how it matches: labels.py.
"""

from __future__ import annotations

import re

from steersman.machinery import names
from steersman.machinery.fielderrors import invalid
from steersman.machinery.kept import kept
from steersman.machinery.labels import (
    BINARY,
    DOES_NOT_EXIST,
    DOUBLE_EQUALS,
    EQUALS,
    EXISTS,
    GREATER_THAN,
    IN,
    LESS_THAN,
    NOT_EQUALS,
    NOT_IN,
    Requirement,
    Selector,
    everything,
    requirement,
)
from steersman.machinery.meta import Obj

_TOKEN = re.compile(r"[ \t\r\n]*(?:(==|!=|[=!(),<>])|([^ \t\r\n=!(),<>]+))")
_OPERATORS = {
    "=": EQUALS, "==": DOUBLE_EQUALS, "!=": NOT_EQUALS, ">": GREATER_THAN, "<": LESS_THAN, "in": IN, "notin": NOT_IN,
}  # fmt: skip
_END = ""


MOST_REQUIREMENTS = 1000
"""Of a selector in text. Each is compared with each object; upstream's only limit is that of a request's head."""


class _Parser:
    """Recursive descent over tokens (kind, text): kind is `id`, the symbol itself, or the empty string at the end."""

    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, str]] = []
        position, length = 0, len(text.rstrip(" \t\r\n"))
        while position < length:
            found = _TOKEN.match(text, position)
            if found is None:
                break
            symbol, word = found.groups()
            self._tokens.append((symbol, symbol) if symbol else ("id", word))
            position = found.end()
        self._tokens.append((_END, ""))
        self._next = 0

    def peek(self) -> tuple[str, str]:
        return self._tokens[self._next]

    def take(self) -> tuple[str, str]:
        token = self._tokens[self._next]
        if token[0] != _END:
            self._next += 1
        return token

    def selector(self) -> list[Requirement]:
        found: list[Requirement] = []
        while True:
            kind, text = self.peek()
            if kind == _END:
                return found
            if len(found) >= MOST_REQUIREMENTS:
                raise ValueError(f"too many requirements (at most {MOST_REQUIREMENTS})")
            if kind not in ("id", "!"):
                raise ValueError(f"found '{text}', expected: !, identifier, or 'end of string'")
            try:
                found.append(self._requirement())
            except ValueError as error:
                raise ValueError(f"unable to parse requirement: {error}") from None
            kind, text = self.take()
            if kind == _END:
                return found
            if kind != ",":
                raise ValueError(f"found '{text}', expected: ',' or 'end of string'")
            kind, text = self.peek()
            if kind not in ("id", "!"):
                raise ValueError(f"found '{text}', expected: identifier after ','")

    def _requirement(self) -> Requirement:
        kind, key = self.take()
        absent = kind == "!"
        if absent:
            kind, key = self.take()
        if kind != "id":
            raise ValueError(f"found '{key}', expected: identifier")
        texts = names.qualified_name(key)
        if texts:
            raise ValueError(str(invalid("<nil>", key, "; ".join(texts))))
        if absent:
            return requirement(key, DOES_NOT_EXIST, ())
        if self.peek()[0] in (_END, ","):
            return requirement(key, EXISTS, ())
        operator = self._operator()
        values = self._values() if operator in (IN, NOT_IN) else [self._exact_value()]
        return requirement(key, operator, sorted(set(values)))

    def _operator(self) -> str:
        _, text = self.take()
        operator = _OPERATORS.get(text)
        if operator is None:
            raise ValueError(f"found '{text}', expected: {', '.join(BINARY)}")
        return operator

    def _exact_value(self) -> str:
        if self.peek()[0] in (_END, ","):
            return ""
        kind, text = self.take()
        if kind != "id":
            raise ValueError(f"found '{text}', expected: identifier")
        return text

    def _values(self) -> list[str]:
        kind, text = self.take()
        if kind != "(":
            raise ValueError(f"found '{text}' expected: '('")
        kind, text = self.peek()
        if kind == ")":
            self.take()
            return [""]
        if kind not in ("id", ","):
            raise ValueError(f"found '{text}', expected: ',', ')' or identifier")
        values: list[str] = []
        expect_value = True
        while True:
            kind, text = self.take()
            if kind == "id" and expect_value:
                values.append(text)
                expect_value = False
                if self.peek()[0] not in (",", ")"):
                    raise ValueError(f"found '{self.peek()[1]}', expected: ',' or ')'")
            elif kind == "," or kind == ")":
                # An empty place between commas or parentheses is the empty value.
                if expect_value:
                    values.append("")
                expect_value = True
                if kind == ")":
                    return values
            else:
                raise ValueError(f"found '{text}', expected: ',', or identifier")


@kept(4096)
def parse(text: str) -> Selector:
    """`a=b,c in (x,y),!d`. Raises ValueError with upstream's text."""
    found = _Parser(text).selector()
    return Selector(found) if found else everything()


def parse_to_label_selector(text: str) -> Obj:
    """The metav1.LabelSelector that a selector text means. Raises ValueError with upstream's text."""
    try:
        selector = parse(text)
    except ValueError as error:
        raise ValueError(f'couldn\'t parse the selector string "{text}": {error}') from None
    labels: dict[str, str] = {}
    expressions: list[Obj] = []
    for item in selector.requirements:
        if item.operator in (EQUALS, DOUBLE_EQUALS):
            labels[item.key] = item.values[0]
        elif item.operator in (EXISTS, DOES_NOT_EXIST):
            expressions.append({"key": item.key, "operator": "Exists" if item.operator == EXISTS else "DoesNotExist"})
        elif item.operator in (IN, NOT_IN, NOT_EQUALS):
            operator = "In" if item.operator == IN else "NotIn"
            expressions.append({"key": item.key, "operator": operator, "values": list(item.values)})
        else:
            raise ValueError(f'"{item.operator}" isn\'t supported in label selectors')
    found: Obj = {}
    if labels:
        found["matchLabels"] = labels
    if expressions:
        found["matchExpressions"] = expressions
    return found
