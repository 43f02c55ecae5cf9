"""Where a rule says its failures belong: `.a.b['c-d']`, from the level of the rule, through properties and map keys."""

from __future__ import annotations

import re
from collections.abc import Sequence

from steersman.api.structural.model import Node

_STEP = re.compile(r"\.([A-Za-z_$][A-Za-z0-9_$]*)|\['((?:[^'\\]|\\.)*)'\]")
Steps = Sequence[tuple[str, bool]]
"""Names, and whether each is the key of a map."""


def parse(text: str, node: Node) -> Steps | None:
    """The steps of a path; None if there is no such place."""
    steps: list[tuple[str, bool]] = []
    place, at = 0, node
    while place < len(text):
        found = _STEP.match(text, place)
        if found is None:
            return None
        name = found[1] if found[1] is not None else found[2].replace("\\'", "'").replace("\\\\", "\\")
        place = found.end()
        if at.additional is not None:
            steps.append((name, True))
            at = at.additional
        elif name in at.properties:
            steps.append((name, False))
            at = at.properties[name]
        else:
            return None
    return steps or None


def extended(path: str, steps: Steps) -> str:
    """A path with steps added, as errors show it."""
    for name, is_key in steps:
        path = f"{path}[{name}]" if is_key else f"{path}.{name}" if path else name
    return path
