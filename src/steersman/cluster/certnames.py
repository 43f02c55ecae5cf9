"""Names and addresses that the API server's certificate has beside the cluster's own: kubeadm's --apiserver-cert-extra-sans."""

from __future__ import annotations

import ipaddress

from steersman.cluster.settings import SettingsError
from steersman.machinery import names


def chosen(text: str) -> tuple[str, ...]:
    """Each once, in their order, without blanks; from a list with commas. Raises SettingsError."""
    found = tuple(dict.fromkeys(item.strip() for item in text.split(",") if item.strip()))
    for name in found:
        if not _is_address(name) and (names.wildcard_subdomain if "*" in name else names.dns1123_subdomain)(name):
            raise SettingsError(
                f"--apiserver-cert-extra-sans: {name!r} is neither an IP address nor a DNS name, which may begin with '*.'"
            )
    return found


def parted(given: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(names, addresses), the addresses in the form that certificates are read in."""
    addresses = tuple(str(ipaddress.ip_address(name)) for name in given if _is_address(name))
    return tuple(name for name in given if not _is_address(name)), addresses


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
