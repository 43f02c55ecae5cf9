"""Strategies of rbac.authorization.k8s.io/v1. The escalation check needs the requester's rights: apiserver/admission has it."""

from __future__ import annotations

from steersman.api.kinds import Strategy
from steersman.api.strategies.common import keep_generation
from steersman.machinery import names

ROLE = CLUSTER_ROLE = ROLE_BINDING = CLUSTER_ROLE_BINDING = Strategy(
    prepare_update=keep_generation, validate_name=names.path_segment, create_on_update=True
)
