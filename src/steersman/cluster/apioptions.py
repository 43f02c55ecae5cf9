"""What may be chosen of API servers beside what a cluster needs anyway: encryption at rest, audit.

`steersman apiserver` has it from its flags, `steersman up` keeps it in cluster.json. Names are those of upstream's flags, files
are absolute. What the files may say, apiserver/encryption and apiserver/audit know; they are imported by who needs them.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from steersman.apiserver.audit.settings import AuditSettings
    from steersman.apiserver.config import ServerConfig

_FILES = ("encryption_provider_config", "audit_policy_file", "audit_log_path", "audit_webhook_config_file")
_STDOUT = "-"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ApiOptions:
    """Empty: off."""

    encryption_provider_config: str = ""
    encryption_provider_config_automatic_reload: bool = False
    audit_policy_file: str = ""
    audit_log_path: str = ""
    audit_log_maxage: int = 366
    audit_log_maxbackup: int = 100
    audit_log_maxsize: int = 100
    audit_log_format: str = "json"
    audit_log_mode: str = "blocking"
    audit_webhook_config_file: str = ""
    audit_webhook_batch_max_size: int = 400
    audit_webhook_batch_max_wait: float = 30.0
    audit_webhook_initial_backoff: float = 10.0
    """The two waits are in seconds."""


def chosen(given: Mapping[str, Any], before: ApiOptions) -> ApiOptions:
    """The options with what was given now. Raises ConfigError for files and numbers that cannot be used."""
    found: dict[str, Any] = {name: _absolute(value) if name in _FILES else value for name, value in given.items()}
    if found.get("encryption_provider_config") == "":
        found.setdefault("encryption_provider_config_automatic_reload", False)
    options = dataclasses.replace(before, **found)
    if options != before:
        check(options)
    return options


def check(options: ApiOptions) -> None:
    """Raises ConfigError. So a person reads it at once, and not in the API server's log."""
    from steersman.apiserver.audit import policy
    from steersman.apiserver.config import ConfigError
    from steersman.apiserver.encryption import config as encryption

    if options.encryption_provider_config:
        encryption.load(Path(options.encryption_provider_config))
    elif options.encryption_provider_config_automatic_reload:
        raise ConfigError("--encryption-provider-config-automatic-reload must be set with --encryption-provider-config")
    if wrong := audit(options).problems():
        raise ConfigError(wrong[0])
    if options.audit_policy_file:
        policy.load(Path(options.audit_policy_file))


def into(options: ApiOptions, config: ServerConfig) -> ServerConfig:
    """A server's settings with these."""
    return dataclasses.replace(
        config,
        encryption_provider_config=_path(options.encryption_provider_config),
        encryption_reload=options.encryption_provider_config_automatic_reload,
        audit=audit(options),
    )


def audit(options: ApiOptions) -> AuditSettings:
    from steersman.apiserver.audit.settings import AuditSettings

    return AuditSettings(
        policy_file=_path(options.audit_policy_file),
        log_path=options.audit_log_path,
        log_maxage=options.audit_log_maxage,
        log_maxbackup=options.audit_log_maxbackup,
        log_maxsize=options.audit_log_maxsize,
        log_format=options.audit_log_format,
        log_mode=options.audit_log_mode,
        webhook_config_file=_path(options.audit_webhook_config_file),
        webhook_batch_max_size=options.audit_webhook_batch_max_size,
        webhook_batch_max_wait_s=options.audit_webhook_batch_max_wait,
        webhook_initial_backoff_s=options.audit_webhook_initial_backoff,
    )


def _path(text: str) -> Path | None:
    return Path(text) if text else None


def _absolute(path: str) -> str:
    """The parts of a cluster work in a directory of their own."""
    return os.path.abspath(path) if path and path != _STDOUT else path
