"""Settings of who may do what: authentication, authorization, admission. Names are those of upstream's flags.

Plain data, read from flags by cluster/commands/accessflags.py, part of ServerConfig. The files named here are read by authn,
authz and admission.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestHeaderSettings:
    """A proxy before the server says who asks, in headers. It is known by its client certificate."""

    client_ca_file: Path
    allowed_names: tuple[str, ...] = ()
    """Common names of its certificate; none: any that the CA has signed."""
    username_headers: tuple[str, ...] = ("X-Remote-User",)
    uid_headers: tuple[str, ...] = ()
    group_headers: tuple[str, ...] = ("X-Remote-Group",)
    extra_headers_prefix: tuple[str, ...] = ("X-Remote-Extra-",)


@dataclass(frozen=True, slots=True, kw_only=True)
class OIDCSettings:
    """One issuer, by flags. authentication_config can say more, and of several."""

    issuer_url: str
    client_id: str
    username_claim: str = "sub"
    username_prefix: str = ""
    """Empty: the issuer's URL and `#`, unless the claim is `email`. `-`: none."""
    groups_claim: str = ""
    groups_prefix: str = ""
    required_claims: tuple[tuple[str, str], ...] = ()
    ca_file: Path | None = None
    signing_algs: tuple[str, ...] = ("RS256",)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenWebhookSettings:
    """Somebody else is asked about tokens, by TokenReviews."""

    config_file: Path
    version: str = "v1beta1"
    cache_ttl_s: float = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthenticationSettings:
    """Beside client certificates, service account tokens and bootstrap tokens, which are always taken."""

    anonymous: bool | None = None
    """Whether requests without credentials go on, as system:anonymous. None: not said, which is yes."""
    token_auth_file: Path | None = None
    request_header: RequestHeaderSettings | None = None
    oidc: OIDCSettings | None = None
    token_webhook: TokenWebhookSettings | None = None
    config_file: Path | None = None
    """An AuthenticationConfiguration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationSettings:
    """Who is asked whether a request may be made, in order; the first that allows or denies decides."""

    modes: tuple[str, ...] = ("Node", "RBAC")
    webhook_config_file: Path | None = None
    """For the mode Webhook: a kubeconfig."""
    webhook_version: str = "v1beta1"
    webhook_authorized_ttl_s: float = 300.0
    webhook_unauthorized_ttl_s: float = 30.0
    config_file: Path | None = None
    """An AuthorizationConfiguration, in place of all of the above."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionSettings:
    """Plugins by name, beyond or short of those that are on by default."""

    enable_plugins: tuple[str, ...] = ()
    disable_plugins: tuple[str, ...] = ()
    control_config_file: Path | None = None
    """An AdmissionConfiguration."""
