"""Admission: the plugins that are on, in upstream's order. All mutate first, then all validate.

One file per plugin. `chain` is called once; the pipeline runs the tuple on every write. ResourceQuota is not in it: what is paid
joins the commit (contracts.Charging).
"""

from __future__ import annotations

from steersman.apiserver.admission.certificates import (
    CertificateApproval,
    CertificateRecord,
    CertificateSigning,
    CertificateSubjectRestriction,
)
from steersman.apiserver.admission.default_classes import DefaultIngressClass, DefaultStorageClass
from steersman.apiserver.admission.default_toleration_seconds import DefaultTolerationSeconds
from steersman.apiserver.admission.limit_ranger import LimitRanger
from steersman.apiserver.admission.namespace_lifecycle import NamespaceLifecycle
from steersman.apiserver.admission.node_restriction import NodeRestriction
from steersman.apiserver.admission.podsecurity import PodSecurity
from steersman.apiserver.admission.priority import Priority
from steersman.apiserver.admission.rbac_escalation import RBACEscalation
from steersman.apiserver.admission.runtime_class import RuntimeClass
from steersman.apiserver.admission.service_account import ServiceAccount
from steersman.apiserver.admission.storage_object_in_use_protection import StorageObjectInUseProtection
from steersman.apiserver.admission.taint_nodes_by_condition import TaintNodesByCondition
from steersman.apiserver.authz import Authorization
from steersman.apiserver.contracts import AdmissionPlugin, Listers
from steersman.apiserver.lookup import Lookup
from steersman.machinery.clock import Clock

__all__ = ["chain"]


def chain(listers: Listers, clock: Clock, authorization: Authorization) -> tuple[AdmissionPlugin, ...]:
    """The plugins, made once per server."""
    lookup = Lookup(listers)
    return (
        NamespaceLifecycle(lookup, clock),
        LimitRanger(lookup),
        ServiceAccount(lookup, clock),
        NodeRestriction(lookup),
        TaintNodesByCondition(),
        PodSecurity(lookup, clock),
        Priority(lookup),
        DefaultTolerationSeconds(),
        DefaultStorageClass(lookup),
        StorageObjectInUseProtection(),
        RuntimeClass(lookup),
        CertificateRecord(clock),
        CertificateApproval(authorization),
        CertificateSigning(authorization),
        CertificateSubjectRestriction(),
        DefaultIngressClass(lookup),
        RBACEscalation(authorization),
    )
