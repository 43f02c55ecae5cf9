"""The cluster's certificate authorities and the certificates they sign: EC P-256, keys 0600, made once, renewed when old.

Names and organisations are upstream's (kubeadm's PKI, RFC 5280). What is not here: certificates that nodes and
users ask for (signing.py).
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from steersman.cluster import certnames
from steersman.cluster.settings import ClusterSettings, Paths, write_private
from steersman.machinery.clock import Clock

_CA_DAYS = 3650
_LEAF_DAYS = 365
_RENEW_DAYS = 60
_BACKDATE = timedelta(minutes=5)
FRONT_PROXY_CA, FRONT_PROXY = "front-proxy-ca", "front-proxy-client"
"""Stems and common names: the API server as the servers of other group-versions see it."""
_CA_NAMES = {"ca": "kubernetes-ca", FRONT_PROXY_CA: FRONT_PROXY_CA, "etcd/ca": "etcd-ca"}


@dataclass(frozen=True, slots=True)
class Leaf:
    """A certificate to have: file stem, subject, and what it is for."""

    stem: str
    common_name: str
    organizations: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    server: bool = False
    ca: str = "ca"
    """Stem of what signs it. etcd has a CA of its own: whoever it signs may read and write everything. So has the front proxy:
    whoever it signs may ask in anybody's name."""


def leaves(settings: ClusterSettings) -> tuple[Leaf, ...]:
    """Every certificate of a single-machine cluster."""
    first_service_ip = str(ipaddress.ip_network(settings.service_cidr)[1])
    domain = settings.cluster_domain
    extra_names, extra_addresses = certnames.parted(settings.apiserver_cert_extra_sans)
    api_names = (
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        f"kubernetes.default.svc.{domain}",
        "localhost",
        settings.node_name,
        *extra_names,
    )
    api_addresses = tuple(dict.fromkeys((first_service_ip, settings.advertise_address, "127.0.0.1", "::1", *extra_addresses)))
    node = settings.node_name
    store: tuple[Leaf, ...] = ()
    if settings.own_etcd:
        store = (
            Leaf("etcd/server", node, names=("localhost",), addresses=("127.0.0.1", "::1"), server=True, ca="etcd/ca"),
            Leaf("apiserver-etcd-client", "kube-apiserver-etcd-client", ca="etcd/ca"),
        )
    kubelet_addresses = tuple(dict.fromkeys((settings.advertise_address, "127.0.0.1")))
    # Simulated kubelets act each as its own node, which takes somebody who may impersonate.
    nodes = (
        (Leaf("simulated-nodes", "steersman:simulated-nodes", ("system:masters",)),)
        if settings.simulated_nodes
        else (Leaf("kubelet", f"system:node:{node}", ("system:nodes",)),)
    )
    return (
        Leaf("apiserver", "kube-apiserver", names=api_names, addresses=api_addresses, server=True),
        Leaf("apiserver-kubelet-client", "kube-apiserver-kubelet-client", ("system:masters",)),
        Leaf(FRONT_PROXY, FRONT_PROXY, ca=FRONT_PROXY_CA),
        Leaf("admin", "kubernetes-admin", ("system:masters",)),
        Leaf("scheduler", "system:kube-scheduler"),
        Leaf("controller-manager", "system:kube-controller-manager"),
        Leaf("cloud-controller-manager", "system:cloud-controller-manager"),
        *nodes,
        Leaf("kubelet-serving", f"system:node:{node}", ("system:nodes",), (node,), kubelet_addresses, server=True),
        Leaf("proxy", "system:kube-proxy", ("system:node-proxier",)),
        Leaf(
            "dns", "system:serviceaccount:kube-system:kube-dns", ("system:serviceaccounts", "system:serviceaccounts:kube-system")
        ),
        *store,
    )


