"""A command as main runs it: what a verb's module says, or a Command that a module with several of them defines."""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.flags import Flag, Flags

_NONE: Mapping[str, str] = MappingProxyType({})
Run = Callable[[Context, Flags, list[str]], Awaitable[int]]


class Command(NamedTuple):
    """`summary`: the help's first words. `usage`: the line below Usage, without `kubectl `.

    `run` is None if nothing is done without a subcommand. `aliases`: other names of subcommands.
    """

    summary: str
    usage: str
    flags: Sequence[Flag] = ()
    run: Run | None = None
    examples: str = ""
    subcommands: Mapping[str, str] = _NONE
    aliases: Mapping[str, str] = _NONE


def load(where: str) -> Command:
    """`package.module`, or `package.module:NAME` for a Command in it."""
    module_name, _, name = where.partition(":")
    module = importlib.import_module(module_name)
    if name:
        found = getattr(module, name)
        assert isinstance(found, Command)
        return found
    return Command(
        summary=module.SUMMARY,
        usage=module.USAGE,
        flags=getattr(module, "FLAGS", ()),
        run=getattr(module, "run", None),
        examples=getattr(module, "EXAMPLES", ""),
        subcommands=getattr(module, "SUBCOMMANDS", {}),
        aliases=getattr(module, "ALIASES", {}),
    )
