"""The server's Authentication, made of its settings: which kinds of credentials are taken, and in which order they are asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from steersman.apiserver.access import AuthenticationSettings
from steersman.apiserver.authn import Authentication, own_tokens, tokenfile
from steersman.apiserver.authn.requestheader import FrontProxy, authorities
from steersman.apiserver.authn.verified import TokenAuthenticator
from steersman.apiserver.authn.webhooktokens import WebhookTokens
from steersman.apiserver.config import ConfigError, ServerConfig
from steersman.apiserver.contracts import Listers
from steersman.apiserver.lookup import Lookup
from steersman.apiserver.tokens import TokenAuthority
from steersman.client.interface import Client
from steersman.machinery.clock import Clock


def build(config: ServerConfig, listers: Listers, clock: Clock, client: Client | None = None) -> Authentication:
    """Reads the files that the settings name. client: in-process, as LOOPBACK. Raises ConfigError, OSError."""
    settings, audiences = config.authentication, config.api_audiences
    _check(settings)
    authority, lookup = TokenAuthority.load(config), Lookup(listers)
    own: tuple[TokenAuthenticator, ...] = own_tokens(authority, lookup, audiences, clock, client)
    if settings.token_auth_file is not None:
        own = (tokenfile.StaticTokens(tokenfile.load(settings.token_auth_file), audiences), *own)
    configured: list[TokenAuthenticator] = []
    anonymous: Callable[[str], bool] | None = None if settings.anonymous is not False else _nobody
    if settings.oidc is not None or settings.config_file is not None:
        # Here, not above: few servers know issuers of their own, and the expression language takes time to load.
        from steersman.apiserver.authn.oidc import Issuers

        issuers = Issuers(settings, authority.issuers, audiences, clock)
        configured.append(issuers)
        if settings.config_file is not None and settings.anonymous is None:
            anonymous = issuers.anonymous
    if settings.token_webhook is not None:
        configured.append(WebhookTokens(settings.token_webhook, audiences, clock))
    front = FrontProxy(settings.request_header) if settings.request_header is not None else None
    return Authentication(
        authority,
        lookup,
        audiences,
        clock,
        tokens=(*own, *configured),
        front=front,
        client_authorities=authorities(config.client_ca) if front is not None else (),
        anonymous=anonymous,
    )


def peer_authorities(config: ServerConfig) -> tuple[Path, ...]:
    """Whose client certificates TLS takes."""
    header = config.authentication.request_header
    return (config.client_ca,) if header is None else (config.client_ca, header.client_ca_file)


def _check(settings: AuthenticationSettings) -> None:
    """Raises ConfigError."""
    if settings.config_file is not None and settings.oidc is not None:
        raise ConfigError("authentication-config file and oidc-* flags are mutually exclusive")


def _nobody(_path: str) -> bool:
    return False
