"""Who may do what at the API server of `steersman up`: files and plugins by upstream's flags, kept in cluster.json.

`steersman apiserver` has all such flags (commands/accessflags.py); here are those that a cluster of its own has a use for. What
the files say, apiserver/authn, authz and admission know; they are imported by who needs them. Files are absolute.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from steersman.apiserver.config import ServerConfig

_FILES = ("authentication_config", "token_auth_file", "authorization_config", "admission_control_config_file")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AccessOptions:
    """Empty: not given, so as upstream has it by default."""

    authentication_config: str = ""
    token_auth_file: str = ""
    authorization_config: str = ""
    admission_control_config_file: str = ""
    enable_admission_plugins: str = ""
    disable_admission_plugins: str = ""
    """Names with commas between them."""


def chosen(given: Mapping[str, str], before: AccessOptions) -> AccessOptions:
    """The options with what was given now. Files are not looked at: check()."""
    found = {name: os.path.abspath(value) if name in _FILES and value else value for name, value in given.items()}
    return dataclasses.replace(before, **found)


def into(options: AccessOptions, config: ServerConfig) -> ServerConfig:
    """A server's settings with these."""
    from steersman.apiserver.access import AdmissionSettings, AuthorizationSettings

    return dataclasses.replace(
        config,
        authentication=dataclasses.replace(
            config.authentication,
            token_auth_file=_path(options.token_auth_file),
            config_file=_path(options.authentication_config),
        ),
        authorization=AuthorizationSettings(config_file=_path(options.authorization_config)),
        admission=AdmissionSettings(
            enable_plugins=_names(options.enable_admission_plugins),
            disable_plugins=_names(options.disable_admission_plugins),
            control_config_file=_path(options.admission_control_config_file),
        ),
    )


def check(options: AccessOptions, issuer: str) -> None:
    """Raises ConfigError, OSError: at once, and not in the API server's log. issuer: of the server's own tokens."""
    from steersman.apiserver import admission
    from steersman.apiserver.access import AdmissionSettings, AuthorizationSettings
    from steersman.apiserver.authn import tokenfile
    from steersman.apiserver.authz import configuration

    if options.authentication_config:
        from steersman.apiserver.authn.oidc import parse

        parse.load(Path(options.authentication_config), (issuer,))
    if options.token_auth_file:
        tokenfile.load(Path(options.token_auth_file))
    configuration.load(AuthorizationSettings(config_file=_path(options.authorization_config)))
    admission.check(
        AdmissionSettings(
            enable_plugins=_names(options.enable_admission_plugins),
            disable_plugins=_names(options.disable_admission_plugins),
            control_config_file=_path(options.admission_control_config_file),
        )
    )


def _path(text: str) -> Path | None:
    return Path(text) if text else None


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
