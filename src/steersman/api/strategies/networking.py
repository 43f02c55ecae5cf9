"""Strategies of networking.k8s.io/v1."""

from __future__ import annotations

from steersman.api.kinds import Strategy
from steersman.api.strategies.common import (
    create_with_status,
    first_generation,
    keep_generation,
    only_bare_status,
    only_status,
    reset_status,
    update_status_kind,
    update_with_status,
)  # fmt: skip
from steersman.api.strategies.later import Later

INGRESS = Strategy(
    prepare_create=create_with_status,
    prepare_update=update_with_status,
    prepare_status_update=only_status,
    validate_create=Later("ingress", "validate_ingress"),
    validate_update=Later("ingress", "validate_ingress_update"),
    validate_status_update=Later("ingress", "validate_ingress_status"),
    warnings=Later("ingress", "ingress_warnings"),
)
INGRESS_CLASS = Strategy(
    prepare_create=first_generation,
    prepare_update=update_with_status,
    validate_create=Later("ingress", "validate_ingress_class"),
    validate_update=Later("ingress", "validate_ingress_class_update"),
)
NETWORK_POLICY = Strategy(
    prepare_create=first_generation,
    prepare_update=update_with_status,
    validate_create=Later("networking", "validate_policy"),
    validate_update=Later("networking", "validate_policy_update"),
)
IP_ADDRESS = Strategy(
    prepare_update=keep_generation,
    validate_create=Later("networking", "validate_ip_address"),
    validate_update=Later("networking", "validate_ip_address_update"),
    validate_name=Later("networking", "ip_address_name"),
)
SERVICE_CIDR = Strategy(
    prepare_create=reset_status,
    prepare_update=update_status_kind,
    prepare_status_update=only_bare_status,
    validate_create=Later("networking", "validate_service_cidr"),
    validate_update=Later("networking", "validate_service_cidr_update"),
)
