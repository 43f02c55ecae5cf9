"""--from-literal, --from-file and --from-env-file: keys and values of config maps and secrets. Source: kubectl generate."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

import orjson

from steersman.cli.kubectl.errors import KubectlError
from steersman.cli.kubectl.flags import Flag, Flags
from steersman.machinery.meta import Obj

_KEY = re.compile(r"[-._a-zA-Z0-9]+", re.ASCII)
_KEY_RULE = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or "
    "'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)
_VARIABLE = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*", re.ASCII)
_SAFE_DIGITS = str.maketrans("013ae", "ghkmt")
_HASH_LENGTH = 10

FLAGS = (
    Flag("append-hash", "bool", "Append a hash of the contents to its name."),
    Flag("from-env-file", "strings", "Specify the path to a file to read lines of key=val pairs to create it."),
    Flag("from-file", "strings", "Key file can be specified using its file path, with an optional key, or a directory."),
    Flag("from-literal", "array", "Specify a key and literal value to insert (i.e. mykey=somevalue)"),
)


def read(flags: Flags, kind: str, name: str) -> dict[str, bytes]:
    """The data that the flags ask for. `kind` and `name` are for messages. Raises KubectlError."""
    if flags.texts("from-env-file") and (flags.texts("from-file") or flags.texts("from-literal")):
        raise KubectlError("from-env-file cannot be combined with from-file or from-literal")
    data: dict[str, bytes] = {}
    for key, value in (*_literals(flags), *_files(flags), *_env_files(flags)):
        _check_key(key, kind)
        if key in data:
            raise KubectlError(f'cannot add key "{key}", another key by that name already exists in Data for {kind} "{name}"')
        data[key] = value
    return data


def _check_key(key: str, kind: str) -> None:
    article = f"a {kind}"
    if key in (".", ".."):
        raise KubectlError(f"\"{key}\" is not valid key name for {article} must not be '{key}'")
    if not _KEY.fullmatch(key):
        raise KubectlError(f'"{key}" is not a valid key name for {article}: {_KEY_RULE}')


def _literals(flags: Flags) -> Iterator[tuple[str, bytes]]:
    for literal in flags.texts("from-literal"):
        key, equals, value = literal.partition("=")
        if not key or not equals:
            raise KubectlError(f"invalid literal source {literal}, expected key=value")
        # A shell leaves quotes that stand inside a word; upstream takes one pair off.
        if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        yield key, value.encode()


def _files(flags: Flags) -> Iterator[tuple[str, bytes]]:
    for source in flags.texts("from-file"):
        key, equals, path = source.partition("=")
        if not equals:
            key, path = os.path.basename(source.rstrip("/")), source
        elif "=" in path:
            raise KubectlError("key names or file paths cannot contain '='")
        elif not key:
            raise KubectlError(f'key name for file path "{path}" missing')
        elif not path:
            raise KubectlError(f'file path for key name "{key}" missing')
        if not os.path.exists(path):
            raise KubectlError(f"error reading {path}: no such file or directory")
        if os.path.isdir(path):
            if equals:
                raise KubectlError("cannot give a key name for a directory path")
            for found in sorted(Path(path).iterdir()):
                if found.is_file():
                    yield found.name, found.read_bytes()
        else:
            yield key, Path(path).read_bytes()


def _env_files(flags: Flags) -> Iterator[tuple[str, bytes]]:
    for path in flags.texts("from-env-file"):
        if not os.path.exists(path):
            raise KubectlError(f"error reading {path}: no such file or directory")
        if os.path.isdir(path):
            raise KubectlError("env config file cannot be a directory")
        yield from env_lines(Path(path).read_text())


def env_lines(text: str) -> Iterator[tuple[str, bytes]]:
    """`KEY=value` lines; comments and empty lines are skipped; a bare KEY takes its value from the environment."""
    for line in text.removeprefix("\ufeff").splitlines():
        line = line.lstrip()
        if not line or line.startswith("#"):
            continue
        key, equals, value = line.partition("=")
        if not _VARIABLE.fullmatch(key):
            raise KubectlError(
                f'"{key}" is not a valid key name: a valid environment variable name must consist of alphabetic characters, '
                "digits, '_', '-', or '.', and must not start with a digit (e.g. 'my.env-name',  or 'MY_ENV.NAME',  or "
                "'MyEnvName1', regex used for validation is '[-._a-zA-Z][-._a-zA-Z0-9]*')"
            )
        yield key, (value if equals else os.environ.get(key, "")).encode()


def hashed_name(obj: Obj, facts: Obj) -> str:
    """The object's name with a hash of its contents; the hash's alphabet makes no words."""
    digest = hashlib.sha256(orjson.dumps(facts, option=orjson.OPT_SORT_KEYS)).hexdigest()[:_HASH_LENGTH]
    return f"{obj['metadata']['name']}-{digest.translate(_SAFE_DIGITS)}"
