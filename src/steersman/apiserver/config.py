"""Settings of an API server. Files are PEM; addresses are text; cluster/ fills this from its state directory or flags."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from steersman.apiserver.access import AdmissionSettings, AuthenticationSettings, AuthorizationSettings
from steersman.apiserver.audit.settings import AuditSettings
from steersman.apiserver.serving import ServingSettings


class ConfigError(Exception):
    """A setting that can't be used; one sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """What `steersman apiserver` needs to know."""

    bind_address: str = "0.0.0.0"
    secure_port: int = 6443
    advertise_address: str = "127.0.0.1"
    tls_cert: Path
    tls_key: Path
    client_ca: Path
    service_account_key: Path
    """Private key (EC P-256 or RSA) that signs service account tokens; its public half verifies them."""
    service_account_trusted_keys: tuple[Path, ...] = ()
    """More keys whose tokens are good: of other servers over the same store, or of the time before a change."""
    service_account_issuer: str = "https://kubernetes.default.svc.cluster.local"
    service_account_accepted_issuers: tuple[str, ...] = ()
    """Issuers whose tokens are good as well: the names of the time before a change."""
    service_account_jwks_uri: str = ""
    """Where others find the keys; empty: at this server."""
    service_account_max_token_s: int = 0
    """No token lives longer. 0: no limit of our own."""
    service_account_extend_tokens: bool = True
    """Tokens that pods get by default live a year, for clients that do not read them anew."""
    api_audiences: tuple[str, ...] = ("https://kubernetes.default.svc.cluster.local",)
    kubelet_client_cert: Path | None = None
    kubelet_client_key: Path | None = None
    kubelet_ca: Path | None = None
    proxy_client_cert: Path | None = None
    """Shown to the servers of other group-versions, which by it believe whom this one says that it asks for."""
    proxy_client_key: Path | None = None
    service_cidr: str = "10.96.0.0/16"
    node_port_range: tuple[int, int] = (30000, 32767)
    authentication: AuthenticationSettings = AuthenticationSettings()
    authorization: AuthorizationSettings = AuthorizationSettings()
    admission: AdmissionSettings = AdmissionSettings()
    max_body_bytes: int = 3 * 1024 * 1024
    event_ttl_s: int = 3600
    serving: ServingSettings = ServingSettings()
    watch_cache_events: int = field(default=4096)
    """How many past events per resource a watch can resume from without the store."""
    encryption_provider_config: Path | None = None
    """An EncryptionConfiguration: what is encrypted in the store, and with which keys."""
    encryption_reload: bool = False
    """Take it up while running when the file changes."""
    audit: AuditSettings = AuditSettings()
