"""What a stored custom resource becomes when it is read: fields that the schema no longer has go, defaults come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from steersman.api.structural import embedded
from steersman.api.structural.defaulting import default
from steersman.api.structural.model import Node
from steersman.api.structural.pruning import prune
from steersman.machinery.errors import RequestEntityTooLarge
from steersman.machinery.gvk import split_api_version
from steersman.machinery.meta import Obj


@dataclass(frozen=True, slots=True)
class Settling:
    """`KindSpec.settle` of a custom resource. Equal if the schemas are."""

    root: Node

    def __call__(self, obj: Obj) -> tuple[list[str], list[str]]:
        unknown = prune(obj, self.root)
        errors, more = embedded.settle(obj, self.root)
        return errors, unknown + more


@dataclass(frozen=True, slots=True)
class Defaulting:
    """`KindSpec.default` of a custom resource."""

    root: Node

    def __call__(self, obj: Obj) -> None:
        """Raises RequestEntityTooLarge."""
        if not default(obj, self.root):
            raise RequestEntityTooLarge("the defaults of the object are too large")


@dataclass(frozen=True, slots=True)
class Reading:
    """`KindSpec.read` of a custom resource. Each object is read by the schema of the version it was written as."""

    storage: str
    roots: Mapping[str, Node]

    def __call__(self, obj: Obj) -> None:
        version = split_api_version(str(obj.get("apiVersion") or ""))[1]
        root = self.roots.get(version) or self.roots[self.storage]
        prune(obj, root)
        default(obj, root)
