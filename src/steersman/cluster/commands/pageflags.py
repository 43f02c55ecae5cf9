"""Flags of a scheduler's or controller manager's pages (componentserver.py). Upstream's names; without a port there are none."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from steersman.cluster.settings import SettingsError

if TYPE_CHECKING:
    from steersman.cluster.componentserver import Pages


def configure(parser: argparse.ArgumentParser, usual_port: int) -> None:
    add = parser.add_argument_group("metrics and health").add_argument
    help_ = f"serve /metrics, /healthz, /livez and /readyz over HTTPS there (upstream: {usual_port}; default: nowhere)"
    add("--secure-port", type=int, default=0, metavar="PORT", help=help_)
    add("--bind-address", default="0.0.0.0", metavar="ADDRESS")
    add("--tls-cert-file", type=Path, metavar="FILE", help="its certificate (default: one of its own that nobody trusts)")
    add("--tls-private-key-file", type=Path, metavar="FILE", help="the certificate's key")
    add("--client-ca-file", type=Path, metavar="FILE", help="who has a certificate of this CA need not have a token")


def of(args: argparse.Namespace) -> Pages | None:
    """Raises SettingsError."""
    if not args.secure_port:
        return None
    if (args.tls_cert_file is None) != (args.tls_private_key_file is None):
        raise SettingsError("--tls-cert-file and --tls-private-key-file belong together")
    from steersman.cluster.componentserver import Pages

    return Pages(
        bind_address=args.bind_address,
        port=args.secure_port,
        cert=args.tls_cert_file,
        key=args.tls_private_key_file,
        client_ca=args.client_ca_file,
    )
