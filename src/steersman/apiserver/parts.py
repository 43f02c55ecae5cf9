"""The parts of an API server that decide who may do what, and those that its settings ask for: put together from settings.

run.py takes them in; tests pass others.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from steersman.api.kinds import KindSpec
from steersman.apiserver import admission, authz, hooks, reviews
from steersman.apiserver.admission.resource_quota import ResourceQuota
from steersman.apiserver.authn.build import build as build_authentication
from steersman.apiserver.config import ServerConfig
from steersman.apiserver.contracts import (
    AdmissionPlugin,
    Authenticator,
    Authorizer,
    CallHandler,
    Charging,
    Explain,
    Listers,
    StoreHook,
)
from steersman.apiserver.hooks import service_repair
from steersman.client.interface import Client
from steersman.machinery.clock import Clock
from steersman.machinery.gvk import Resource
from steersman.store.interface import Store

if TYPE_CHECKING:
    from steersman.apiserver.audit.auditor import Auditor
    from steersman.apiserver.encryption.atrest import AtRest


@dataclass(slots=True)
class Parts:
    """Who decides: what policy makes of listers, the in-process client and the clock."""

    authenticator: Authenticator
    authorizer: Authorizer
    admission: Sequence[AdmissionPlugin] = ()
    charging: Charging | None = None
    explain: Explain = lambda user, info: ""
    hooks: Mapping[Resource, StoreHook] = field(default_factory=dict)
    posts: Mapping[tuple[str, str, str], CallHandler] = field(default_factory=dict)
    """(group, plural, subresource) -> what serves a POST there."""
    paths: Mapping[str, CallHandler] = field(default_factory=dict)
    published: bool = False
    """Whether Service default/kubernetes leads to this server."""
    tasks: Sequence[Callable[[], Coroutine[Any, Any, None]]] = ()
    """What goes on beside, while the server runs."""
    bootstrap: Callable[[ServerConfig], Awaitable[None]] | None = None
    """Makes the objects that every cluster has; run once, before the server answers. Gets the port that was really taken."""


MakeParts = Callable[[ServerConfig, Store, Listers, Client, Clock], Parts]


def default_parts(config: ServerConfig, store: Store, listers: Listers, client: Client, clock: Clock) -> Parts:
    """Certificates and tokens, Node and RBAC, the default admission plugins, the bootstrap objects."""
    authorization = authz.build(listers, clock, config.authorization)
    authentication = build_authentication(config, listers, clock, client)
    plugins = admission.chain(listers, clock, authorization, config.admission, client)
    return Parts(
        authentication,
        authorization,
        plugins,
        explain=authorization.explain,
        charging=ResourceQuota(listers, clock) if admission.is_on(ResourceQuota.name, config.admission) else None,
        hooks=hooks.store_hooks(config, store, listers, clock),
        posts=reviews.handlers(authentication, authorization, listers, clock, plugins),
        paths=reviews.paths(authentication.authority),
        published=True,
        bootstrap=lambda bound: hooks.bootstrap(client, bound, clock),
        tasks=(lambda: service_repair.run(store, listers, clock), *admission.tasks(plugins, client, clock)),
    )


def build_auditor(config: ServerConfig, explain: Explain, clock: Clock) -> Auditor | None:
    """Raises ConfigError."""
    if not config.audit.wanted:
        return None
    # Here, not above: few servers audit.
    from steersman.apiserver.audit.auditor import Auditor

    return Auditor(config.audit, explain, clock)


def build_encryption(config: ServerConfig, store: Store, specs: Sequence[KindSpec]) -> AtRest | None:
    """Raises ConfigError."""
    if config.encryption_provider_config is None:
        return None
    # Here, not above: few servers encrypt, and reading the file takes PyYAML.
    from steersman.apiserver.encryption.atrest import AtRest

    return AtRest(config.encryption_provider_config, config.encryption_reload, store, [spec.resource for spec in specs])
