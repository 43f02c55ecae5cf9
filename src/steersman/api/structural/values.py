"""Validation of values against a structural schema, in the words of upstream's OpenAPI validation.

An update is ratcheted (KEP-4008): where a value is what it was, nothing about it is complained of. A large schema over a large
object is their product of work, so it is counted, and given up where it would hold the server up. Not here: list uniqueness
(lists.py), metadata (embedded.py, api/validation/objectmeta.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from steersman.api.structural.effort import Effort, TooMuchWork
from steersman.api.structural.formats import FORMATS
from steersman.api.structural.model import MISSING, Node, join
from steersman.machinery.fielderrors import (
    FieldError,
    forbidden,
    invalid,
    not_supported,
    render_value,
    required,
    too_long,
    too_many,
    type_invalid,
)
from steersman.machinery.meta import Obj

_NOWHERE = "<nil>"
"""Where upstream reports what concerns several schemas at once."""
_LARGEST_INTEGRAL = float(2**53)
_ROUNDING = 1e-9


@dataclass(slots=True)
class _Result:
    """What is wrong, and how many checks went well: of several alternatives, the one with most is told about."""

    effort: Effort
    errors: list[FieldError] = field(default_factory=list)
    matches: int = 0

    def merge(self, other: _Result) -> None:
        self.errors += other.errors
        self.matches += other.matches


def validate(obj: Obj, node: Node, old: Any = MISSING) -> list[FieldError]:
    """What is wrong with an object. old: what it was before an update."""
    try:
        found = _check(obj, node.raw, "", node, old, Effort())
    except TooMuchWork:
        return [forbidden(_NOWHERE, "validating it against the schema takes too long")]
    seen: dict[tuple[str, str], FieldError] = {}
    for error in found.errors:
        seen.setdefault((error.path, error.body), error)
    return list(seen.values())


def same(new: Any, old: Any) -> bool:
    """Equal as JSON; Python's own == takes True for 1."""
    if type(new) is not type(old) and not (isinstance(new, int | float) and isinstance(old, int | float)):
        return False
    if isinstance(new, dict):
        return new.keys() == old.keys() and all(same(value, old[key]) for key, value in new.items())
    if isinstance(new, list):
        return len(new) == len(old) and all(map(same, new, old))
    return bool(new == old) and isinstance(new, bool) == isinstance(old, bool)


def _check(value: Any, raw: Obj, path: str, node: Node | None, old: Any, effort: Effort) -> _Result:
    """One value against one JSONSchemaProps. `node`: its place in the tree, for correlating lists with what they were."""
    result = _Result(effort)
    effort.spend(1)
    if old is not MISSING and same(value, old):
        result.matches = 1
        return result
    _type(value, raw, path, result)
    if value is None:
        _enum(value, raw, path, result)
        return result
    _alternatives(value, raw, path, node, result)
    if isinstance(value, str):
        _string(value, raw, path, result)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        _number(value, raw, path, result)
    elif isinstance(value, list):
        _list(value, raw, path, node, old, result)
    elif isinstance(value, dict):
        _object(value, raw, path, node, old, result)
    _enum(value, raw, path, result)
    return result


