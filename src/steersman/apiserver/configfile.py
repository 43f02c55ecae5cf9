"""Reading the server's configuration files: one object each, of a known kind, and nothing in it that nobody knows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from steersman.apiserver.config import ConfigError
from steersman.machinery.meta import Obj


def read_object(path: Path) -> Obj:
    """One object of a YAML or JSON file. Raises ConfigError, OSError."""
    from steersman.machinery import yamlio  # needed by few servers, and slow to load

    duplicates: list[str] = []
    try:
        document: Any = yamlio.load(path.read_bytes(), duplicates)
    except yamlio.YAMLError as fault:
        raise ConfigError(f"{path}: {fault}") from fault
    if duplicates:
        raise ConfigError(f"{path}: strict decoding error: {duplicates[0]}")
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: no object")
    return document


def read_kind(path: Path, kind: str, versions: Sequence[str]) -> Obj:
    """An object that says it is of the kind, in one of the group-versions. Raises ConfigError, OSError."""
    document = read_object(path)
    if document.get("kind") != kind or document.get("apiVersion") not in versions:
        given = f'kind "{document.get("kind") or ""}" of "{document.get("apiVersion") or ""}"'
        raise ConfigError(f"{path}: {given} is not {kind} of {' or '.join(versions)}")
    return document


def known_fields(part: Any, where: str, fields: Sequence[str]) -> Obj:
    """The part, an object that has none but these fields; {} for None. Raises ConfigError."""
    if part is None:
        return {}
    if not isinstance(part, dict):
        raise ConfigError(f"{where or 'the file'}: must be an object")
    for key in part:
        if key not in fields:
            raise ConfigError(f'strict decoding error: unknown field "{where}{"." if where else ""}{key}"')
    return part


def objects(part: Any, where: str) -> list[Obj]:
    """A list of objects; [] for None. Raises ConfigError."""
    if part is None:
        return []
    if not isinstance(part, list) or not all(isinstance(item, dict) for item in part):
        raise ConfigError(f"{where}: must be a list of objects")
    return part


def texts(part: Any, where: str) -> tuple[str, ...]:
    """A list of texts; () for None. Raises ConfigError."""
    if part is None:
        return ()
    if not isinstance(part, list) or not all(isinstance(item, str) for item in part):
        raise ConfigError(f"{where}: must be a list of strings")
    return tuple(part)


def text(part: Any, where: str) -> str:
    """A text; "" for None. Raises ConfigError."""
    if part is None:
        return ""
    if not isinstance(part, str):
        raise ConfigError(f"{where}: must be a string")
    return part
