"""apps/v1: the workloads."""

from __future__ import annotations

from steersman.api import resources as r
from steersman.api.defaults import apps as defaults
from steersman.api.groups.common import SCALE
from steersman.api.kinds import STATUS, KindSpec
from steersman.api.strategies import apps

SCHEMA = "io.k8s.api.apps.v1."

DEPLOYMENTS = KindSpec(
    resource=r.DEPLOYMENTS,
    short_names=("deploy",),
    categories=("all",),
    schema=SCHEMA + "Deployment",
    default=defaults.deployment,
    strategy=apps.DEPLOYMENT,
    subresources=(SCALE, STATUS),
)

REPLICA_SETS = KindSpec(
    resource=r.REPLICA_SETS,
    short_names=("rs",),
    categories=("all",),
    schema=SCHEMA + "ReplicaSet",
    default=defaults.replica_set,
    strategy=apps.REPLICA_SET,
    subresources=(SCALE, STATUS),
)

STATEFUL_SETS = KindSpec(
    resource=r.STATEFUL_SETS,
    short_names=("sts",),
    categories=("all",),
    schema=SCHEMA + "StatefulSet",
    default=defaults.stateful_set,
    strategy=apps.STATEFUL_SET,
    subresources=(SCALE, STATUS),
)

DAEMON_SETS = KindSpec(
    resource=r.DAEMON_SETS,
    short_names=("ds",),
    categories=("all",),
    schema=SCHEMA + "DaemonSet",
    default=defaults.daemon_set,
    strategy=apps.DAEMON_SET,
    subresources=(STATUS,),
)

CONTROLLER_REVISIONS = KindSpec(
    resource=r.CONTROLLER_REVISIONS, schema=SCHEMA + "ControllerRevision", strategy=apps.CONTROLLER_REVISION
)

KINDS: tuple[KindSpec, ...] = (CONTROLLER_REVISIONS, DAEMON_SETS, DEPLOYMENTS, REPLICA_SETS, STATEFUL_SETS)
