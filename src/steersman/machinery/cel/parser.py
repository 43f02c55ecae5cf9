"""From source text to the tree (cel-spec's grammar): a recursive descent. Macros are expanded as they are met (macros.py)."""

from __future__ import annotations

from collections.abc import Callable

from steersman.machinery.cel import literals, macros
from steersman.machinery.cel.ast import Call, Ident, ListOf, Literal, MapOf, Node, ObjectOf, Select, dotted
from steersman.machinery.cel.errors import CelError, Issue
from steersman.machinery.cel.lexer import Token, tokens
from steersman.machinery.cel.literals import BadLiteral

MAX_DEPTH = 250
_START = "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}"
_BINARY = {
    "||": (1, "_||_"), "&&": (2, "_&&_"),
    "<": (3, "_<_"), "<=": (3, "_<=_"), ">": (3, "_>_"), ">=": (3, "_>=_"),
    "==": (3, "_==_"), "!=": (3, "_!=_"), "in": (3, "@in"),
    "+": (4, "_+_"), "-": (4, "_-_"), "*": (5, "_*_"), "/": (5, "_/_"), "%": (5, "_%_"),
}  # fmt: skip
"""How tight an operator binds, and the function it calls."""
_LOGICAL = 2
_RESERVED = {
    "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop", "package", "namespace",
    "return", "var", "void", "while",
}  # fmt: skip


def parse(source: str) -> Node:
    """The tree. Raises CelError."""
    try:
        return _Parser(source).whole()
    except RecursionError:
        raise CelError(source, [Issue(0, f"expression recursion limit exceeded: {MAX_DEPTH}")]) from None


