"""Flags as pflag reads them: declared as data, parsed anywhere on the line, with its words when something is wrong.

`-n x`, `-nx`, `-n=x`, `--name x`, `--name=x`, `--bool`, `--bool=false`, `-it`, `--` ends the flags.
Not here: which flags a verb has (its module's FLAGS), those every verb has (context.GLOBAL_FLAGS).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from steersman.cli.kubectl.errors import FlagError
from steersman.machinery import duration

_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})


class Flag(NamedTuple):
    """One flag. `kind`: string, bool, int, duration, strings (repeatable, commas split), array (repeatable, taken whole).

    `bare` is the value that the flag means when it stands without one (pflag's NoOptDefVal); booleans have `true`.
    """

    name: str
    kind: str = "string"
    help: str = ""
    short: str = ""
    default: Any = None
    bare: str = ""

    @property
    def takes_value(self) -> bool:
        return self.kind != "bool" and not self.bare

    @property
    def start(self) -> Any:
        """The value when the flag is not given."""
        if self.default is not None:
            return self.default
        return {"bool": False, "int": 0, "duration": 0.0, "strings": [], "array": []}.get(self.kind, "")

    @property
    def shown(self) -> str:
        """As error messages name it."""
        return f"-{self.short}, --{self.name}" if self.short else f"--{self.name}"


class Flags:
    """The values of one command line. `dash`: how many arguments stood before `--`, or -1 without it."""

    def __init__(self, values: dict[str, Any], given: set[str], dash: int) -> None:
        self._values, self._given, self.dash = values, given, dash

    def text(self, name: str) -> str:
        return str(self._values[name])

    def on(self, name: str) -> bool:
        return bool(self._values[name])

    def number(self, name: str) -> int:
        return int(self._values[name])

    def seconds(self, name: str) -> float:
        return float(self._values[name])

    def texts(self, name: str) -> list[str]:
        return list(self._values[name])

    def masked(self, flags: Iterable[Flag]) -> Flags:
        """These values with those flags as if they had not been given: what stands there means something else."""
        start = {flag.name: flag.start for flag in flags}
        return Flags({**self._values, **start}, self._given - set(start), self.dash)

    def changed(self, name: str) -> bool:
        return name in self._given

    def has(self, name: str) -> bool:
        """Whether the verb knows the flag at all: for helpers that many verbs share."""
        return name in self._values


class FlagSet:
    """What a verb knows. `command` is `kubectl get`, for messages."""

    def __init__(self, command: str, flags: Iterable[Flag]) -> None:
        self._command = command
        self.flags = {flag.name: flag for flag in flags}
        self._short = {flag.short: flag for flag in self.flags.values() if flag.short}

    def parse(self, argv: Sequence[str]) -> tuple[Flags, list[str]]:
        """Flags and the arguments left. Raises FlagError; HelpWanted for -h and --help."""
        values = {name: flag.start for name, flag in self.flags.items()}
        given: set[str] = set()
        arguments: list[str] = []
        dash, place = -1, 0
        while place < len(argv):
            word = argv[place]
            place += 1
            if word == "--":
                dash = len(arguments)
                arguments += argv[place:]
                break
            if word[:2] == "--":
                place = self._long(word, argv, place, values, given)
            elif word[:1] == "-" and word != "-":
                place = self._shorts(word, argv, place, values, given)
            else:
                arguments.append(word)
        return Flags(values, given, dash), arguments

    def _long(self, word: str, argv: Sequence[str], place: int, values: dict[str, Any], given: set[str]) -> int:
        name, equals, value = word[2:].partition("=")
        if not name or name[0] in "-=":
            raise self._wrong(f"bad flag syntax: {word}")
        flag = self.flags.get(name)
        if flag is None:
            if name == "help":
                raise HelpWanted
            raise self._wrong(f"unknown flag: --{name}")
        if not equals:
            if not flag.takes_value:
                value = flag.bare or "true"
            elif place < len(argv):
                value, place = argv[place], place + 1
            else:
                raise self._wrong(f"flag needs an argument: --{name}")
        self._set(flag, value, values, given)
        return place

    def _shorts(self, word: str, argv: Sequence[str], place: int, values: dict[str, Any], given: set[str]) -> int:
        letters = word[1:]
        while letters:
            letter, letters = letters[0], letters[1:]
            flag = self._short.get(letter)
            if flag is None:
                if letter == "h":
                    raise HelpWanted
                raise self._wrong(f"unknown shorthand flag: {letter!r} in {word}")
            if letters[:1] == "=":
                value, letters = letters[1:], ""
            elif not flag.takes_value:
                value = flag.bare or "true"
            elif letters:
                value, letters = letters, ""
            elif place < len(argv):
                value, place = argv[place], place + 1
            else:
                raise self._wrong(f"flag needs an argument: {letter!r} in {word}")
            self._set(flag, value, values, given)
        return place

    def _set(self, flag: Flag, text: str, values: dict[str, Any], given: set[str]) -> None:
        try:
            value = _parsed(flag, text)
        except ValueError as error:
            raise self._wrong(f'invalid argument "{text}" for "{flag.shown}" flag: {error}') from None
        if isinstance(value, list) and flag.name in given:
            value = [*values[flag.name], *value]
        values[flag.name] = value
        given.add(flag.name)

    def _wrong(self, message: str) -> FlagError:
        return FlagError(f"Error: {message}\nSee '{self._command} --help' for usage.")


class HelpWanted(Exception):
    """-h or --help stood on the line."""


def _parsed(flag: Flag, text: str) -> Any:
    match flag.kind:
        case "bool":
            if text not in _TRUE and text not in _FALSE:
                raise ValueError(f'strconv.ParseBool: parsing "{text}": invalid syntax')
            return text in _TRUE
        case "int":
            try:
                return int(text, 0)
            except ValueError:
                raise ValueError(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None
        case "duration":
            return duration.parse_go(text)
        case "strings":
            return _comma_separated(text)
        case "array":
            return [text]
    return text


def _comma_separated(text: str) -> list[str]:
    """One line of CSV, as pflag's StringSlice reads it."""
    if '"' not in text:
        return text.split(",") if text else []
    import csv  # quotes are rare: other command lines need not load it

    return next(csv.reader([text]), [])
