"""KindSpec: everything the API server needs to know of a kind. Built-in kinds and CRDs are the same thing (decision 1).

A KindSpec is data and pure functions. api/groups/ has one file per group-version that makes them; the API server installs
them in its one registry. What is not here: storage, requests, permissions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from steersman.machinery.apply.types import Type
from steersman.machinery.fielderrors import FieldError
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the Table form (kubectl get). priority 1 shows with -o wide."""

    name: str
    type: str = "string"
    format: str = ""
    priority: int = 0
    description: str = ""


@dataclass(frozen=True, slots=True)
class TableSpec:
    """How objects print. `cells(obj, now)` gives one value per column; `conditions(obj)` the row's conditions; `order(obj)` what
    rows are sorted by, where it is not the order of the list.
    """

    columns: tuple[Column, ...]
    cells: Callable[[Obj, datetime], list[Any]]
    conditions: Callable[[Obj], list[Obj]] | None = None
    order: Callable[[Obj], Any] | None = None


@dataclass(frozen=True, slots=True)
class Subresource:
    """A subresource as discovery shows it and as the registry routes it.

    name: `status`, `scale`, `binding`, `log` ...
    verbs: what discovery lists. kind/group/version: the body's kind where it differs from the parent's.
    """

    name: str
    verbs: tuple[str, ...]
    kind: str = ""
    group: str = ""
    version: str = ""


STATUS = Subresource("status", ("get", "patch", "update"))


def _nothing(_: Obj) -> None:
    return None


def _no_errors(_: Obj) -> list[FieldError]:
    return []


def _no_update_errors(_new: Obj, _old: Obj) -> list[FieldError]:
    return []


def _no_update(_new: Obj, _old: Obj) -> None:
    return None


def _no_delete(_obj: Obj, _now: datetime) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Strategy:
    """What happens to an object between decoding and storing. Functions change `new` in place and never see requests.

    prepare_create(obj): reset what clients may not set (status), set generation. Runs before validation.
    prepare_update(new, old): keep status, bump generation. prepare_status_update: keep spec, take status.
    prepare_delete(obj, now): what the first deletion adds to the object (finalizers, conditions).
    parts: further subresources that update a part of the object: name -> (prepare, validate), as those of status.
    validate*: field errors, upstream's texts. validate_name: None = a DNS subdomain.
    warnings(new, old|None): texts for Warning headers.
    lengthy: validating may take long, as expressions somebody wrote are evaluated; it is then done beside the event loop.
    graceful_seconds(obj, asked): None = this kind is deleted at once; else the grace period in seconds that applies.
    """

    prepare_create: Callable[[Obj], None] = _nothing
    prepare_update: Callable[[Obj, Obj], None] = _no_update
    prepare_status_update: Callable[[Obj, Obj], None] = _no_update
    prepare_delete: Callable[[Obj, datetime], None] = _no_delete
    validate_create: Callable[[Obj], list[FieldError]] = _no_errors
    validate_update: Callable[[Obj, Obj], list[FieldError]] = _no_update_errors
    validate_status_update: Callable[[Obj, Obj], list[FieldError]] = _no_update_errors
    parts: Mapping[str, tuple[Callable[[Obj, Obj], None], Callable[[Obj, Obj], list[FieldError]]]] = field(default_factory=dict)
    validate_name: Callable[[str], list[str]] | None = None
    warnings: Callable[[Obj, Obj | None], list[str]] | None = None
    lengthy: bool = False
    graceful_seconds: Callable[[Obj, int | None], int | None] | None = None
    create_on_update: bool = False
    unconditional_update: bool = True
    default_orphan: bool = False
    delete_warning: str = ""
    """Text for a Warning header when a deletion does not say what becomes of dependents."""
    garbage_collected: bool = True


@dataclass(frozen=True, slots=True)
class Conversion:
    """For a kind served in several group-versions but stored as one: both directions, on whole objects, in place not allowed."""

    storage: Resource
    to_storage: Callable[[Obj], Obj]
    from_storage: Callable[[Obj], Obj]


@dataclass(frozen=True, slots=True)
class WebhookConversion:
    """For a custom resource whose versions a webhook converts: the version that is stored, and who is asked.

    client: a WebhookClientConfig. reviews: the versions of ConversionReview that it knows, best first.
    """

    storage: Resource
    client: Obj
    reviews: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ScalePaths:
    """Where a custom resource keeps what its Scale shows: `.spec.replicas`. label_selector may be empty."""

    spec_replicas: str
    status_replicas: str
    label_selector: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class KindSpec:
    """One served kind of one group-version."""

    resource: Resource
    list_kind: str = ""
    singular: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ALL_VERBS
    schema: str = ""
    """Name of the definition in the schema facts, `io.k8s.api.core.v1.Pod`; empty for custom resources."""
    settle: Callable[[Obj], tuple[list[str], list[str]]] | None = None
    """In place of the schema facts' checker: cleans a decoded object in place; type errors, and paths of unknown fields."""
    read: Callable[[Obj], None] | None = None
    """What happens to a stored object when it is loaded, in place. Compared by ==: if it changes, objects are loaded anew."""
    openapi: Obj | None = None
    """The OpenAPI v3 schema to publish, for kinds without schema facts."""
    apply_type: Type | None = None
    """What server-side apply has to know of a kind without schema facts."""
    scale: ScalePaths | None = None
    """For kinds whose Scale is not that of the workloads."""
    deprecation: str = ""
    """Text for a Warning header of every answer."""
    terminating: bool = False
    """Its definition is being deleted: nothing new is created, and discovery shows no more than what deletion needs."""
    default: Callable[[Obj], None] = _nothing
    """Sets defaults in place, at decoding (before admission)."""
    strategy: Strategy = field(default_factory=Strategy)
    subresources: tuple[Subresource, ...] = ()
    selectable: Mapping[str, Callable[[Obj], str]] = field(default_factory=dict)
    """Field selectors beyond metadata.name and metadata.namespace: label -> value of an object."""
    strict_field_message: bool = False
    """True: unknown field selectors answer `field label not supported: x` (kinds that declare their own)."""
    unknown_field: str = "field label not supported: {}"
    """That answer; `{}` is the label."""
    table: TableSpec | None = None
    delete_returns_object: bool = False
    conversion: Conversion | None = None
    webhook: WebhookConversion | None = None
    """In place of `conversion`, for kinds of several versions; the stored version has it too."""
    ttl_s: int | None = None
    """Objects vanish after this many seconds (Event: 3600)."""
    virtual: bool = False
    """Never stored: create answers at once (reviews, bindings); the API server has a handler of its own for it."""

    @property
    def kind(self) -> str:
        return self.resource.kind

    @property
    def list_kind_name(self) -> str:
        return self.list_kind or f"{self.resource.kind}List"

    @property
    def singular_name(self) -> str:
        return self.singular or self.resource.kind.lower()

    @property
    def storage(self) -> Resource:
        """As what its objects are stored."""
        other = self.conversion or self.webhook
        return other.storage if other is not None else self.resource

    def subresource(self, name: str) -> Subresource | None:
        return next((item for item in self.subresources if item.name == name), None)
