"""What a list or watch asks for: a namespace, a name, labels, fields. Evaluated on the index, never on bodies."""

from __future__ import annotations

from dataclasses import dataclass

from steersman.apiserver.storage import Stored
from steersman.machinery.fields import FieldSelector
from steersman.machinery.labels import Selector


@dataclass(frozen=True, slots=True)
class Selection:
    """Empty texts and None match everything. `name` comes from the field selector `metadata.name=`."""

    namespace: str = ""
    name: str = ""
    labels: Selector | None = None
    fields: FieldSelector | None = None

    @property
    def filters(self) -> bool:
        """Whether it picks among the objects of its namespace."""
        return self.labels is not None or self.fields is not None

    def matches(self, stored: Stored) -> bool:
        if self.namespace and stored.namespace != self.namespace:
            return False
        if self.name and stored.name != self.name:
            return False
        if self.fields is not None and not self.fields.matches(stored.fields):
            return False
        return self.labels is None or self.labels.matches(stored.labels)

    @property
    def trigger(self) -> tuple[str, str]:
        """The (field, value) that every match has, ("", "") if there is none: watchers are found by it."""
        if self.name:
            return "metadata.name", self.name
        if self.fields is not None:
            for label, op, value in self.fields.requirements:
                if op == "=":
                    return label, value
        return ("metadata.namespace", self.namespace) if self.namespace else ("", "")
