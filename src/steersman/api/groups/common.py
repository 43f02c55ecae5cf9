"""Short ways to write the KindSpecs of built-in kinds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from steersman.api.kinds import Subresource
from steersman.machinery.meta import Obj, dig

GET_PATCH_UPDATE = ("get", "patch", "update")
CONNECT = ("create", "get")
PROXY = ("create", "delete", "get", "patch", "update")
SCALE = Subresource("scale", GET_PATCH_UPDATE, "Scale", "autoscaling", "v1")


def at(*path: str, missing: str = "") -> Callable[[Obj], str]:
    """A selectable field: the value at a path as selectors compare it (booleans as words)."""

    def read(obj: Obj) -> str:
        value = dig(obj, *path, default=missing)
        return ("true" if value else "false") if isinstance(value, bool) else str(value)

    return read


def selectable(
    *labels: str,
    aliases: Mapping[str, str] | None = None,
    false_fields: Sequence[str] = (),
    zero_fields: Sequence[str] = (),
) -> dict[str, Callable[[Obj], str]]:
    """Field labels that are paths. `aliases`: further labels for a path; false and zero fields have that value when missing."""
    paths = {label: label for label in labels} | dict(aliases or {})
    missing = dict.fromkeys(false_fields, "false") | dict.fromkeys(zero_fields, "0")
    return {label: at(*path.split("."), missing=missing.get(path, "")) for label, path in paths.items()}
