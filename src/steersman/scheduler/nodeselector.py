"""Node selector terms, over the whole table and on a single node. Source: core/v1 NodeSelector, NodeAffinity.

Terms are ORed, the requirements of a term ANDed; a term without any requirement matches nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from steersman.machinery.meta import Obj, dig, labels_of, name_of
from steersman.scheduler.columns import ABSENT, Bools, Ints, Rows
from steersman.scheduler.nodetable import NodeTable


def from_map(wanted: Mapping[str, str]) -> Obj:
    """The term that spec.nodeSelector stands for."""
    return {"matchExpressions": [{"key": key, "operator": "In", "values": [value]} for key, value in wanted.items()]}


def term_matches_rows(term: Obj, table: NodeTable, rows: Rows) -> Bools:
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    size = table.size_of(rows)
    if not expressions and not fields:
        return np.zeros(size, np.bool_)
    result = np.ones(size, np.bool_)
    for requirement in expressions:
        result &= _label_matches_rows(requirement, table, rows)
    for requirement in fields:
        result &= _name_matches_rows(requirement, table, rows)
    return result


def any_term_matches_rows(terms: Sequence[Obj], table: NodeTable, rows: Rows) -> Bools:
    result = np.zeros(table.size_of(rows), np.bool_)
    for term in terms:
        result |= term_matches_rows(term, table, rows)
    return result


def required_groups(spec: Obj) -> tuple[Sequence[Obj], ...]:
    """What spec.nodeSelector and required node affinity (last, if any) ask: of each group of terms one must match."""
    groups: list[Sequence[Obj]] = []
    if selector := spec.get("nodeSelector"):
        groups.append([from_map(selector)])
    required = dig(spec, "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
    if required is not None:
        groups.append(required.get("nodeSelectorTerms") or ())
    return tuple(groups)


def all_groups_match_rows(groups: Sequence[Sequence[Obj]], table: NodeTable, rows: Rows) -> Bools:
    matched = np.ones(table.size_of(rows), np.bool_)
    for terms in groups:
        matched &= any_term_matches_rows(terms, table, rows)
    return matched


def term_matches_node(term: Obj, node: Obj) -> bool:
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not expressions and not fields:
        return False
    labels = labels_of(node)
    return all(_value_matches(requirement, labels.get(requirement["key"])) for requirement in expressions) and all(
        _value_matches(requirement, name_of(node)) for requirement in fields
    )


def node_names(terms: Sequence[Obj]) -> frozenset[str] | None:
    """The only nodes that terms with field requirements on names can match; None if a term has no such requirement."""
    found: set[str] = set()
    for term in terms:
        fields = [item for item in term.get("matchFields") or () if item["operator"] == "In"]
        if not fields:
            return None
        found |= set.intersection(*(set(item["values"]) for item in fields))
    return frozenset(found)


def _label_matches_rows(requirement: Obj, table: NodeTable, rows: Rows) -> Bools:
    codes = table.label_codes(requirement["key"], rows)
    column = table.labels.column(requirement["key"])
    if codes is None or column is None:
        # No node has the key.
        return np.full(table.size_of(rows), _value_matches(requirement, None))
    operator, values = requirement["operator"], requirement.get("values") or ()
    match operator:
        case "In":
            return _among(codes, values, column.dictionary.find)
        case "NotIn":
            return ~_among(codes, values, column.dictionary.find)
        case "Exists":
            found: Bools = codes != ABSENT
            return found
        case "DoesNotExist":
            lacking: Bools = codes == ABSENT
            return lacking
        case _:
            # Gt, Lt: judged once per distinct value; the last entry is what ABSENT (-1) finds.
            verdicts = [_value_matches(requirement, str(value)) for value in column.dictionary.values]
            return np.array([*verdicts, False], np.bool_)[codes]


def _name_matches_rows(requirement: Obj, table: NodeTable, rows: Rows) -> Bools:
    named = np.zeros(table.count, np.bool_)
    for name in requirement.get("values") or ():
        if (row := table.row(name)) is not None:
            named[row] = True
    result: Bools = named[rows]
    return ~result if requirement["operator"] == "NotIn" else result


def _among(codes: Ints, values: Iterable[str], find: Callable[[object], int]) -> Bools:
    wanted = [code for code in map(find, values) if code != ABSENT]
    if len(wanted) == 1:
        found: Bools = codes == wanted[0]
        return found
    return np.isin(codes, wanted)


def _value_matches(requirement: Obj, value: str | None) -> bool:
    values: Sequence[str] = requirement.get("values") or ()
    match requirement["operator"]:
        case "In":
            return value is not None and value in values
        case "NotIn":
            return value is None or value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt" as operator:
            try:
                found, limit = int(value or ""), int(str(values[0]))
            except (ValueError, IndexError):
                return False
            return found > limit if operator == "Gt" else found < limit
    return False
