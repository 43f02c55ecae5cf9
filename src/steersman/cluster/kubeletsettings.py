"""Settings of `steersman kubelet`: its defaults, a KubeletConfiguration over them, flags over both."""

from __future__ import annotations

import argparse
import dataclasses
import logging
from pathlib import Path
from typing import Any

from steersman.cluster import node, preflight
from steersman.cluster.bootstrapped import Keeping
from steersman.cluster.settings import ClusterSettings, Paths, SettingsError, default_address, node_name_of
from steersman.cluster.up import cgroup_root, cni_conf_dir_of
from steersman.kubelet.config import KubeletConfig
from steersman.kubelet.configuration import effective, loading, validation
from steersman.kubelet.configuration.fields import with_defaults
from steersman.kubelet.configuration.loading import BadConfiguration
from steersman.kubelet.credentials.configuration import BadProviders, Provider
from steersman.kubelet.credentials.configuration import load as load_providers
from steersman.machinery.meta import Obj

log = logging.getLogger(__name__)

_SWAPS = Path("/proc/swaps")


def read(path: Path | None, directory: Path | None) -> Obj | None:
    """The KubeletConfiguration of these files, None if none are named. Raises SettingsError for one that can't be used."""
    if path is None and directory is None:
        return None
    try:
        given = loading.load(path, directory)
    except BadConfiguration as error:
        raise SettingsError(str(error)) from None
    body = with_defaults(given)
    problems = validation.problems(body)
    if problems:
        text = problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"
        raise SettingsError(f"failed to validate kubelet configuration, error: {text}, path: {path or directory}")
    if body["failSwapOn"] and len(_SWAPS.read_text().splitlines()) > 1:
        raise SettingsError(
            "running with swap on is not supported, please disable swap or set --fail-swap-on flag to false. "
            f"{_SWAPS} contains {_SWAPS.read_text().splitlines()[1:]}"
        )
    return given


def cluster_settings(args: argparse.Namespace, given: Obj | None, paths: Paths) -> ClusterSettings:
    """What the node's runtime and network are made from."""
    given = given or {}
    endpoint = args.container_runtime_endpoint or given.get("containerRuntimeEndpoint") or ""
    runtime = "containerd" if endpoint else "native"
    return ClusterSettings(
        node_name=node_name_of(args.hostname_override, "--hostname-override"),
        advertise_address=args.node_ip or default_address(),
        cluster_cidr=args.cluster_cidr,
        runtime=runtime,
        runtime_endpoint=endpoint,
        cni_conf_dir=cni_conf_dir_of(runtime, args.cni_conf_dir),
        cgroup_root=cgroup_root(paths),
        oci_runtime="" if endpoint else preflight.oci_runtime(),
    )


def kubelet_config(args: argparse.Namespace, given: Obj | None, paths: Paths, settings: ClusterSettings) -> KubeletConfig:
    """Raises SettingsError."""
    config = dataclasses.replace(
        node.kubelet_config(paths, settings), tls_cert_file=None, tls_private_key_file=None, client_ca_file=None
    )
    if given is not None:
        config = effective.apply(dataclasses.replace(config, static_pod_path=None), given)
        ignored = effective.without_effect(given)
        if ignored:
            log.warning("fields of the kubelet's configuration that have no effect here fields=%s", ",".join(ignored))
    return dataclasses.replace(config, **_flags(args))


def _flags(args: argparse.Namespace) -> dict[str, Any]:
    """What was said on the command line."""
    made: dict[str, Any] = {
        "port": args.port,
        "tls_cert_file": args.tls_cert_file,
        "tls_private_key_file": args.tls_private_key_file,
        "client_ca_file": args.client_ca_file,
        "static_pod_path": args.pod_manifest_path,
        "cluster_domain": args.cluster_domain,
    }
    if args.cluster_dns:
        made["cluster_dns"] = tuple(args.cluster_dns.split(","))
    if args.image_credential_provider_config or args.image_credential_provider_bin_dir:
        made["image_credential_providers"] = _providers(
            args.image_credential_provider_config, args.image_credential_provider_bin_dir
        )
    if args.node_labels:
        made["node_labels"] = dict(_pair(item, "--node-labels") for item in args.node_labels.split(","))
    if args.register_with_taints:
        made["register_with_taints"] = tuple(_taint(item) for item in args.register_with_taints.split(","))
    return {key: value for key, value in made.items() if value is not None}


def _providers(path: Path | None, programs: Path | None) -> tuple[Provider, ...]:
    if path is None or programs is None:
        raise SettingsError("--image-credential-provider-config and --image-credential-provider-bin-dir go together")
    try:
        return load_providers(path, programs)
    except BadProviders as error:
        raise SettingsError(str(error)) from None


def _pair(item: str, flag: str) -> tuple[str, str]:
    key, equals, value = item.partition("=")
    if not key or not equals:
        raise SettingsError(f'{flag}: "{item}" is not KEY=VALUE')
    return key, value


def _taint(item: str) -> Obj:
    """`key=value:effect` or `key:effect`."""
    rest, colon, effect = item.rpartition(":")
    key, _, value = rest.partition("=")
    if not colon or not key or effect not in ("NoSchedule", "PreferNoSchedule", "NoExecute"):
        raise SettingsError(f"invalid taint spec: {item}, should be KEY=VALUE:EFFECT")
    return {"key": key, "value": value, "effect": effect} if value else {"key": key, "effect": effect}


def keeping(given: Obj | None) -> Keeping:
    """Without a configuration, all certificates come from the cluster."""
    if given is None:
        return Keeping()
    return Keeping(client=bool(given.get("rotateCertificates")), serving=bool(given.get("serverTLSBootstrap")))
