"""What can be wrong with an expression: when it is compiled (CelError), and when it runs.

CelRuntimeError is an error of the language: `&&`, `||`, all() and exists() may absorb it. The other two are not: they end it all.
"""

from __future__ import annotations

from typing import NamedTuple

MAX_SHOWN = 100


class Issue(NamedTuple):
    """A complaint about the source text. place: code points before it."""

    place: int
    message: str


class CelError(Exception):
    """The source does not compile. Its text is what upstream prints: every issue with its line and a caret below it."""

    def __init__(self, source: str, issues: list[Issue]) -> None:
        self.issues = sorted(issues, key=lambda issue: issue.place)
        shown = [_rendered(source, issue) for issue in self.issues[:MAX_SHOWN]]
        if len(self.issues) > MAX_SHOWN:
            shown.append(f"{len(self.issues) - MAX_SHOWN} more errors were truncated")
        super().__init__("\n".join(shown))


class InstantiationError(Exception):
    """The source compiles, but a part that is worked out beforehand has no value."""


class CelFault(Exception):
    """An evaluation that came to no value."""


class CelRuntimeError(CelFault):
    """An error value of the language."""


class CostLimitExceeded(CelFault):
    """One evaluation cost more than it may."""

    def __init__(self) -> None:
        super().__init__("operation cancelled: actual cost limit exceeded")


class BudgetExceeded(CelFault):
    """All evaluations of a request together cost more than they may."""

    def __init__(self) -> None:
        super().__init__("validation failed due to running out of cost budget, no further validation rules will be run")


def no_such_overload() -> CelRuntimeError:
    return CelRuntimeError("no such overload")


def no_such_key(key: object) -> CelRuntimeError:
    return CelRuntimeError(f"no such key: {key}")


def _rendered(source: str, issue: Issue) -> str:
    lines = source.split("\n")
    row, column = 0, issue.place
    while row < len(lines) - 1 and column > len(lines[row]):
        column -= len(lines[row]) + 1
        row += 1
    line = lines[row].replace("\t", " ")
    # Wide characters get wide dots, so that the caret stays below what it points to.
    dots = "".join("." if ord(char) < 128 else "\uff0e" for char in line[:column])
    caret = "^" if column >= len(line) or ord(line[column]) < 128 else "\uff3e"
    return f"ERROR: <input>:{row + 1}:{column + 1}: {issue.message}\n | {line}\n | {dots}{caret}"
