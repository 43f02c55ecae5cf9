"""Tokens to nodes, with the complaints of Go's own parser."""

from __future__ import annotations

from collections.abc import Collection

from steersman.cli.kubectl.output.gotemplate.lexer import TemplateSyntaxError, Token, tokens
from steersman.cli.kubectl.output.gotemplate.nodes import (
    Action,
    Branch,
    Call,
    Chain,
    Command,
    Constant,
    Dot,
    FieldPath,
    Function,
    Jump,
    Node,
    Pipe,
    Statement,
    Text,
    Variable,
)  # fmt: skip
from steersman.machinery import govalues
from steersman.machinery.govalues import GoInt


def parse(text: str, functions: Collection[str]) -> dict[str, list[Statement]]:
    """Templates by name; the text itself is the one named "". Raises TemplateSyntaxError."""
    return _Parser(text, functions).run()


class _Parser:
    def __init__(self, text: str, functions: Collection[str]) -> None:
        self._tokens = tokens(text)
        self._at = 0
        self._functions = functions
        self._variables = ["$"]
        self._loops = 0
        self._templates: dict[str, list[Statement]] = {}

    def run(self) -> dict[str, list[Statement]]:
        body, ended = self._list(top=True)
        if ended != "eof":
            raise self._unexpected_word(ended)
        self._templates[""] = body
        return self._templates

    # Statements

    def _list(self, *, top: bool = False) -> tuple[list[Statement], str]:
        """Statements up to the end of the text, `end` or `else`: what it was."""
        found: list[Statement] = []
        while True:
            token = self._next()
            if token.kind == "eof":
                if not top:
                    raise self._error("unexpected EOF", token)
                return found, "eof"
            if token.kind == "text":
                found.append(Text(token.value))
                continue
            self._skip_space()
            word = self._peek()
            if word.kind == "keyword" and word.value in ("end", "else"):
                self._next()
                if word.value == "end":
                    self._close("end")
                return found, word.value
            if top and word.kind == "keyword" and word.value == "define":
                self._next()
                self._define()
                continue
            found.append(self._statement())

    def _statement(self) -> Statement:
        word = self._peek()
        if word.kind != "keyword":
            scope = self._pipeline("command", "close")
            return Action(scope)
        self._next()
        if word.value in ("if", "with", "range"):
            return self._branch(word.value)
        if word.value in ("break", "continue"):
            self._skip_space()
            if self._peek().kind != "close":
                raise self._error(f"unexpected {self._peek()} in {{{{{word.value}}}}}", self._peek())
            self._next()
            if not self._loops:
                raise self._error(f"{{{{{word.value}}}}} outside {{{{range}}}}", word)
            return Jump(word.value)
        if word.value == "template":
            return self._call()
        if word.value == "block":
            return self._block()
        raise self._error(f"unexpected {word} in command", word)

    def _branch(self, keyword: str) -> Branch:
        kept = len(self._variables)
        pipe = self._pipeline(keyword, "close")
        self._loops += keyword == "range"
        body, ended = self._list()
        self._loops -= keyword == "range"
        otherwise: list[Statement] = []
        if ended == "else":
            self._skip_space()
            chained = self._peek()
            if keyword != "range" and chained.kind == "keyword" and chained.value == keyword:
                self._next()
                otherwise = [self._branch(keyword)]
            else:
                if chained.kind == "keyword":
                    raise self._error(f"unexpected {chained} in input", chained)
                self._close("else")
                otherwise, ended = self._list()
                if ended == "else":
                    raise self._error("expected end; found {{else}}", self._tokens[self._at - 1])
        del self._variables[kept:]
        return Branch(keyword, pipe, body, otherwise)

    def _define(self) -> None:
        name = self._name("define clause")
        self._close("define clause")
        self._body(name)

    def _call(self) -> Call:
        self._skip_space()
        place = self._peek()
        name = self._name("template clause")
        self._skip_space()
        if self._peek().kind == "close":
            self._next()
            return Call(place.at, name, None)
        return Call(place.at, name, self._pipeline("template clause", "close"))

    def _block(self) -> Call:
        """`{{block "name" pipe}} body {{end}}` defines a template and calls it."""
        self._skip_space()
        place = self._peek()
        name = self._name("block clause")
        pipe = self._pipeline("block clause", "close")
        self._body(name)
        return Call(place.at, name, pipe)

    def _body(self, name: str) -> None:
        kept, self._variables = self._variables, ["$"]
        body, ended = self._list()
        if ended != "end":
            raise self._unexpected_word(ended)
        self._variables = kept
        self._templates[name] = body

    def _name(self, context: str) -> str:
        self._skip_space()
        token = self._next()
        if token.kind != "string":
            raise self._error(f"unexpected {token} in {context}", token)
        return self._unquoted(token)

    def _close(self, context: str) -> None:
        self._skip_space()
        token = self._next()
        if token.kind != "close":
            raise self._error(f"unexpected {token} in {context}", token)

    # Pipelines

    def _pipeline(self, context: str, end: str) -> Pipe:
        self._skip_space()
        start = self._peek()
        declared, assign = self._declarations(context)
        commands: list[Command] = []
        while True:
            self._skip_space()
            token = self._peek()
            if token.kind == end:
                self._next()
                self._check(commands, context, token)
                break
            if token.kind not in ("bool", "char", "dot", "field", "word", "number", "nil", "string", "variable", "("):
                raise self._error(f"unexpected {token} in {context}", token)
            commands.append(self._command())
        if not assign:
            self._variables += declared
        return Pipe(start.at, commands, tuple(declared), assign)

    def _check(self, commands: list[Command], context: str, token: Token) -> None:
        if not commands:
            raise self._error(f"missing value for {context}", token)
        for place, command in enumerate(commands[1:], start=2):
            if isinstance(command.arguments[0], Constant | Dot):
                raise self._error(f"non executable command in pipeline stage {place}", token)

    def _declarations(self, context: str) -> tuple[list[str], bool]:
        """`$x :=`, `$x =`, or in a range `$i, $x :=`; nothing is read if there is none."""
        mark, names = self._at, []
        while self._peek().kind == "variable":
            names.append(self._next().value)
            self._skip_space()
            token = self._peek()
            if token.kind in (":=", "="):
                self._next()
                return names, token.kind == "="
            if token.kind == "," and context == "range":
                if len(names) == 2:
                    raise self._error("too many declarations in range", token)
                self._next()
                self._skip_space()
                continue
            break
        self._at = mark
        return [], False

    def _command(self) -> Command:
        start = self._peek()
        arguments: list[Node] = []
        while True:
            self._skip_space()
            operand = self._operand()
            if operand is not None:
                arguments.append(operand)
            token = self._next()
            if token.kind == "space":
                continue
            if token.kind in ("close", ")"):
                self._at -= 1
            elif token.kind != "|":
                raise self._error(f"unexpected {token} in operand", token)
            break
        if not arguments:
            raise self._error("empty command", token)
        return Command(start.at, arguments)

    def _operand(self) -> Node | None:
        node = self._term()
        if node is None or self._peek().kind != "field":
            return node
        place = self._peek()
        names: list[str] = []
        while self._peek().kind == "field":
            names.append(self._next().value[1:])
        if isinstance(node, FieldPath):
            return FieldPath(place.at, (*node.names, *names))
        if isinstance(node, Variable):
            return Variable(place.at, node.name, tuple(names))
        if isinstance(node, Constant | Dot):
            raise self._error(f"unexpected . after term {govalues.quote(str(node))}", place)
        return Chain(place.at, node, tuple(names))

    def _term(self) -> Node | None:
        token = self._next()
        match token.kind:
            case "word":
                if token.value not in self._functions:
                    raise self._error(f"function {govalues.quote(token.value)} not defined", token)
                return Function(token.at, token.value)
            case "dot":
                return Dot(token.at)
            case "nil":
                return Constant(token.at, None, "nil")
            case "variable":
                if token.value not in self._variables:
                    raise self._error(f"undefined variable {govalues.quote(token.value)}", token)
                return Variable(token.at, token.value)
            case "field":
                return FieldPath(token.at, (token.value[1:],))
            case "bool":
                return Constant(token.at, token.value == "true", token.value)
            case "char" | "number" | "string":
                return self._constant(token)
            case "(":
                return self._pipeline("parenthesized pipeline", ")")
        self._at -= 1
        return None

    def _constant(self, token: Token) -> Constant:
        if token.kind != "number":
            text = self._unquoted(token)
            if token.kind == "char" and len(text) != 1:
                raise self._error(f"malformed character constant: {token.value}", token)
            return Constant(token.at, GoInt(ord(text)) if token.kind == "char" else text, token.value)
        digits = token.value.replace("_", "")
        octal = digits.lstrip("+-")
        try:
            if not octal.lower().startswith("0x") and any(char in octal for char in ".eE"):
                return Constant(token.at, float(digits), token.value)
            whole = int(digits, 8) if octal.isdigit() and octal[0] == "0" and len(octal) > 1 else int(digits, 0)
        except ValueError:
            raise self._error(f"illegal number syntax: {govalues.quote(token.value)}", token) from None
        return Constant(token.at, GoInt(whole), token.value)

    def _unquoted(self, token: Token) -> str:
        try:
            return govalues.unquote(token.value)
        except ValueError as error:
            raise self._error(str(error), token) from None

    # Tokens

    def _next(self) -> Token:
        token = self._tokens[self._at]
        self._at += token.kind != "eof"
        return token

    def _peek(self) -> Token:
        return self._tokens[self._at]

    def _skip_space(self) -> None:
        while self._peek().kind == "space":
            self._at += 1

    @staticmethod
    def _error(why: str, token: Token) -> TemplateSyntaxError:
        return TemplateSyntaxError(why, token.line)

    def _unexpected_word(self, word: str) -> TemplateSyntaxError:
        return self._error(f"unexpected {{{{{word}}}}}", self._tokens[self._at - 1])
