"""Strategies of apps/v1."""

from __future__ import annotations

from steersman.api.kinds import Strategy
from steersman.api.strategies.common import create_with_status, keep_generation, only_status, update_with_status

DEPLOYMENT = REPLICA_SET = STATEFUL_SET = DAEMON_SET = Strategy(
    prepare_create=create_with_status, prepare_update=update_with_status, prepare_status_update=only_status
)
CONTROLLER_REVISION = Strategy(prepare_update=keep_generation)
