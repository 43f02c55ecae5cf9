"""Running a parsed template on decoded JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from steersman.cli.kubectl.output.gotemplate.functions import FUNCTIONS, ArgumentError, FunctionError, truth
from steersman.cli.kubectl.output.gotemplate.lexer import TemplateSyntaxError
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
from steersman.cli.kubectl.output.gotemplate.parser import parse
from steersman.machinery import govalues
from steersman.machinery.govalues import GoInt, type_name

_DEPTH_LIMIT = 200


class TemplateError(ValueError):
    """`template: output:1:8: executing "output" at <.x>: ...`"""


class _Missing:
    """A key that is not there. Go's reflection tells it from null, and so does what is printed."""

    def __str__(self) -> str:
        return "<no value>"


_MISSING = _Missing()


class _Jumped(Exception):
    def __init__(self, keyword: str) -> None:
        super().__init__(keyword)
        self.keyword = keyword


class Template:
    """Raises TemplateError when made from a text that can't be parsed. `name` is what error texts call it."""

    def __init__(self, text: str, *, name: str = "output", functions: Mapping[str, Callable[..., Any]] | None = None) -> None:
        self._text, self._name = text, name
        self._functions: Mapping[str, Callable[..., Any]] = {**FUNCTIONS, **(functions or {})}
        try:
            self._templates = parse(text, frozenset(self._functions))
        except TemplateSyntaxError as error:
            raise TemplateError(f"template: {name}:{error.line}: {error}") from None

    def run(self, data: Any, write: Callable[[str], object], *, allow_missing_keys: bool = True) -> None:
        """What was written before an error stays written. Raises TemplateError."""
        _Run(self._templates, self._functions, write, self._place, allow_missing_keys).block("", data, self._name)

    def _place(self, at: int) -> str:
        line_start = self._text.rfind("\n", 0, at) + 1
        line = 1 + self._text.count("\n", 0, at)
        return f"{self._name}:{line}:{len(self._text[line_start:at].encode())}"


