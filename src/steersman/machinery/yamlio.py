"""YAML as Kubernetes reads and writes it: what Go's sigs.k8s.io/yaml makes of a text, through JSON.

Plain scalars follow that library's rules, not PyYAML's: `010` is 8, `0o14` is 12, `1e3` is 1000, `yes` and `on` are true,
dates and `12:30:45` stay text. Keys become strings. Source: yaml.v2's resolver.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterator
from typing import Any

import yaml

from steersman.machinery import bulk

_CONSTANTS: dict[str, Any] = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
}
_MOST_LEVELS = 5_000
_LONGEST_INT = 70
"""Characters of an integer that may fit into 64 bits: in binary, with sign and prefix."""
_TOO_DEEP = "yaml: exceeded max depth"
_NUMERIC_START = frozenset("+-.0123456789")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_INT = re.compile(r"([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+)|(0|[1-9][0-9]*))", re.ASCII)
_DATE = re.compile(
    r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt ] *[0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}(\.[0-9]*)?( *Z|[-+][0-9:]+)?)?", re.ASCII
)
_SEXAGESIMAL = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?", re.ASCII)
_TAG = "tag:yaml.org,2002:"
_PLAIN = "!plain"
_RESOLVED_TAGS = frozenset(f"{_TAG}{kind}" for kind in ("int", "float", "bool", "null"))


class YAMLError(ValueError):
    """Text that is no YAML; the message reads as Go's: `yaml: line 3: did not find expected key`."""


def resolve(text: str) -> Any:
    """The value a plain scalar stands for: None, bool, int, float or the text itself."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if text[0] not in _NUMERIC_START:
        return text
    plain = text.replace("_", "")
    number = _INT.fullmatch(plain)
    if number is not None and len(plain) <= _LONGEST_INT:
        sign, hexadecimal, binary, octal, decimal = number.groups()
        amount = int(hexadecimal, 16) if hexadecimal else int(binary, 2) if binary else int(octal, 8) if octal else int(decimal)
        amount = -amount if sign == "-" else amount
        if -(1 << 63) <= amount < 1 << 64:
            return amount
    if _FLOAT.fullmatch(plain):
        real = float(plain)
        if math.isinf(real):
            # Go's parser calls it out of range, and takes it for text.
            return text
        # The way to Go's objects leads through JSON, where 1e3 is written 1000.
        return int(real) if real.is_integer() and abs(real) < 1e21 else real
    return text


class _Loader(yaml.CSafeLoader):
    """Composes nodes only. A plain scalar without a tag is marked so, and resolved here, not by PyYAML's table."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> str:
        if kind is not yaml.ScalarNode:
            return f"{_TAG}map" if kind is yaml.MappingNode else f"{_TAG}seq"
        return _PLAIN if implicit[0] else f"{_TAG}str"


def _allowed_ratio(count: int) -> float:
    """How much of a document of so many values may come of aliases: yaml.v2's rule against documents that grow when written."""
    few, many = 400_000, 4_000_000
    if count <= few:
        return 0.99
    return 0.10 if count >= many else 0.99 - 0.89 * (count - few) / (many - few)


class _Build:
    """Nodes to values. An anchor used many times is built once and shared."""

    def __init__(self, duplicates: list[str] | None) -> None:
        self._duplicates = duplicates
        self._done: dict[int, Any] = {}
        self._sizes: dict[int, int] = {}
        self._count = 0
        self._aliased = 0

    def value(self, node: yaml.Node) -> Any:
        self._count += 1
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        known = self._done.get(id(node))
        if known is not None:
            self._alias(id(node))
            return known
        before = self._count
        made: Any
        if isinstance(node, yaml.SequenceNode):
            made = self._done[id(node)] = []
            made.extend([self.value(item) for item in node.value])
        else:
            made = self._done[id(node)] = {}
            self._fields(node, made)
        self._sizes[id(node)] = self._count - before
        return made

    def _alias(self, node: int) -> None:
        """Count what an alias stands for. Raises YAMLError if it is inside itself, or if nearly all there is comes of aliases."""
        size = self._sizes.get(node)
        if size is None:
            raise YAMLError("yaml: anchor value contains itself")
        self._count += size
        self._aliased += size
        if self._aliased > 100 and self._count > 1000 and self._aliased / self._count > _allowed_ratio(self._count):
            raise YAMLError("yaml: document contains excessive aliasing")

    @staticmethod
    def _scalar(node: yaml.ScalarNode) -> Any:
        text = str(node.value)
        if node.tag == _PLAIN or node.tag in _RESOLVED_TAGS:
            return resolve(text)
        return text

    def _fields(self, node: yaml.Node, fields: dict[str, Any]) -> None:
        merged: list[yaml.Node] = []
        for key_node, value_node in node.value:
            if key_node.value == "<<" and key_node.tag == _PLAIN:
                merged += value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
                continue
            key = _key(self.value(key_node))
            if key in fields and self._duplicates is not None:
                self._duplicates.append(f'line {key_node.start_mark.line + 1}: key "{key}" already set in map')
            fields[key] = self.value(value_node)
        for source in merged:
            if not isinstance(source, yaml.MappingNode):
                raise YAMLError("yaml: map merge requires map or sequence of maps as the value")
            for key, inherited in self.value(source).items():
                fields.setdefault(key, inherited)


