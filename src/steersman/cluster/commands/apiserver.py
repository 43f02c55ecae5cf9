"""Run an API server over a SQLite store. Flags are upstream's where upstream has them."""

from __future__ import annotations

import argparse
from pathlib import Path

from steersman.cluster import components
from steersman.cluster.commands import standalone
from steersman.cluster.settings import SettingsError, default_address
from steersman.machinery.clock import Clock
from steersman.store.interface import Unavailable

PROBLEMS = (SettingsError, Unavailable, OSError)


def configure(parser: argparse.ArgumentParser) -> None:
    standalone.add_verbosity(parser)
    parser.add_argument("--store", type=Path, required=True, help="the SQLite file that holds the cluster's objects")
    parser.add_argument("--secure-port", type=int, default=6443)
    parser.add_argument("--bind-address", default="0.0.0.0")
    parser.add_argument("--advertise-address", default="", help="address others reach this server at")
    parser.add_argument("--tls-cert-file", type=Path, required=True)
    parser.add_argument("--tls-private-key-file", type=Path, required=True)
    parser.add_argument("--client-ca-file", type=Path, required=True)
    parser.add_argument("--service-account-signing-key-file", type=Path, required=True)
    parser.add_argument("--service-account-issuer", default="https://kubernetes.default.svc.cluster.local")
    parser.add_argument("--service-cluster-ip-range", default="10.96.0.0/16")
    parser.add_argument("--kubelet-client-certificate", type=Path)
    parser.add_argument("--kubelet-client-key", type=Path)
    parser.add_argument("--kubelet-certificate-authority", type=Path)


def run(args: argparse.Namespace) -> int:
    return standalone.serve(args, lambda clock: _main(args, clock))


async def _main(args: argparse.Namespace, clock: Clock) -> None:
    from steersman.apiserver.config import ServerConfig

    config = ServerConfig(
        bind_address=args.bind_address,
        secure_port=args.secure_port,
        advertise_address=args.advertise_address or default_address(),
        tls_cert=args.tls_cert_file,
        tls_key=args.tls_private_key_file,
        client_ca=args.client_ca_file,
        service_account_key=args.service_account_signing_key_file,
        service_account_issuer=args.service_account_issuer,
        api_audiences=(args.service_account_issuer,),
        kubelet_client_cert=args.kubelet_client_certificate,
        kubelet_client_key=args.kubelet_client_key,
        kubelet_ca=args.kubelet_certificate_authority,
        service_cidr=args.service_cluster_ip_range,
    )
    await components.serve_api(config, args.store, clock)
