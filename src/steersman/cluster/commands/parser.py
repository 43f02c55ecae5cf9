"""The command lines of `steersman`'s own commands; kubectl has flags of another kind."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn


class Parser(argparse.ArgumentParser):
    """Says in one line what is wrong with a command line; the usage is asked for with --help.

    Options are written out, as upstream's are: `down --d` must not be taken for `down --delete`.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **settings})

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")
