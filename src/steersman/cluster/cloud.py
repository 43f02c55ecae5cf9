"""The cloud controller manager put together: provider, controllers, identities, leadership; and the roles it needs in a cluster
of ours, where it is a user of its own who may do little but act as the controllers' service accounts.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from steersman.api.resources import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES
from steersman.client import kubeconfig
from steersman.client.interface import Client
from steersman.client.rest import RestClient
from steersman.cloud.interface import Provider, ProviderError
from steersman.cluster import leading
from steersman.cluster.leading import Election
from steersman.cluster.process import client_for
from steersman.cluster.settings import ClusterSettings, SettingsError
from steersman.machinery.clock import Clock
from steersman.machinery.errors import StatusError
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj
from steersman.machinery.waiting import Backoff

if TYPE_CHECKING:
    from steersman.cloud.local.addresses import Pool

log = logging.getLogger(__name__)

USER = "system:cloud-controller-manager"
NAME = "cloud-controller-manager"
ACCOUNTS = {
    "cloud-node-controller": "node-controller",
    "cloud-node-lifecycle-controller": "node-controller",
    "route-controller": "route-controller",
    "service-controller": "service-controller",
}
"""Whose role each controller writes with, as upstream's."""

_GROUP = "rbac.authorization.k8s.io"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """`cluster_cidr`: where routes are kept, empty for nowhere. `election`: None for none. `own_accounts`: each controller writes
    as its service account.
    """

    cluster_name: str = "kubernetes"
    cluster_cidr: str = ""
    election: Election | None = None
    own_accounts: bool = False


async def manager(config: Path, make: Callable[[Client], Provider], options: Options, clock: Clock) -> None:
    """Run the cloud controllers until cancelled. Raises LeadershipLost."""
    async with contextlib.AsyncExitStack() as stack:
        client = await stack.enter_async_context(client_for(config, NAME, clock))
        acting = await _accounts(config, client, clock, stack) if options.own_accounts else None
        provider = make(client)
        stack.push_async_callback(provider.close)

        async def lead() -> None:
            await _started(provider, clock)
            await _run(client, provider, acting, options, clock)

        await leading.led(client, options.election, NAME, clock, lead)


async def _run(
    client: RestClient, provider: Provider, acting: Callable[[str], Client] | None, options: Options, clock: Clock
) -> None:
    from steersman.client.events import EventRecorder
    from steersman.cloud import controllers
    from steersman.loop import runner

    specs = controllers.build(provider, options.cluster_name, options.cluster_cidr, clock)
    log.info("cloud controllers start provider=%s controllers=%s", provider.name, ",".join(spec.name for spec in specs))
    recorder = EventRecorder(client, NAME, "", clock)
    await runner.run(client, specs, clock, recorder=recorder, acting=acting)


async def _started(provider: Provider, clock: Clock) -> None:
    """Tried until it works: the API server, the roles or the cloud may come later than this process."""
    backoff = Backoff(0.2, 10.0)
    while True:
        try:
            await provider.start()
            return
        except (ProviderError, StatusError, ConnectionError) as error:
            log.warning("provider not started, will retry provider=%s error=%s", provider.name, error)
            await clock.sleep(backoff.next())


async def _accounts(config: Path, client: RestClient, clock: Clock, stack: contextlib.AsyncExitStack) -> Callable[[str], Client]:
    from steersman.client.accounts import AccountTransport
    from steersman.client.patience import PatientTransport

    connection = kubeconfig.connection(config)
    nameless = dataclasses.replace(connection, cert=None, key=None, token="", token_file=None).transport()
    stack.push_async_callback(nameless.close)

    def acting(controller: str) -> Client:
        account = AccountTransport(nameless, client, "kube-system", ACCOUNTS[controller], clock)
        return RestClient(PatientTransport(account, clock), user_agent=f"steersman-{controller}", field_manager=NAME)

    return acting


def local(client: Client, pool: str, node_ports: tuple[int, int], reserved: frozenset[int]) -> Provider:
    """The built-in provider. Raises SettingsError for a pool that is none."""
    from steersman.cloud.local import LocalProvider
    from steersman.cloud.local.addresses import RESERVED, Ledger
    from steersman.cloud.local.ports import in_use

    return LocalProvider(client, Ledger(ranges_of(pool), node_ports, RESERVED | reserved, in_use))


def ranges_of(pool: str) -> Pool | None:
    """What --load-balancer-pool says; None without. Raises SettingsError."""
    from steersman.cloud.local.addresses import parse_pool

    try:
        return parse_pool(pool) if pool else None
    except ValueError as error:
        raise SettingsError(f"--load-balancer-pool {pool}: {error}") from None


async def of_cluster(config: Path, settings: ClusterSettings, clock: Clock, election: Election) -> None:
    """The one that `up` runs."""
    reserved = frozenset((settings.secure_port, settings.kubelet_port, settings.dns_port))

    def make(client: Client) -> Provider:
        return local(client, settings.load_balancer_pool, settings.node_ports, reserved)

    await manager(config, make, Options(election=election, own_accounts=True), clock)


def objects() -> tuple[tuple[Resource, Obj], ...]:
    """What the user USER may: read, tell events, hold its lease, and be the controllers' service accounts."""
    accounts = sorted(set(ACCOUNTS.values()))
    everywhere = (
        _rule("", ("nodes", "services"), ("get", "list", "watch")),
        _rule("", ("events",), ("create", "patch", "update")),
    )
    own = (
        _rule("coordination.k8s.io", ("leases",), ("create",)),
        {**_rule("coordination.k8s.io", ("leases",), ("get", "update")), "resourceNames": [NAME]},
        _rule("", ("serviceaccounts",), ("create",)),
        {**_rule("", ("serviceaccounts/token",), ("create",)), "resourceNames": accounts},
    )
    made: list[tuple[Resource, Obj]] = []
    for role, binding, rules in ((CLUSTER_ROLES, CLUSTER_ROLE_BINDINGS, everywhere), (ROLES, ROLE_BINDINGS, own)):
        metadata: Obj = {"name": USER, **({"namespace": "kube-system"} if role.namespaced else {})}
        base: Obj = {"apiVersion": f"{_GROUP}/v1", "metadata": metadata}
        reference = {"apiGroup": _GROUP, "kind": role.kind, "name": USER}
        subjects = [{"apiGroup": _GROUP, "kind": "User", "name": USER}]
        made.append((role, {**base, "kind": role.kind, "rules": list(rules)}))
        made.append((binding, {**base, "kind": binding.kind, "roleRef": reference, "subjects": subjects}))
    return tuple(made)


def _rule(group: str, resources: tuple[str, ...], verbs: tuple[str, ...]) -> Obj:
    return {"apiGroups": [group], "resources": list(resources), "verbs": list(verbs)}
