"""How patches fail, and values as Go prints them, since upstream's texts contain such prints."""

from __future__ import annotations

from typing import Any, ClassVar

from steersman.machinery.errors import Invalid, StatusError

FIXED_TEXT = "the server rejected our request due to an error in our request"


class PatchRejected(Invalid):
    """422 with a fixed text. `why` is the cause, which clients never see (webhooks and admission policies do)."""

    def __init__(self, why: str) -> None:
        super().__init__(FIXED_TEXT, details={})
        self.why = why


class PatchFailed(StatusError):
    """A fault that upstream does not classify: 500 with the bare text and no reason."""

    code: ClassVar[int] = 500
    reason: ClassVar[str] = ""


def go_print(value: Any) -> str:
    """Go's %v of decoded JSON: `map[a:1 b:[x y]]`."""
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{go_print(value[key])}' for key in sorted(value))}]"
    if isinstance(value, list | tuple):
        return f"[{' '.join(map(go_print, value))}]"
    return str(value)


def go_type(value: Any) -> str:
    """The Go type of decoded JSON."""
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, dict):
        return "map[string]interface {}"
    if isinstance(value, list):
        return "[]interface {}"
    if isinstance(value, int):
        return "int64"
    return "float64" if isinstance(value, float) else "string"
