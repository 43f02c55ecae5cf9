"""The TLS settings of the kubelet's server."""

from __future__ import annotations

import ssl
from functools import lru_cache
from pathlib import Path

from steersman.kubelet.config import KubeletConfig

_VERSIONS = {"": ssl.TLSVersion.TLSv1_2, "VersionTLS12": ssl.TLSVersion.TLSv1_2, "VersionTLS13": ssl.TLSVersion.TLSv1_3}


def context(config: KubeletConfig) -> ssl.SSLContext:
    """Needs a certificate. Raises OSError, ssl.SSLError, ValueError."""
    if config.tls_cert_file is None or config.tls_private_key_file is None:
        raise ValueError("the kubelet's server needs a certificate and its key")
    if config.tls_min_version not in _VERSIONS:
        raise ValueError(f"unknown TLS version {config.tls_min_version}: VersionTLS12 and VersionTLS13 are known")
    least = _VERSIONS[config.tls_min_version]
    return _context(
        config.tls_cert_file, config.tls_private_key_file, config.client_ca_file, least, config.tls_cipher_suites
    )  # fmt: skip


# Simulated nodes have one certificate, thousands of servers.
@lru_cache(maxsize=4)
def _context(
    certificate: Path, key: Path, client_ca: Path | None, least: ssl.TLSVersion, suites: tuple[str, ...]
) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = least
    if suites:
        made.set_ciphers(":".join(map(openssl_name, suites)))
    made.load_cert_chain(certificate, key)
    if client_ca is not None:
        made.load_verify_locations(client_ca)
        # Optional: a token will do as well.
        made.verify_mode = ssl.CERT_OPTIONAL
    made.set_alpn_protocols(["http/1.1"])
    return made


def openssl_name(suite: str) -> str:
    """`TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256`, as IANA and Go call it, is `ECDHE-RSA-AES128-GCM-SHA256`."""
    name = suite.removeprefix("TLS_").replace("_WITH_", "_").replace("AES_128", "AES128").replace("AES_256", "AES256")
    name = name.replace("_CBC_SHA", "_SHA").removeprefix("RSA_")
    return name.replace("CHACHA20_POLY1305_SHA256", "CHACHA20_POLY1305").replace("_", "-")