class _Run:
    """One execution. Variables are a stack of (name, value); a block forgets what it declared."""

    def __init__(
        self,
        templates: Mapping[str, list[Statement]],
        functions: Mapping[str, Callable[..., Any]],
        write: Callable[[str], object],
        place: Callable[[int], str],
        lenient: bool,
    ) -> None:
        self._templates, self._functions, self._write, self._place, self._lenient = templates, functions, write, place, lenient
        self._variables: list[tuple[str, Any]] = []
        self._template = ""
        self._depth = 0

    def block(self, name: str, dot: Any, shown: str) -> None:
        outer = self._variables, self._template
        self._variables, self._template = [("$", dot)], shown
        self._depth += 1
        self._statements(self._templates[name], dot)
        self._depth -= 1
        self._variables, self._template = outer

    def _statements(self, statements: list[Statement], dot: Any) -> None:
        for statement in statements:
            match statement:
                case Text(value):
                    self._write(value)
                case Action(pipe):
                    value = self._pipe(pipe, dot)
                    if not pipe.declared:
                        self._write(_shown(value))
                case Branch("range"):
                    self._range(statement, dot)
                case Branch():
                    self._branch(statement, dot)
                case Jump(keyword):
                    raise _Jumped(keyword)
                case Call():
                    self._call(statement, dot)

    def _branch(self, branch: Branch, dot: Any) -> None:
        kept = len(self._variables)
        value = self._pipe(branch.pipe, dot)
        if not isinstance(value, _Missing) and truth(value):
            self._statements(branch.body, value if branch.keyword == "with" else dot)
        else:
            self._statements(branch.otherwise, dot)
        del self._variables[kept:]

    def _range(self, branch: Branch, dot: Any) -> None:
        kept = len(self._variables)
        value = self._pipe(branch.pipe, dot, bind=False)
        if isinstance(value, dict):
            pairs = [(key, value[key]) for key in sorted(value)]
        elif isinstance(value, list):
            pairs = [(GoInt(index), item) for index, item in enumerate(value)]
        elif value is None or isinstance(value, _Missing):
            pairs = []
        else:
            raise self._fault(branch.pipe, f"range can't iterate over {govalues.plain(value)}")
        for key, item in pairs:
            self._bind_turn(branch.pipe, key, item)
            try:
                self._statements(branch.body, item)
            except _Jumped as jump:
                if jump.keyword == "break":
                    break
            finally:
                del self._variables[kept:]
        if not pairs:
            self._statements(branch.otherwise, dot)
        del self._variables[kept:]

    def _bind_turn(self, pipe: Pipe, key: Any, item: Any) -> None:
        values = [item] if len(pipe.declared) == 1 else [key, item]
        for name, value in zip(pipe.declared, values, strict=False):
            self._bind(name, value, assign=pipe.assign)

    def _call(self, call: Call, dot: Any) -> None:
        if call.name not in self._templates or not call.name:
            raise self._fault(call, f"template {govalues.quote(call.name)} not defined")
        if self._depth >= _DEPTH_LIMIT:
            raise self._fault(call, f"exceeded maximum template depth ({_DEPTH_LIMIT})")
        self.block(call.name, self._pipe(call.pipe, dot) if call.pipe else None, call.name)

    def _pipe(self, pipe: Pipe, dot: Any, *, bind: bool = True) -> Any:
        value: Any = None
        for place, command in enumerate(pipe.commands):
            value = self._command(command, dot, [value] if place else [])
        if bind:
            for name in pipe.declared:
                self._bind(name, value, assign=pipe.assign)
        return value

    def _bind(self, name: str, value: Any, *, assign: bool) -> None:
        if assign:
            for place in range(len(self._variables) - 1, -1, -1):
                if self._variables[place][0] == name:
                    self._variables[place] = (name, value)
                    return
        self._variables.append((name, value))

    def _command(self, command: Command, dot: Any, piped: list[Any]) -> Any:
        first, *rest = command.arguments
        if isinstance(first, Function):
            return self._function(first, command, dot, piped)
        if isinstance(first, FieldPath | Variable | Chain) and first.names and (rest or piped):
            return self._with_arguments(first, dot)
        if rest or piped:
            raise self._fault(first, f"can't give argument to non-function {first}")
        if isinstance(first, Constant) and first.value is None:
            raise self._fault(first, "nil is not a command")
        return self._value(first, dot)

    def _with_arguments(self, node: FieldPath | Variable | Chain, dot: Any) -> Any:
        *front, last = node.names
        holder = self._fields(node, self._root(node, dot), tuple(front))
        if isinstance(holder, dict):
            raise self._fault(node, f"{last} is not a method but has arguments")
        return self._fields(node, holder, (last,))

    def _root(self, node: FieldPath | Variable | Chain, dot: Any) -> Any:
        if isinstance(node, FieldPath):
            return dot
        if isinstance(node, Variable):
            return self._variable(node.name)
        return self._value(node.inner, dot)

    def _variable(self, name: str) -> Any:
        return next(value for known, value in reversed(self._variables) if known == name)

    def _value(self, node: Node, dot: Any) -> Any:
        match node:
            case Dot():
                return dot
            case Constant():
                return node.value
            case FieldPath() | Variable() | Chain():
                return self._fields(node, self._root(node, dot), node.names)
            case Function():
                return self._function(node, Command(node.at, [node]), dot, [])
            case Pipe():
                return self._pipe(node, dot)
            case Command():
                return self._command(node, dot, [])

    def _fields(self, node: Node, value: Any, names: tuple[str, ...]) -> Any:
        for name in names:
            if isinstance(value, _Missing):
                continue
            if value is None:
                raise self._fault(node, f"nil pointer evaluating interface {{}}.{name}")
            if not isinstance(value, dict):
                kind = "interface {}" if node is not value else type_name(value)
                raise self._fault(node, f"can't evaluate field {name} in type {kind}")
            if name not in value and not self._lenient:
                raise self._fault(node, f"map has no entry for key {govalues.quote(name)}")
            value = value.get(name, _MISSING)
        return value

    def _function(self, function: Function, command: Command, dot: Any, piped: list[Any]) -> Any:
        arguments = command.arguments[1:]
        if function.name in ("and", "or"):
            return self._short(function, arguments, dot, piped)
        values = [self._value(argument, dot) for argument in arguments] + piped
        try:
            return self._functions[function.name](*(None if isinstance(value, _Missing) else value for value in values))
        except ArgumentError as error:
            if error.place < 0 or error.place >= len(arguments):
                raise self._fault(function, str(error)) from None
            blamed = arguments[error.place]
            why = f"expected string; found {blamed}" if isinstance(blamed, Constant) else str(error)
            raise self._fault(blamed, why) from None
        except FunctionError as error:
            raise self._fault(command, f"error calling {function.name}: {error}") from None

    def _short(self, function: Function, arguments: list[Node], dot: Any, piped: list[Any]) -> Any:
        """`and` and `or` stop at the first that decides."""
        if not arguments and not piped:
            raise self._fault(function, f"wrong number of args for {function.name}: want at least 1 got 0")
        value: Any = None
        for argument in arguments:
            value = self._value(argument, dot)
            if truth(None if isinstance(value, _Missing) else value) is (function.name == "or"):
                return value
        return piped[0] if piped else value

    def _fault(self, node: Node | Call, why: str) -> TemplateError:
        return TemplateError(f"template: {self._place(node.at)}: executing {govalues.quote(self._template)} at <{node}>: {why}")


def _shown(value: Any) -> str:
    return "<no value>" if value is None or isinstance(value, _Missing) else govalues.plain(value)