def _json_type(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    return {float: "number", str: "string", list: "array"}.get(type(value), "object")


def _type(value: Any, raw: Obj, path: str, result: _Result) -> None:
    wanted = ("integer", "string") if raw.get("x-kubernetes-int-or-string") else (raw["type"],) if raw.get("type") else ()
    given = _json_type(value)
    if not wanted or given in wanted or (value is None and raw.get("nullable")):
        result.matches += 1
        return
    if given == "integer" and "number" in wanted:
        result.matches += 1
        return
    if given == "number" and "integer" in wanted and value.is_integer() and abs(value) < _LARGEST_INTEGRAL:
        result.matches += 1
        return
    shown = path or ""
    result.errors.append(type_invalid(_at(path), given, f'{shown} in body must be of type {",".join(wanted)}: "{given}"'))


def _at(path: str) -> str:
    return path or _NOWHERE


def _enum(value: Any, raw: Obj, path: str, result: _Result) -> None:
    allowed = raw.get("enum")
    if not allowed:
        return
    result.effort.look_through(len(allowed))
    if any(same(value, item) for item in allowed):
        result.matches += 1
        return
    supported = [item if isinstance(item, str) else orjson.dumps(item).decode() for item in allowed]
    result.errors.append(not_supported(_at(path), value, supported))


def _string(value: str, raw: Obj, path: str, result: _Result) -> None:
    longest, shortest, pattern = raw.get("maxLength"), raw.get("minLength"), raw.get("pattern")
    if longest is not None and len(value) > longest:
        result.errors.append(too_long(_at(path), longest))
    elif shortest is not None and len(value) < shortest:
        result.errors.append(_bad(path, value, f"should be at least {shortest} chars long"))
    elif pattern and not result.effort.find(pattern, value):
        result.errors.append(_bad(path, value, f"should match '{pattern}'"))
    else:
        result.matches += 1
    known = FORMATS.get(raw.get("format") or "")
    if known is None:
        return
    if known(value):
        result.matches += 1
    else:
        text = f"{path} in body must be of type {raw['format']}: {render_value(value)}"
        result.errors.append(type_invalid(_at(path), value, text))


def _bad(path: str, value: Any, text: str) -> FieldError:
    return invalid(_at(path), value, f"{path} in body {text}")


def _number(value: float, raw: Obj, path: str, result: _Result) -> None:
    before = len(result.errors)
    factor, most, least = raw.get("multipleOf"), raw.get("maximum"), raw.get("minimum")
    if factor and not _is_multiple(value, factor):
        result.errors.append(_bad(path, value, f"should be a multiple of {_shown(factor)}"))
    if most is not None and (value > most or (raw.get("exclusiveMaximum") and value >= most)):
        than = "less than" if raw.get("exclusiveMaximum") else "less than or equal to"
        result.errors.append(_bad(path, value, f"should be {than} {_shown(most)}"))
    if least is not None and (value < least or (raw.get("exclusiveMinimum") and value <= least)):
        than = "greater than" if raw.get("exclusiveMinimum") else "greater than or equal to"
        result.errors.append(_bad(path, value, f"should be {than} {_shown(least)}"))
    if len(result.errors) == before:
        result.matches += 1


def _is_multiple(value: float, factor: float) -> bool:
    """In floats, but for rounding: 0.3 is a multiple of 0.1. What the quotient is too large to tell of is none."""
    if isinstance(value, int) and isinstance(factor, int):
        return value % factor == 0
    try:
        quotient = value / factor if abs(factor) >= 1 else value * (1 / factor)
    except (OverflowError, ZeroDivisionError):
        return False
    return abs(quotient) < _LARGEST_INTEGRAL and abs(quotient - round(quotient)) <= _ROUNDING * max(abs(quotient), 1.0)


def _shown(number: float) -> str:
    return str(int(number)) if float(number).is_integer() and abs(number) < 1e21 else repr(float(number))


def _list(value: list[Any], raw: Obj, path: str, node: Node | None, old: Any, result: _Result) -> None:
    items = raw.get("items")
    inner = node.items if node is not None else None
    if isinstance(items, dict):
        correlated = _correlated(old, node)
        for index, item in enumerate(value):
            before = correlated.get(_map_key(item, node), MISSING) if correlated else MISSING
            result.merge(_check(item, items, f"{path}[{index}]", inner, before, result.effort))
    least, most = raw.get("minItems"), raw.get("maxItems")
    if least is not None and len(value) < least:
        result.errors.append(_bad(path, len(value), f"should have at least {least} items"))
    if most is not None and len(value) > most:
        result.errors.append(too_many(_at(path), len(value), most))
    if raw.get("uniqueItems") and any(same(item, other) for place, item in enumerate(value) for other in value[:place]):
        result.errors.append(invalid(_at(path), "", f"{path} in body shouldn't contain duplicates"))


def _map_key(item: Any, node: Node | None) -> bytes:
    assert node is not None
    keys = item if isinstance(item, dict) else {}
    return orjson.dumps([keys.get(key) for key in node.list_map_keys])


def _correlated(old: Any, node: Node | None) -> dict[bytes, Any]:
    """Items of the list before, by their keys. Items of lists without keys have no past."""
    if node is None or node.list_type != "map" or not isinstance(old, list):
        return {}
    return {_map_key(item, node): item for item in old if isinstance(item, dict)}


def _object(value: Obj, raw: Obj, path: str, node: Node | None, old: Any, result: _Result) -> None:
    least, most = raw.get("minProperties"), raw.get("maxProperties")
    if least is not None and len(value) < least:
        result.errors.append(_bad(path, len(value), f"should have at least {least} properties"))
        return
    if most is not None and len(value) > most:
        result.errors.append(too_many(_at(path), len(value), most))
        return
    properties, additional = raw.get("properties") or {}, raw.get("additionalProperties")
    before = old if isinstance(old, dict) else {}
    for key, item in value.items():
        schema = properties.get(key, additional)
        if isinstance(schema, dict):
            inner = node.of(key) if node is not None else None
            result.merge(_check(item, schema, join(path, key), inner, before.get(key, MISSING), result.effort))
        elif schema is False:
            result.errors.append(invalid(_at(path), key, f"{join(path, key)} in body is a forbidden property"))
    wanted = raw.get("required") or ()
    result.effort.look_through(len(wanted))
    missing = [key for key in wanted if key not in value]
    result.effort.spend(len(missing))
    result.errors += [required(join(path, key)) for key in missing]
    if not missing:
        result.matches += 1


def _alternatives(value: Any, raw: Obj, path: str, node: Node | None, result: _Result) -> None:
    if raw.get("anyOf"):
        _any_of(value, raw["anyOf"], path, node, result)
    if raw.get("oneOf"):
        _one_of(value, raw["oneOf"], path, node, result)
    if raw.get("allOf"):
        found = [_check(value, schema, path, node, MISSING, result.effort) for schema in raw["allOf"]]
        for one in found:
            result.merge(one)
        good = sum(not one.errors for one in found)
        if good != len(found):
            none = "" if good else ". None validated"
            result.errors.append(_composite(path, f"must validate all the schemas (allOf){none}"))
    if raw.get("not") is not None and not _check(value, raw["not"], path, node, MISSING, result.effort).errors:
        result.errors.append(_composite(path, "must not validate the schema (not)"))
    result.matches += 1


def _composite(path: str, text: str) -> FieldError:
    return invalid(_NOWHERE, "", f'"{path}" {text}')


def _best(found: Sequence[_Result]) -> _Result:
    """Of alternatives that all failed, the one with most matches, the first of equals."""
    return max(found, key=lambda one: one.matches)


def _any_of(value: Any, schemas: Sequence[Obj], path: str, node: Node | None, result: _Result) -> None:
    failed: list[_Result] = []
    for schema in schemas:
        found = _check(value, schema, path, node, MISSING, result.effort)
        if not found.errors:
            result.merge(found)
            return
        failed.append(found)
    result.errors.append(_composite(path, "must validate at least one schema (anyOf)"))
    result.merge(_best(failed))


def _one_of(value: Any, schemas: Sequence[Obj], path: str, node: Node | None, result: _Result) -> None:
    found = [_check(value, schema, path, node, MISSING, result.effort) for schema in schemas]
    good = [one for one in found if not one.errors]
    if len(good) == 1:
        result.merge(good[0])
        return
    text = f"Found {len(good)} valid alternatives" if good else "Found none valid"
    result.errors.append(_composite(path, f"must validate one and only one schema (oneOf). {text}"))
    if not good:
        result.merge(_best(found))
