"""The cluster's certificates: what is in them, and when they are made again."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from pathlib import Path

from cryptography import x509

from steersman.apiserver.config import ServerConfig
from steersman.cluster import accessoptions, frontproxy, pki
from steersman.cluster.accessoptions import AccessOptions
from steersman.cluster.settings import ClusterSettings, Paths
from steersman.machinery.clock import VirtualClock

SETTINGS = ClusterSettings(node_name="a", advertise_address="192.0.2.1")


def names(paths: Paths) -> tuple[list[str], list[str]]:
    found = x509.load_pem_x509_certificate((paths.pki / "apiserver.crt").read_bytes())
    extension = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return extension.get_values_for_type(x509.DNSName), [str(ip) for ip in extension.get_values_for_type(x509.IPAddress)]


def test_the_api_servers_certificate_is_made_again_when_names_are_added(tmp_path: Path) -> None:
    paths, clock = Paths(tmp_path), VirtualClock()
    assert "apiserver" in pki.ensure(paths, SETTINGS, clock)
    assert pki.ensure(paths, SETTINGS, clock) == []
    assert names(paths)[1] == ["10.96.0.1", "192.0.2.1", "127.0.0.1", "::1"]
    more = dataclasses.replace(SETTINGS, apiserver_cert_extra_sans=("*.example.com", "2001:DB8::1", "127.0.0.1"))
    authority = (paths.pki / "ca.crt").read_bytes()
    assert pki.ensure(paths, more, clock) == ["apiserver"]
    assert pki.ensure(paths, more, clock) == []
    dns, addresses = names(paths)
    assert dns[-1] == "*.example.com" and addresses == ["10.96.0.1", "192.0.2.1", "127.0.0.1", "::1", "2001:db8::1"]
    assert (paths.pki / "ca.crt").read_bytes() == authority


def test_certificates_are_made_again_before_they_expire(tmp_path: Path) -> None:
    paths, start = Paths(tmp_path), VirtualClock().now()
    pki.ensure(paths, SETTINGS, VirtualClock(start))
    assert pki.ensure(paths, SETTINGS, VirtualClock(start + timedelta(days=300))) == []
    made = pki.ensure(paths, SETTINGS, VirtualClock(start + timedelta(days=310)))
    assert {"apiserver", "admin", "kubelet"} <= set(made) and "ca" not in made


def test_a_cluster_from_before_gets_a_front_proxy_and_keeps_the_rest(tmp_path: Path) -> None:
    paths, clock = Paths(tmp_path), VirtualClock()
    pki.ensure(paths, SETTINGS, clock)
    for stem in ("front-proxy-ca", "front-proxy-client"):
        for suffix in ("crt", "key"):
            (paths.pki / f"{stem}.{suffix}").unlink()
    given = ServerConfig(tls_cert=tmp_path, tls_key=tmp_path, client_ca=tmp_path, service_account_key=tmp_path)
    assert frontproxy.into(paths, given) == given, "nothing is believed that is not there"
    assert pki.ensure(paths, SETTINGS, clock) == ["front-proxy-ca", "front-proxy-client"]
    client = x509.load_pem_x509_certificate((paths.pki / "front-proxy-client.crt").read_bytes())
    client.verify_directly_issued_by(x509.load_pem_x509_certificate((paths.pki / "front-proxy-ca.crt").read_bytes()))
    assert client.subject.rfc4514_string() == "CN=front-proxy-client"
    config = frontproxy.into(paths, given)
    assert config.proxy_client_cert == paths.pki / "front-proxy-client.crt"
    header = config.authentication.request_header
    assert header is not None and header.allowed_names == ("front-proxy-client",)
    kept = accessoptions.into(AccessOptions(token_auth_file="/t"), config).authentication
    assert (kept.request_header, kept.token_auth_file) == (header, Path("/t")), "options of the user leave it"
