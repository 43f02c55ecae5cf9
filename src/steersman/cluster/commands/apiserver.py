"""Run an API server over a SQLite file or an etcd. Flags are upstream's where upstream has them."""

from __future__ import annotations

import argparse
from pathlib import Path

from steersman.apiserver.config import ConfigError
from steersman.cluster import apioptions, apiserving
from steersman.cluster.apioptions import ApiOptions
from steersman.cluster.commands import accessflags, apiflags, servingflags, standalone
from steersman.cluster.settings import SettingsError, default_address
from steersman.machinery.clock import Clock
from steersman.store.interface import Store, Unavailable

PROBLEMS = (SettingsError, ConfigError, Unavailable, OSError)


def configure(parser: argparse.ArgumentParser) -> None:
    standalone.add_verbosity(parser)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--store", type=Path, help="the SQLite file that holds the cluster's objects")
    where.add_argument("--etcd-servers", metavar="URL,...", help="the etcd that holds them: scheme://host:port of its members")
    parser.add_argument("--etcd-cafile", type=Path, help="CA that signed the certificates of etcd")
    parser.add_argument("--etcd-certfile", type=Path, help="client certificate for etcd")
    parser.add_argument("--etcd-keyfile", type=Path, help="its key")
    parser.add_argument("--secure-port", type=int, default=6443)
    parser.add_argument("--bind-address", default="0.0.0.0")
    parser.add_argument("--advertise-address", default="", help="address others reach this server at")
    parser.add_argument("--tls-cert-file", type=Path, required=True)
    parser.add_argument("--tls-private-key-file", type=Path, required=True)
    parser.add_argument("--client-ca-file", type=Path, required=True)
    parser.add_argument("--service-account-signing-key-file", type=Path, required=True)
    help_ = "a key, public or private, whose tokens are good as well; may be given several times"
    parser.add_argument("--service-account-key-file", type=Path, action="append", default=[], metavar="FILE", help=help_)
    parser.add_argument("--service-cluster-ip-range", default="10.96.0.0/16")
    parser.add_argument("--service-node-port-range", default="30000-32767", metavar="FROM-TO")
    parser.add_argument("--kubelet-client-certificate", type=Path)
    parser.add_argument("--kubelet-client-key", type=Path)
    parser.add_argument("--kubelet-certificate-authority", type=Path)
    help_ = "shown to the servers of APIServices, which by it believe who asks"
    parser.add_argument("--proxy-client-cert-file", type=Path, metavar="FILE", help=help_)
    parser.add_argument("--proxy-client-key-file", type=Path, metavar="FILE")
    accessflags.configure(parser)
    servingflags.configure(parser)
    apiflags.configure(parser)


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
        service_account_trusted_keys=tuple(args.service_account_key_file),
        **accessflags.service_accounts(args),
        kubelet_client_cert=args.kubelet_client_certificate,
        kubelet_client_key=args.kubelet_client_key,
        kubelet_ca=args.kubelet_certificate_authority,
        proxy_client_cert=args.proxy_client_cert_file,
        proxy_client_key=args.proxy_client_key_file,
        service_cidr=args.service_cluster_ip_range,
        node_port_range=_port_range(args.service_node_port_range),
        authentication=accessflags.authentication(args),
        authorization=accessflags.authorization(args),
        admission=accessflags.admission(args),
        serving=servingflags.serving(args),
    )
    config = apioptions.into(apioptions.chosen(apiflags.given(args), ApiOptions()), config)
    encrypted = config.encryption_provider_config is not None
    await apiserving.serve_api(config, lambda: _open_store(args, encrypted, clock), clock)


def _port_range(text: str) -> tuple[int, int]:
    low, _, high = text.partition("-")
    if not (low.isdecimal() and high.isdecimal() and 0 < int(low) <= int(high) < 65536):
        raise SettingsError(f"--service-node-port-range: {text!r} is no range of ports, as in 30000-32767")
    return int(low), int(high)


async def _open_store(args: argparse.Namespace, encrypted: bool, clock: Clock) -> Store:
    if args.store:
        from steersman.store.sqlite import SQLiteStore

        return await SQLiteStore.open(args.store, clock, overwrite=encrypted)
    if bool(args.etcd_certfile) != bool(args.etcd_keyfile):
        raise SettingsError("--etcd-certfile and --etcd-keyfile go together")
    try:
        from steersman.store.etcd import EtcdStore
        from steersman.store.etcd_calls import TLS
    except ModuleNotFoundError as fault:
        raise SettingsError(f"--etcd-servers needs the package {fault.name}: install steersman[etcd]") from fault
    tls = TLS(args.etcd_cafile, args.etcd_certfile, args.etcd_keyfile)
    try:
        return await EtcdStore.open([server.strip() for server in args.etcd_servers.split(",")], tls, clock)
    except ValueError as fault:
        raise SettingsError(f"--etcd-servers: {fault}") from fault
