"""Kubernetes' authorizer library: `authorizer.group("apps").resource("deployments").check("create").allowed()` (KEP-3488).

What is asked is a Question; who answers is given with the variable (`Authorizer`). Who answers may have to wait: how evaluations
wait is not here (apiserver/admission/policies/evaluation.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar, Final, NamedTuple

from steersman.machinery import names
from steersman.machinery.cel import types
from steersman.machinery.cel.errors import CelRuntimeError
from steersman.machinery.cel.functions import Overload
from steersman.machinery.cel.types import Type

AUTHORIZER: Final = types.opaque("kubernetes.authorization.Authorizer")
PATH_CHECK: Final = types.opaque("kubernetes.authorization.PathCheck")
GROUP_CHECK: Final = types.opaque("kubernetes.authorization.GroupCheck")
RESOURCE_CHECK: Final = types.opaque("kubernetes.authorization.ResourceCheck")
DECISION: Final = types.opaque("kubernetes.authorization.Decision")


class Question(NamedTuple):
    """May somebody do something. account: namespace and name of a service account; None for whoever makes the request."""

    verb: str
    account: tuple[str, str] | None = None
    path: str = ""
    """Of what is no resource; empty for resources."""
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    field_selector: str = ""
    label_selector: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """error: why nobody could say."""

    allowed: bool
    reason: str = ""
    error: str = ""
    cel_type: ClassVar[Type] = DECISION


Ask = Callable[[Question], Decision]


@dataclass(frozen=True, slots=True)
class Authorizer:
    """The variable `authorizer`."""

    ask: Ask
    account: tuple[str, str] | None = None
    cel_type: ClassVar[Type] = AUTHORIZER


@dataclass(frozen=True, slots=True)
class PathCheck:
    of: Authorizer
    path: str
    cel_type: ClassVar[Type] = PATH_CHECK


@dataclass(frozen=True, slots=True)
class GroupCheck:
    of: Authorizer
    group: str
    cel_type: ClassVar[Type] = GROUP_CHECK


@dataclass(frozen=True, slots=True)
class ResourceCheck:
    """Also the variable `authorizer.requestResource`."""

    of: Authorizer
    group: str
    resource: str
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    field_selector: str = ""
    label_selector: str = ""
    cel_type: ClassVar[Type] = RESOURCE_CHECK


def _path(of: Authorizer, path: str) -> PathCheck:
    if not path.strip():
        raise CelRuntimeError("path must not be empty")
    return PathCheck(of, path)


def _resource(of: GroupCheck, resource: str) -> ResourceCheck:
    if not resource.strip():
        raise CelRuntimeError("resource must not be empty")
    return ResourceCheck(of.of, of.group, resource)


def _service_account(of: Authorizer, namespace: str, name: str) -> Authorizer:
    if names.dns1123_subdomain(name):
        raise CelRuntimeError("Invalid service account name")
    if names.dns1123_label(namespace):
        raise CelRuntimeError("Invalid service account namespace")
    return Authorizer(of.ask, (namespace, name))


def _check_path(of: PathCheck, verb: str) -> Decision:
    return of.of.ask(Question(verb, of.of.account, of.path))


def _check_resource(of: ResourceCheck, verb: str) -> Decision:
    return of.of.ask(
        Question(
            verb, of.of.account, "", of.group, of.resource, of.subresource, of.namespace, of.name, of.field_selector,
            of.label_selector,
        )
    )  # fmt: skip


def _member(
    name: str, target: Type, params: tuple[Type, ...], result: Type, run: Callable[..., object], cost: str = ""
) -> Overload:
    return Overload(name, True, (target, *params), result, run, cost)


_TEXT = (types.STRING,)

OVERLOADS: tuple[Overload, ...] = (
    _member("path", AUTHORIZER, _TEXT, PATH_CHECK, _path),
    _member("group", AUTHORIZER, _TEXT, GROUP_CHECK, GroupCheck),
    _member("serviceAccount", AUTHORIZER, _TEXT * 2, AUTHORIZER, _service_account),
    _member("resource", GROUP_CHECK, _TEXT, RESOURCE_CHECK, _resource),
    _member("subresource", RESOURCE_CHECK, _TEXT, RESOURCE_CHECK, lambda of, text: replace(of, subresource=text)),
    _member("namespace", RESOURCE_CHECK, _TEXT, RESOURCE_CHECK, lambda of, text: replace(of, namespace=text)),
    _member("name", RESOURCE_CHECK, _TEXT, RESOURCE_CHECK, lambda of, text: replace(of, name=text)),
    _member(
        "fieldSelector", RESOURCE_CHECK, _TEXT, RESOURCE_CHECK, lambda of, text: replace(of, field_selector=text), "selector"
    ),
    _member(
        "labelSelector", RESOURCE_CHECK, _TEXT, RESOURCE_CHECK, lambda of, text: replace(of, label_selector=text), "selector"
    ),
    _member("check", PATH_CHECK, _TEXT, DECISION, _check_path, "check"),
    _member("check", RESOURCE_CHECK, _TEXT, DECISION, _check_resource, "check"),
    _member("allowed", DECISION, (), types.BOOL, lambda of: of.allowed),
    _member("reason", DECISION, (), types.STRING, lambda of: of.reason),
    _member("errored", DECISION, (), types.BOOL, lambda of: bool(of.error)),
    _member("error", DECISION, (), types.STRING, lambda of: of.error),
)