def _key(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    if isinstance(value, int | float):
        return str(value)
    raise YAMLError(f"yaml: unsupported map key of type {type(value).__name__}")


def _failure(error: yaml.YAMLError, text: str | bytes) -> YAMLError:
    problem = getattr(error, "problem", None) or str(error)
    mark = getattr(error, "problem_mark", None)
    if problem == "found undefined alias" and mark is not None:
        shown = (text if isinstance(text, str) else text.decode("utf-8", "replace")).splitlines()
        name = re.match(r"\*([-\w]*)", shown[mark.line][mark.column :])
        return YAMLError(f"yaml: unknown anchor '{name[1] if name else ''}' referenced")
    context = getattr(error, "context_mark", None)
    # yaml.v2 counts a scanner's line from one, a parser's from zero, and does not name the first.
    line = mark.line if mark is not None else 0
    if line and isinstance(error, yaml.scanner.ScannerError):
        line += 1
    elif not line and context is not None:
        line = context.line
    return YAMLError(f"yaml: line {line}: {problem}" if line else f"yaml: {problem}")


def _check_form(text: str | bytes, most: int | None) -> None:
    """Raises YAMLError for a text whose nodes would be nested too deeply: the composer is recursive, in C, and would crash.

    most: so many values may be in it, else RequestEntityTooLarge.
    """
    shown = text if isinstance(text, bytes) else text.encode("utf-8", "replace")
    opening = sum(map(shown.count, (b"[", b"{", b"-", b"?")))
    if opening <= _MOST_LEVELS and (most is None or opening + shown.count(b",") + shown.count(b"\n") <= most):
        return
    level = count = 0
    try:
        for event in yaml.parse(text, Loader=_Loader):
            count += 1
            # A key is a value, too, here.
            if most is not None and count > 2 * most:
                raise bulk.error(most)
            if isinstance(event, yaml.CollectionStartEvent):
                level += 1
                if level > _MOST_LEVELS:
                    raise YAMLError(_TOO_DEEP)
            elif isinstance(event, yaml.CollectionEndEvent):
                level -= 1
    except yaml.YAMLError as error:
        raise _failure(error, text) from None


def iter_documents(text: str | bytes, duplicates: list[str] | None = None, most: int | None = None) -> Iterator[Any]:
    """Each document in turn. `duplicates` collects `line 3: key "a" already set in map`; the last value wins anyway."""
    _check_form(text, most)
    loader = _Loader(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            if node is not None:
                yield _Build(duplicates).value(node)
    except yaml.YAMLError as error:
        raise _failure(error, text) from None
    except RecursionError:
        raise YAMLError(_TOO_DEEP) from None
    finally:
        loader.dispose()


def load(text: str | bytes, duplicates: list[str] | None = None, most: int | None = None) -> Any:
    """The first document, None if there is none. Raises YAMLError (a ValueError), RequestEntityTooLarge."""
    return next(iter_documents(text, duplicates, most), None)


def load_all(text: str | bytes) -> list[Any]:
    """Every document, empty ones as None."""
    return list(iter_documents(text))


class _Dumper(yaml.CSafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = None
    if "\n" in text:
        style = "|"
    elif resolve(text) is not text or _DATE.fullmatch(text) or _SEXAGESIMAL.fullmatch(text):
        style = '"'
    return dumper.represent_scalar(f"{_TAG}str", text, style=style)


def _compare_keys(left: str, right: str) -> int:
    """Runs of digits compare as numbers, letters sort after everything else: yaml.v2's order of keys."""
    for index, (a, b) in enumerate(zip(left, right)):
        if a == b:
            continue
        if a.isalpha() or b.isalpha():
            if a.isalpha() and b.isalpha():
                return -1 if a < b else 1
            return -1 if b.isalpha() else 1
        left_run, right_run = _digits(left, index), _digits(right, index)
        if left_run != right_run:
            return -1 if left_run < right_run else 1
        return -1 if a < b else 1
    return len(left) - len(right)


def _digits(text: str, start: int) -> tuple[int, int]:
    end = start
    while end < len(text) and text[end].isdigit():
        end += 1
    return (int(text[start:end]) if end > start else 0, end)


_key_order = functools.cmp_to_key(_compare_keys)


def _represent_map(dumper: _Dumper, fields: dict[str, Any]) -> yaml.MappingNode:
    ordered = sorted(fields.items(), key=lambda item: _key_order(item[0]))
    return dumper.represent_mapping(f"{_TAG}map", ordered)


_Dumper.add_representer(str, _represent_text)
_Dumper.add_representer(dict, _represent_map)


def dump(obj: Any) -> str:
    """Keys sorted, lists not indented below their key, ambiguous text in double quotes: as `kubectl -o yaml` prints."""
    text: str = yaml.dump(obj, Dumper=_Dumper, default_flow_style=False, sort_keys=False, allow_unicode=True, width=80)
    return text
