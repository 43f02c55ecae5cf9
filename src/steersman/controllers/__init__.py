"""Controllers: each a pure function from a snapshot to actions, composed here, run by loop.runner.

They don't import each other; what several need is in loop/ (pods, claims, backends, slices).
"""

from __future__ import annotations

from datetime import timedelta

from steersman.controllers import (
    attachdetach,
    bootstraptokens,
    certificates,
    clusterroleaggregation,
    cronjob,
    daemonset,
    deployment,
    disruption,
    endpoints,
    endpointslice,
    endpointslicemirroring,
    ephemeralvolume,
    garbagecollector,
    horizontalpodautoscaler,
    job,
    localpath,
    namespace,
    nodedns,
    nodeipam,
    nodelifecycle,
    persistentvolume,
    podgc,
    replicaset,
    resourcequota,
    rootca,
    serviceaccount,
    serviceaccounttokens,
    servicecidrs,
    statefulset,
    storageprotection,
    tainteviction,
    ttl,
    ttlafterfinished,
)
from steersman.controllers.nodelifecycle.health import GRACE
from steersman.loop.spec import ControllerSpec

CONTROLLERS: tuple[ControllerSpec, ...] = (
    *replicaset.SPECS,
    deployment.SPEC,
    endpoints.SPEC,
    endpointslice.SPEC,
    endpointslicemirroring.SPEC,
    serviceaccount.SPEC,
    job.SPEC,
    *disruption.SPECS,
    cronjob.SPEC,
    *certificates.SPECS,
    *bootstraptokens.SPECS,
    ttlafterfinished.SPEC,
    clusterroleaggregation.SPEC,
    *storageprotection.SPECS,
    statefulset.SPEC,
    persistentvolume.SPEC,
    localpath.SPEC,
    ephemeralvolume.SPEC,
    nodedns.SPEC,
    servicecidrs.SPEC,
)
"""Those that need nothing and remember nothing."""


def build(
    ca_pem: str,
    cluster_cidr: str,
    signer: certificates.Signer | None = None,
    node_grace: timedelta = GRACE,
    tokens: serviceaccounttokens.TokenSigner | None = None,
) -> tuple[ControllerSpec, ...]:
    """All controllers, with fresh memories. `ca_pem`: see rootca; `cluster_cidr`: see nodeipam, empty for none; without a
    `signer` certificates are approved but not signed; `node_grace`: see nodelifecycle; without
    `tokens` Secrets get no tokens of service accounts.
    """
    made = (
        attachdetach.spec(),
        daemonset.spec(),
        rootca.spec(ca_pem),
        garbagecollector.spec(),
        horizontalpodautoscaler.spec(),
        namespace.spec(),
        nodelifecycle.spec(node_grace),
        tainteviction.spec(),
        podgc.spec(),
        resourcequota.spec(),
        ttl.spec(),
    )
    signing = (certificates.signing(signer),) if signer is not None else ()
    kept = serviceaccounttokens.specs(tokens, ca_pem) if tokens is not None else (serviceaccounttokens.CLEANER,)
    return CONTROLLERS + made + signing + kept + ((nodeipam.spec(cluster_cidr),) if cluster_cidr else ())