class _Parser:
    def __init__(self, source: str) -> None:
        self._source = source
        self._tokens = tokens(source)
        self._at = 0
        self._depth = 0

    def whole(self) -> Node:
        node = self._expression()
        if self._next.kind != "<EOF>":
            word = "extraneous" if self._tokens[self._at + 1].kind == "<EOF>" else "mismatched"
            raise self._error(self._next.place, f"Syntax error: {word} input '{self._next.text}' expecting <EOF>")
        return node

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        token = self._tokens[self._at]
        self._at += 1
        return token

    def _taken(self, kind: str) -> Token | None:
        return self._take() if self._next.kind == kind else None

    def _error(self, place: int, message: str) -> CelError:
        return CelError(self._source, [Issue(place, message)])

    def _expect(self, kind: str, expecting: str = "") -> Token:
        if self._next.kind == kind:
            return self._take()
        shown = self._next.text
        if expecting or kind == "IDENTIFIER":
            text = f"mismatched input '{shown}' expecting {expecting or kind}"
        else:
            text = f"missing '{kind}' at '{shown}'"
        raise self._error(self._next.place, f"Syntax error: {text}")

    def _expression(self) -> Node:
        """Ternary: its condition binds tighter, its last branch reaches to the end."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._error(self._next.place, f"expression recursion limit exceeded: {MAX_DEPTH}")
        node = self._binary(1)
        mark = self._taken("?")
        if mark is not None:
            first = self._binary(1)
            self._expect(":")
            node = Call(mark.place, "_?_:_", None, [node, first, self._expression()])
        self._depth -= 1
        return node

    def _binary(self, lowest: int) -> Node:
        """Operators that bind at least as tight as `lowest`."""
        node = self._unary()
        runs = 0
        while True:
            level, function = _BINARY.get(self._next.kind, (0, ""))
            if not level or level < lowest:
                return node
            runs += 1
            if runs > MAX_DEPTH:
                raise self._error(self._next.place, f"max recursion depth exceeded: {MAX_DEPTH}")
            if level <= _LOGICAL:
                node = self._chain(node, self._next.kind, level, function)
            else:
                mark = self._take()
                node = Call(mark.place, function, None, [node, self._binary(level + 1)])

    def _chain(self, node: Node, symbol: str, level: int, function: str) -> Node:
        terms, places = [node], []
        while (mark := self._taken(symbol)) is not None:
            places.append(mark.place)
            terms.append(self._binary(level + 1))
        return _balanced(function, terms, places, 0, len(places) - 1)

    def _unary(self) -> Node:
        mark = self._next
        if mark.kind not in ("!", "-"):
            return self._member(self._primary())
        count = 0
        while self._taken(mark.kind) is not None:
            count += 1
        if mark.kind == "-" and count % 2 and self._next.kind in ("NUM_INT", "NUM_FLOAT"):
            return self._member(self._number(mark.place, "-"))
        node = self._member(self._primary())
        function = "!_" if mark.kind == "!" else "-_"
        return Call(mark.place, function, None, [node]) if count % 2 else node

    def _member(self, node: Node) -> Node:
        runs = 0
        while True:
            runs += 1
            if runs > MAX_DEPTH:
                raise self._error(self._next.place, f"max recursion depth exceeded: {MAX_DEPTH}")
            if (mark := self._taken(".")) is not None:
                node = self._dotted(node, mark)
            elif (mark := self._taken("[")) is not None:
                optional = self._taken("?") is not None
                index = self._expression()
                self._expect("]")
                node = Call(mark.place, "_[?_]" if optional else "_[_]", None, [node, index])
            elif self._next.kind == "{" and (name := dotted(node)):
                node = self._object(node, name)
            else:
                return node

    def _dotted(self, node: Node, mark: Token) -> Node:
        if self._taken("?") is not None:
            name = self._expect("IDENTIFIER")
            return Call(mark.place, "_?._", None, [node, Literal(name.place, name.text)])
        name = self._expect("IDENTIFIER")
        opened = self._taken("(")
        if opened is None:
            return Select(mark.place, node, name.text)
        args = self._arguments(")")
        return self._expanded(opened.place, name.text, node, args)

    def _expanded(self, place: int, name: str, target: Node | None, args: list[Node]) -> Node:
        try:
            found = macros.expand(place, name, target, args)
        except macros.BadMacro as fault:
            raise self._error(fault.place, str(fault)) from None
        return found if found is not None else Call(place, name, target, args)

    def _arguments(self, closing: str) -> list[Node]:
        args: list[Node] = []
        if self._taken(closing) is None:
            args.append(self._expression())
            while self._taken(",") is not None:
                args.append(self._expression())
            self._expect(closing)
        return args

    def _primary(self) -> Node:
        token = self._next
        if token.kind in ("NUM_INT", "NUM_UINT", "NUM_FLOAT"):
            return self._number(token.place, "")
        if token.kind in ("STRING", "BYTES"):
            self._take()
            return self._literal(token.place, token.text, literals.string)
        if token.kind in ("true", "false", "null"):
            self._take()
            return Literal(token.place, {"true": True, "false": False, "null": None}[token.kind])
        if self._taken("(") is not None:
            node = self._expression()
            self._expect(")")
            return node
        if self._taken("[") is not None:
            return self._list(token.place)
        if self._taken("{") is not None:
            return self._map(token.place)
        return self._name()

    def _name(self) -> Node:
        rooted = self._taken(".")
        token = self._expect("IDENTIFIER", "" if rooted else _START)
        dot = "." if rooted else ""
        opened = self._taken("(")
        if opened is not None:
            return self._expanded(opened.place, token.text, None, self._arguments(")"))
        if token.text in _RESERVED:
            raise self._error(token.place, f"reserved identifier: {token.text}")
        return Ident(token.place, dot + token.text)

    def _number(self, place: int, sign: str) -> Node:
        token = self._take()
        convert = {"NUM_INT": literals.integer, "NUM_UINT": literals.unsigned, "NUM_FLOAT": literals.double}[token.kind]
        return self._literal(place, sign + token.text, convert)

    def _literal(self, place: int, text: str, convert: Callable[[str], object]) -> Node:
        try:
            return Literal(place, convert(text))
        except BadLiteral as fault:
            raise self._error(place, str(fault)) from None

    def _list(self, place: int) -> Node:
        items: list[Node] = []
        optional: set[int] = set()
        while self._taken("]") is None:
            if self._taken("?") is not None:
                optional.add(len(items))
            items.append(self._expression())
            if self._taken(",") is None:
                self._expect("]")
                break
        return ListOf(place, items, frozenset(optional))

    def _map(self, place: int) -> Node:
        entries: list[tuple[Node, Node, bool]] = []
        while self._taken("}") is None:
            optional = self._taken("?") is not None
            key = self._expression()
            self._expect(":")
            entries.append((key, self._expression(), optional))
            if self._taken(",") is None:
                self._expect("}")
                break
        return MapOf(place, entries)

    def _object(self, node: Node, name: str) -> Node:
        place = self._take().place
        entries: list[tuple[str, Node, bool, int]] = []
        while self._taken("}") is None:
            optional = self._taken("?") is not None
            field = self._expect("IDENTIFIER")
            colon = self._expect(":")
            entries.append((field.text, self._expression(), optional, colon.place))
            if self._taken(",") is None:
                self._expect("}")
                break
        return ObjectOf(place, name, entries)


def _balanced(function: str, terms: list[Node], places: list[int], low: int, high: int) -> Node:
    """`a && b && c …` as a tree as flat as can be, in order."""
    middle = (low + high + 1) // 2
    left = terms[middle] if middle == low else _balanced(function, terms, places, low, middle - 1)
    right = terms[middle + 1] if middle == high else _balanced(function, terms, places, middle + 1, high)
    return Call(places[middle], function, None, [left, right])
