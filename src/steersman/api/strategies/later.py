"""Validations that are imported when they are first called: most kinds are rare, and imports are paid for at every start."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Later(Generic[T]):
    """Function `name` of module `module` in api/validation. It gives field errors, or texts (of names and warnings)."""

    module: str
    name: str

    def resolve(self) -> Callable[..., list[T]]:
        found: Callable[..., list[T]] = getattr(import_module(f"steersman.api.validation.{self.module}"), self.name)
        return found

    def __call__(self, *values: Any) -> list[T]:
        return self.resolve()(*values)
