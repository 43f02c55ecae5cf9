"""What a parsed template consists of. `at` is the place that an error about the node names; `str()` is how it is shown there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class Dot:
    at: int

    def __str__(self) -> str:
        return "."


@dataclass(frozen=True, slots=True)
class Constant:
    """A text, number, truth value or nil; `source` as written."""

    at: int
    value: Any
    source: str

    def __str__(self) -> str:
        return self.source


@dataclass(frozen=True, slots=True)
class FieldPath:
    """`.a.b`"""

    at: int
    names: tuple[str, ...]

    def __str__(self) -> str:
        return "".join(f".{name}" for name in self.names)


@dataclass(frozen=True, slots=True)
class Variable:
    """`$x.a.b`"""

    at: int
    name: str
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.name + "".join(f".{name}" for name in self.names)


@dataclass(frozen=True, slots=True)
class Function:
    at: int
    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Chain:
    """`(...).a.b`"""

    at: int
    inner: Node
    names: tuple[str, ...]

    def __str__(self) -> str:
        return f"{_operand(self.inner)}{''.join(f'.{name}' for name in self.names)}"


@dataclass(frozen=True, slots=True)
class Command:
    at: int
    arguments: list[Node]

    def __str__(self) -> str:
        return " ".join(_operand(argument) for argument in self.arguments)


@dataclass(frozen=True, slots=True)
class Pipe:
    """`declared := a | b`; `assign` if the variables are there already."""

    at: int
    commands: list[Command]
    declared: tuple[str, ...] = ()
    assign: bool = False

    def __str__(self) -> str:
        lead = f"{', '.join(self.declared)} {'=' if self.assign else ':='} " if self.declared else ""
        return lead + " | ".join(str(command) for command in self.commands)


@dataclass(frozen=True, slots=True)
class Text:
    value: str


@dataclass(frozen=True, slots=True)
class Action:
    pipe: Pipe


@dataclass(frozen=True, slots=True)
class Branch:
    """`if`, `with` and `range`."""

    keyword: str
    pipe: Pipe
    body: list[Statement] = field(default_factory=list)
    otherwise: list[Statement] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Jump:
    """`break` and `continue`."""

    keyword: str


@dataclass(frozen=True, slots=True)
class Call:
    """`{{template "name" pipe}}`"""

    at: int
    name: str
    pipe: Pipe | None

    def __str__(self) -> str:
        from steersman.machinery.govalues import quote

        return f"{{{{template {quote(self.name)}{f' {self.pipe}' if self.pipe else ''}}}}}"


Node: TypeAlias = Dot | Constant | FieldPath | Variable | Function | Chain | Command | Pipe
Statement: TypeAlias = Text | Action | Branch | Jump | Call


def _operand(node: Node) -> str:
    return f"({node})" if isinstance(node, Pipe) else str(node)
