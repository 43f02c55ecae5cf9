"""Field errors of validation: what is wrong, where, and in upstream's words (upstream validation/field)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from steersman.machinery.meta import Obj

_NO_VALUE = object()


@dataclass(frozen=True, slots=True)
class FieldError:
    """One error: `<path>: <lead>[: <value>][: <detail>]`. `path` is like `spec.containers[0].name`."""

    path: str
    type: str
    lead: str
    detail: str = ""
    value: Any = _NO_VALUE

    @property
    def body(self) -> str:
        parts = [self.lead]
        if self.value is not _NO_VALUE:
            parts.append(render_value(self.value))
        if self.detail:
            parts.append(self.detail)
        return ": ".join(parts)

    def __str__(self) -> str:
        return f"{self.path or '[]'}: {self.body}"

    def cause(self) -> Obj:
        """The entry in Status details.causes."""
        return {"reason": self.type, "message": self.body, "field": self.path}


def render_value(value: Any) -> str:
    """Strings quoted as Go does, numbers and booleans bare, the rest compact JSON."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def required(path: str, detail: str = "") -> FieldError:
    return FieldError(path, "FieldValueRequired", "Required value", detail)


def invalid(path: str, value: Any, detail: str = "") -> FieldError:
    return FieldError(path, "FieldValueInvalid", "Invalid value", detail, value)


def type_invalid(path: str, value: Any, detail: str = "") -> FieldError:
    return FieldError(path, "FieldValueTypeInvalid", "Invalid value", detail, value)


def forbidden(path: str, detail: str = "") -> FieldError:
    return FieldError(path, "FieldValueForbidden", "Forbidden", detail)


def not_found(path: str, value: Any) -> FieldError:
    return FieldError(path, "FieldValueNotFound", "Not found", "", value)


def duplicate(path: str, value: Any) -> FieldError:
    return FieldError(path, "FieldValueDuplicate", "Duplicate value", "", value)


def not_supported(path: str, value: Any, supported: Sequence[str]) -> FieldError:
    listed = ", ".join(render_value(item) for item in supported)
    return FieldError(path, "FieldValueNotSupported", "Unsupported value", f"supported values: {listed}", value)


def too_long(path: str, limit_bytes: int) -> FieldError:
    return FieldError(path, "FieldValueTooLong", "Too long", f"may not be more than {limit_bytes} bytes")


def too_many(path: str, count: int, limit: int) -> FieldError:
    return FieldError(path, "FieldValueTooMany", "Too many", f"must have at most {limit} items", count)


def internal(path: str, detail: str) -> FieldError:
    return FieldError(path, "InternalError", "Internal error", detail)
