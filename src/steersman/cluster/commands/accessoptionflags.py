"""Flags of `steersman up` that say who may do what at its API server. Names and meaning are upstream's and kubeadm's."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

from steersman.cluster.accessoptions import AccessOptions

_CERTIFICATE = "apiserver_cert_extra_sans"


def configure(parser: argparse.ArgumentParser) -> None:
    """What is not given is not in the namespace: then it stays as it is."""
    group = parser.add_argument_group("who may do what (may change while nothing runs; '' takes one back)")
    add = _adder(group)
    add("--apiserver-cert-extra-sans", "NAME,...", "further names and addresses for the API server's certificate")
    add("--authentication-config", "FILE", "an AuthenticationConfiguration: issuers of JWTs (OpenID Connect), anonymous requests")
    add("--token-auth-file", "FILE", 'static tokens: lines of token,user,uid,"group,group"')
    add("--authorization-config", "FILE", "an AuthorizationConfiguration: who is asked (default: Node, RBAC)")
    add("--admission-control-config-file", "FILE", "an AdmissionConfiguration: what plugins are configured with")
    add("--enable-admission-plugins", "NAME,...", "plugins beside those that are on by default")
    add("--disable-admission-plugins", "NAME,...", "plugins that shall not be on")


def _adder(group: argparse._ArgumentGroup) -> Any:
    def add(flag: str, metavar: str, help_: str) -> None:
        group.add_argument(flag, default=argparse.SUPPRESS, metavar=metavar, help=help_)

    return add


def given(args: argparse.Namespace) -> dict[str, str]:
    """What was on the command line, by the names of AccessOptions."""
    return {field.name: getattr(args, field.name) for field in dataclasses.fields(AccessOptions) if hasattr(args, field.name)}


def certificate_names(args: argparse.Namespace) -> str | None:
    """None: not given."""
    found: str | None = getattr(args, _CERTIFICATE, None)
    return found
