"""Settings of who may do what: authentication, authorization, admission. Names are those of upstream's flags.

Plain data, read from flags by cluster/commands/accessflags.py, part of ServerConfig. The files named here are read by authn,
authz and admission.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionSettings:
    """Plugins by name, beyond or short of those that are on by default."""

    enable_plugins: tuple[str, ...] = ()
    disable_plugins: tuple[str, ...] = ()
    control_config_file: Path | None = None
    """An AdmissionConfiguration."""
