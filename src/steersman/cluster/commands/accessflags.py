"""Flags of `steersman apiserver` that say who may do what: authentication, authorization, admission. Upstream's names."""

from __future__ import annotations

import argparse
from pathlib import Path

from steersman.apiserver.access import AdmissionSettings


def configure(parser: argparse.ArgumentParser) -> None:
    admission = parser.add_argument_group("admission")
    plugins = "plugins beside those that are on by default: NAME,..."
    admission.add_argument("--enable-admission-plugins", action="append", default=[], metavar="NAME,...", help=plugins)
    plugins = "plugins that shall not be on: NAME,..."
    admission.add_argument("--disable-admission-plugins", action="append", default=[], metavar="NAME,...", help=plugins)
    help_ = "an AdmissionConfiguration: what plugins are configured with"
    admission.add_argument("--admission-control-config-file", type=Path, metavar="FILE", help=help_)


def admission(args: argparse.Namespace) -> AdmissionSettings:
    return AdmissionSettings(
        enable_plugins=_listed(args.enable_admission_plugins),
        disable_plugins=_listed(args.disable_admission_plugins),
        control_config_file=args.admission_control_config_file,
    )


def _listed(given: list[str]) -> tuple[str, ...]:
    """Flags with commas, which may come several times."""
    return tuple(item.strip() for text in given for item in text.split(",") if item.strip())
