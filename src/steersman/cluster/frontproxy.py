"""How the API server of `up` shows itself to servers of other group-versions, and whom it believes: as kubeadm has it."""

from __future__ import annotations

from dataclasses import replace

from steersman.apiserver.access import AuthenticationSettings, RequestHeaderSettings
from steersman.apiserver.config import ServerConfig
from steersman.cluster import pki
from steersman.cluster.settings import Paths

_UID = "X-Remote-Uid"


def into(paths: Paths, config: ServerConfig) -> ServerConfig:
    """As it was for a cluster whose certificates were made before there were these, until its next `up`."""
    certificate = (paths.pki / pki.FRONT_PROXY).with_suffix(".crt")
    if not certificate.exists():
        return config
    authority = (paths.pki / pki.FRONT_PROXY_CA).with_suffix(".crt")
    header = RequestHeaderSettings(client_ca_file=authority, allowed_names=(pki.FRONT_PROXY,), uid_headers=(_UID,))
    return replace(
        config,
        proxy_client_cert=certificate,
        proxy_client_key=certificate.with_suffix(".key"),
        authentication=AuthenticationSettings(request_header=header),
    )
