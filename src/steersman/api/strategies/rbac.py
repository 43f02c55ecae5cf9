"""Strategies of rbac.authorization.k8s.io/v1. The escalation check needs the requester's rights: apiserver/admission has it."""

from __future__ import annotations

from steersman.api.kinds import Strategy
from steersman.api.strategies.common import keep_generation
from steersman.api.validation import rbac
from steersman.machinery import names

ROLE = Strategy(
    prepare_update=keep_generation,
    validate_create=rbac.validate_role,
    validate_update=rbac.validate_role_update,
    validate_name=names.path_segment,
    create_on_update=True,
)
CLUSTER_ROLE = Strategy(
    prepare_update=keep_generation,
    validate_create=rbac.validate_cluster_role,
    validate_update=rbac.validate_cluster_role_update,
    validate_name=names.path_segment,
    create_on_update=True,
)
ROLE_BINDING = Strategy(
    prepare_update=keep_generation,
    validate_create=rbac.validate_role_binding,
    validate_update=rbac.validate_role_binding_update,
    validate_name=names.path_segment,
    create_on_update=True,
)
CLUSTER_ROLE_BINDING = Strategy(
    prepare_update=keep_generation,
    validate_create=rbac.validate_cluster_role_binding,
    validate_update=rbac.validate_cluster_role_binding_update,
    validate_name=names.path_segment,
    create_on_update=True,
)
