"""`$(NAME)` in commands, arguments, environment values and subPathExpr. Pure (upstream third_party/forked/golang/expansion)."""

from __future__ import annotations

import re
from collections.abc import Mapping

_REFERENCE = re.compile(r"\$(\$|\(([^)]*)\))", re.DOTALL)


def expand(text: str, values: Mapping[str, str], missing: list[str] | None = None) -> str:
    """`$$` becomes `$`; an unknown name stays as it is written (and is added to `missing`)."""
    if "$" not in text:
        return text

    def replaced(match: re.Match[str]) -> str:
        if match[1] == "$":
            return "$"
        if match[2] in values:
            return values[match[2]]
        if missing is not None:
            missing.append(match[2])
        return match[0]

    return _REFERENCE.sub(replaced, text)
