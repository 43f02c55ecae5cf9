"""How CEL spells the names of properties. Source: apiserver pkg/cel/escaping.go."""

from __future__ import annotations

import re

_ALWAYS = frozenset(("true", "false", "null", "in"))
_RESERVED = _ALWAYS | frozenset(
    ("as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop", "package")
    + ("namespace", "return", "var", "void", "while")
)
_SPECIAL = {"__": "__underscores__", ".": "__dot__", "-": "__dash__", "/": "__slash__"}
_PART = re.compile(r"__|[.\-/]")
_SPELT = re.compile(r"[A-Za-z0-9_.\-/]+")


def escape(name: str) -> str | None:
    """The name of a property in expressions; None if it has none."""
    if name in _RESERVED:
        return f"__{name}__"
    if name[:1].isdigit() or _SPELT.fullmatch(name) is None:
        return None
    return _PART.sub(lambda found: _SPECIAL[found[0]], name)


def is_plain_too(name: str) -> bool:
    """Whether a reserved word may be selected as it is: `self.namespace`."""
    return name in _RESERVED and name not in _ALWAYS
