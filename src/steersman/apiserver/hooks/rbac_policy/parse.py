"""Reads the tables of default roles: text to PolicyRules."""

from __future__ import annotations

from collections.abc import Iterator

from steersman.machinery.meta import Obj

_VERBS = {
    "read": ["get", "list", "watch"],
    "edit": ["create", "delete", "deletecollection", "patch", "update"],
    "manage": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
}
_EVENTS = "create,patch,update core,events.k8s.io: events"
_RULE_INDENT, _CONTINUATION_INDENT = 4, 8


def roles(table: str) -> dict[str, list[Obj]]:
    """Role name -> rules, in the table's order."""
    found: dict[str, list[Obj]] = {}
    for indent, text in _lines(table):
        if indent < _RULE_INDENT:
            rules = found[text] = []
        else:
            rules.append(rule(text))
    return found


def rule(text: str) -> Obj:
    """One rule.

    >>> rule("read apps: deployments [web]") == {
    ...     "apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": ["web"], "verbs": ["get", "list", "watch"]}
    True
    """
    head, _, tail = (_EVENTS if text == "events" else text).partition(": ")
    verbs, _, groups = head.partition(" ")
    made: Obj = {"verbs": list(_VERBS.get(verbs) or verbs.split(","))}
    if groups == "paths":
        return {"nonResourceURLs": tail.split(), **made}
    tail, _, names = tail.rstrip("]").partition(" [")
    made["apiGroups"] = ["" if group == "core" else group for group in groups.split(",")]
    made["resources"] = tail.split()
    if names:
        made["resourceNames"] = names.split()
    return made


def _lines(table: str) -> Iterator[tuple[int, str]]:
    """(indent, text) of each line, continuation lines joined."""
    indent, text = 0, ""
    for line in table.splitlines():
        bare = line.strip()
        depth = len(line) - len(line.lstrip())
        if not bare:
            continue
        if depth >= _CONTINUATION_INDENT:
            text = f"{text} {bare}"
            continue
        if text:
            yield indent, text
        indent, text = depth, bare
    if text:
        yield indent, text
