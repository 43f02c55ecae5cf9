"""Strategies of the core group."""

from __future__ import annotations

from steersman.api.kinds import Strategy
from steersman.api.strategies.common import (
    create_with_status,
    keep_generation,
    keep_status,
    only_status,
    reset_status,
    update_with_status,
)  # fmt: skip

POD = Strategy(prepare_create=create_with_status, prepare_update=update_with_status, prepare_status_update=only_status)
SERVICE = Strategy(
    prepare_create=reset_status, prepare_update=keep_status, prepare_status_update=only_status, create_on_update=True
)
NODE = Strategy(prepare_update=keep_status, prepare_status_update=only_status)
NAMESPACE = Strategy(prepare_create=reset_status, prepare_update=keep_status, prepare_status_update=only_status)
SECRET = CONFIG_MAP = SERVICE_ACCOUNT = Strategy(prepare_update=keep_generation)
PERSISTENT_VOLUME = PERSISTENT_VOLUME_CLAIM = RESOURCE_QUOTA = SERVICE
LIMIT_RANGE = ENDPOINTS = Strategy(create_on_update=True)
REPLICATION_CONTROLLER = POD_TEMPLATE = POD