def ensure(paths: Paths, settings: ClusterSettings, clock: Clock) -> list[str]:
    """Make what is missing, does not fit the settings, or expires within 60 days. Returns the stems made."""
    made: list[str] = []
    now = clock.now()
    wanted = leaves(settings)
    authorities = {}
    for name in dict.fromkeys(leaf.ca for leaf in wanted):
        ca_stem = paths.pki / name
        if not (ca_stem.with_suffix(".crt").exists() and ca_stem.with_suffix(".key").exists()):
            key = ec.generate_private_key(ec.SECP256R1())
            _write_pair(ca_stem, _sign_ca(_CA_NAMES[name], key, now), key)
            made.append(name)
        ca = x509.load_pem_x509_certificate(ca_stem.with_suffix(".crt").read_bytes())
        authorities[name] = ca, _load_key(ca_stem.with_suffix(".key"))
    for leaf in wanted:
        ca, signer = authorities[leaf.ca]
        stem = paths.pki / leaf.stem
        if not _still_good(stem, leaf, ca, now):
            key = ec.generate_private_key(ec.SECP256R1())
            _write_pair(stem, _sign_leaf(leaf, key, ca, signer, now), key)
            made.append(leaf.stem)
    if not (paths.pki / "sa.key").exists():
        write_private(paths.pki / "sa.key", _key_pem(ec.generate_private_key(ec.SECP256R1())))
        made.append("sa")
    return made


def pin(ca_pem: bytes) -> str:
    """`sha256:<hex>` of the CA's public key (SubjectPublicKeyInfo, RFC 7469), as kubeadm gives it to joining nodes."""
    public = x509.load_pem_x509_certificate(ca_pem).public_key()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return "sha256:" + hashlib.sha256(public.public_bytes(serialization.Encoding.DER, form)).hexdigest()


def is_pin(text: str) -> bool:
    return re.fullmatch(r"sha256:[0-9a-f]{64}", text) is not None


def _sign_ca(common_name: str, key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    usage = x509.KeyUsage(True, False, True, False, False, True, True, False, False)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATE)
        .not_valid_after(now + timedelta(days=_CA_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _sign_leaf(
    leaf: Leaf, key: ec.EllipticCurvePrivateKey, ca: x509.Certificate, signer: ec.EllipticCurvePrivateKey, now: datetime
) -> x509.Certificate:
    subject = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, name) for name in leaf.organizations]
    subject.append(x509.NameAttribute(NameOID.COMMON_NAME, leaf.common_name))
    purpose = ExtendedKeyUsageOID.SERVER_AUTH if leaf.server else ExtendedKeyUsageOID.CLIENT_AUTH
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(subject))
        .issuer_name(ca.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATE)
        .not_valid_after(now + timedelta(days=_LEAF_DAYS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(True, False, False, False, False, False, False, False, False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    alternatives: list[x509.GeneralName] = [x509.DNSName(name) for name in leaf.names]
    alternatives += [x509.IPAddress(ipaddress.ip_address(address)) for address in leaf.addresses]
    if alternatives:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    return builder.sign(signer, hashes.SHA256())


def _still_good(stem: Path, leaf: Leaf, ca: x509.Certificate, now: datetime) -> bool:
    try:
        found = x509.load_pem_x509_certificate(stem.with_suffix(".crt").read_bytes())
        _load_key(stem.with_suffix(".key"))
        found.verify_directly_issued_by(ca)
    except Exception:  # whatever is wrong with it, a new one is the cure
        return False
    if found.not_valid_after_utc - now < timedelta(days=_RENEW_DAYS):
        return False
    try:
        extension = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return not leaf.names and not leaf.addresses
    names = set(extension.get_values_for_type(x509.DNSName))
    addresses = {str(address) for address in extension.get_values_for_type(x509.IPAddress)}
    return names >= set(leaf.names) and addresses >= set(leaf.addresses)


def _write_pair(stem: Path, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    write_private(stem.with_suffix(".key"), _key_pem(key))
    write_private(stem.with_suffix(".crt"), certificate.public_bytes(serialization.Encoding.PEM))


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError(f"{path} is not an EC key")
    return key
