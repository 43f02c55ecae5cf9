"""Flags of `steersman apiserver` that say who may do what: authentication, authorization, admission. Upstream's names."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from steersman.apiserver.access import (
    AdmissionSettings,
    AuthenticationSettings,
    AuthorizationSettings,
    OIDCSettings,
    RequestHeaderSettings,
    TokenWebhookSettings,
)
from steersman.cluster.settings import SettingsError
from steersman.machinery import duration

_ISSUER = "https://kubernetes.default.svc.cluster.local"
_OIDC = ("username_claim", "username_prefix", "groups_claim", "groups_prefix", "ca_file")
_HEADERS = ("allowed_names", "username_headers", "uid_headers", "group_headers", "extra_headers_prefix")


def configure(parser: argparse.ArgumentParser) -> None:
    _service_account_flags(parser.add_argument_group("service account tokens"))
    _authentication_flags(parser.add_argument_group("authentication"))
    _authorization_flags(parser.add_argument_group("authorization"))
    admission = parser.add_argument_group("admission")
    plugins = "plugins beside those that are on by default: NAME,..."
    admission.add_argument("--enable-admission-plugins", action="append", default=[], metavar="NAME,...", help=plugins)
    plugins = "plugins that shall not be on: NAME,..."
    admission.add_argument("--disable-admission-plugins", action="append", default=[], metavar="NAME,...", help=plugins)
    help_ = "an AdmissionConfiguration: what plugins are configured with"
    admission.add_argument("--admission-control-config-file", type=Path, metavar="FILE", help=help_)


def _authentication_flags(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--anonymous-auth", type=_boolean, metavar="true|false", help="whether requests without credentials go on (default: true)"
    )
    add("--authentication-config", type=Path, metavar="FILE", help="an AuthenticationConfiguration: issuers of JWTs, anonymous")
    add("--token-auth-file", type=Path, metavar="FILE", help='static tokens: lines of token,user,uid,"group,group"')
    add("--authentication-token-webhook-config-file", type=Path, metavar="FILE", help="kubeconfig of who is asked about tokens")
    add("--authentication-token-webhook-cache-ttl", type=_seconds, default=120.0, metavar="DURATION")
    add("--authentication-token-webhook-version", choices=("v1", "v1beta1"), default="v1beta1")
    add("--oidc-issuer-url", default="", metavar="URL", help="an issuer of JWTs; more than one: --authentication-config")
    add("--oidc-client-id", default="", metavar="NAME", help="the audience its tokens must be for")
    add("--oidc-username-claim", default="sub", metavar="CLAIM")
    add("--oidc-username-prefix", default="", metavar="TEXT", help="default: the issuer's URL and #, unless by email; -: none")
    add("--oidc-groups-claim", default="", metavar="CLAIM")
    add("--oidc-groups-prefix", default="", metavar="TEXT")
    add("--oidc-required-claim", action="append", default=[], metavar="CLAIM=VALUE,...")
    add("--oidc-signing-algs", action="append", default=[], metavar="ALG,...", help="default: RS256")
    add("--oidc-ca-file", type=Path, metavar="FILE", help="CA of the issuer's certificate; default: what the machine trusts")
    add("--requestheader-client-ca-file", type=Path, metavar="FILE", help="CA of a proxy that names users in headers")
    for flag in _HEADERS:
        add(f"--requestheader-{flag.replace('_', '-')}", action="append", default=[], metavar="NAME,...")


def _service_account_flags(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    help_ = f"who tokens say they are from; of several, the others' tokens are good as well (default: {_ISSUER})"
    add("--service-account-issuer", action="append", default=[], metavar="URL", help=help_)
    add("--service-account-jwks-uri", default="", metavar="URL", help="where others find the keys; default: at this server")
    add("--api-audiences", action="append", default=[], metavar="NAME,...", help="what tokens are for; default: the issuers")
    add("--service-account-max-token-expiration", type=_seconds, default=0.0, metavar="DURATION")
    help_ = "whether the tokens that pods get by default live a year (default: true)"
    add("--service-account-extend-token-expiration", type=_boolean, default=True, metavar="true|false", help=help_)


def service_accounts(args: argparse.Namespace) -> dict[str, Any]:
    """Fields of ServerConfig. Raises SettingsError."""
    issuers = tuple(args.service_account_issuer) or (_ISSUER,)
    longest_s = int(args.service_account_max_token_expiration)
    if longest_s and not 3600 <= longest_s <= 1 << 32:
        raise SettingsError("the service-account-max-token-expiration must be between 1 hour and 2^32 seconds")
    return {
        "service_account_issuer": issuers[0],
        "service_account_accepted_issuers": issuers[1:],
        "service_account_jwks_uri": args.service_account_jwks_uri,
        "service_account_max_token_s": longest_s,
        "service_account_extend_tokens": args.service_account_extend_token_expiration,
        "api_audiences": _listed(args.api_audiences) or issuers,
    }


def authentication(args: argparse.Namespace) -> AuthenticationSettings:
    """Raises SettingsError."""
    header = None
    if args.requestheader_client_ca_file is not None:
        given = {key: _listed(getattr(args, f"requestheader_{key}")) for key in _HEADERS}
        header = RequestHeaderSettings(
            client_ca_file=args.requestheader_client_ca_file, **{key: value for key, value in given.items() if value}
        )
    webhook = None
    if args.authentication_token_webhook_config_file is not None:
        webhook = TokenWebhookSettings(
            config_file=args.authentication_token_webhook_config_file,
            version=args.authentication_token_webhook_version,
            cache_ttl_s=args.authentication_token_webhook_cache_ttl,
        )
    return AuthenticationSettings(
        anonymous=args.anonymous_auth,
        token_auth_file=args.token_auth_file,
        request_header=header,
        oidc=_oidc(args),
        token_webhook=webhook,
        config_file=args.authentication_config,
    )


def _oidc(args: argparse.Namespace) -> OIDCSettings | None:
    if bool(args.oidc_issuer_url) != bool(args.oidc_client_id):
        raise SettingsError("oidc-issuer-url and oidc-client-id must be specified together when any oidc-* flags are set")
    if not args.oidc_issuer_url:
        return None
    required = []
    for item in _listed(args.oidc_required_claim):
        claim, equals, value = item.partition("=")
        if not equals:
            raise SettingsError(f"--oidc-required-claim: {item!r} is not CLAIM=VALUE")
        required.append((claim, value))
    return OIDCSettings(
        issuer_url=args.oidc_issuer_url,
        client_id=args.oidc_client_id,
        required_claims=tuple(required),
        signing_algs=_listed(args.oidc_signing_algs) or ("RS256",),
        **{key: getattr(args, f"oidc_{key}") for key in _OIDC},
    )


def _authorization_flags(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    modes = "who is asked, in order: Node, RBAC, Webhook, AlwaysAllow, AlwaysDeny (default: Node,RBAC)"
    add("--authorization-mode", action="append", default=[], metavar="MODE,...", help=modes)
    add("--authorization-config", type=Path, metavar="FILE", help="an AuthorizationConfiguration, in place of modes")
    add("--authorization-webhook-config-file", type=Path, metavar="FILE", help="kubeconfig of who is asked by Webhook")
    add("--authorization-webhook-version", choices=("v1", "v1beta1"), default="v1beta1")
    add("--authorization-webhook-cache-authorized-ttl", type=_seconds, default=300.0, metavar="DURATION")
    add("--authorization-webhook-cache-unauthorized-ttl", type=_seconds, default=30.0, metavar="DURATION")


def authorization(args: argparse.Namespace) -> AuthorizationSettings:
    modes = _listed(args.authorization_mode)
    return AuthorizationSettings(
        webhook_config_file=args.authorization_webhook_config_file,
        webhook_version=args.authorization_webhook_version,
        webhook_authorized_ttl_s=args.authorization_webhook_cache_authorized_ttl,
        webhook_unauthorized_ttl_s=args.authorization_webhook_cache_unauthorized_ttl,
        config_file=args.authorization_config,
        **({"modes": modes} if modes else {}),
    )


def admission(args: argparse.Namespace) -> AdmissionSettings:
    return AdmissionSettings(
        enable_plugins=_listed(args.enable_admission_plugins),
        disable_plugins=_listed(args.disable_admission_plugins),
        control_config_file=args.admission_control_config_file,
    )


def _listed(given: list[str]) -> tuple[str, ...]:
    """Flags with commas, which may come several times."""
    return tuple(item.strip() for text in given for item in text.split(",") if item.strip())


def _boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return text == "true"


def _seconds(text: str) -> float:
    try:
        return duration.parse_go(text)
    except ValueError as fault:
        raise argparse.ArgumentTypeError(str(fault)) from fault
