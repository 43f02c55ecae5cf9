"""A resource's providers in order: the first one writes, all read, and what another than the first has written is stale.

A stored value is `k8s:enc:aescbc:v1:<name of the key>:<ciphertext>`; without such a prefix it is what it is. Pure.
Source: upstream apiserver/pkg/storage/value/transformer.go and encrypt/identity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from steersman.apiserver.encryption.ciphers import Cipher, DecryptError
from steersman.apiserver.storage import ENCRYPTED


class Provider(Protocol):
    @property
    def prefix(self) -> bytes:
        """What values of this provider begin with."""

    def write(self, value: bytes, context: bytes) -> bytes:
        """The stored form, prefix and all."""

    def read(self, stored: bytes, context: bytes) -> tuple[bytes, bool]:
        """(the value, whether another key of this provider than the first wrote it). Raises DecryptError."""


class Identity:
    """Stores values as they are."""

    prefix = b""

    def write(self, value: bytes, context: bytes) -> bytes:
        return value

    def read(self, stored: bytes, context: bytes) -> tuple[bytes, bool]:
        if stored.startswith(ENCRYPTED):
            raise DecryptError("identity transformer tried to read encrypted data")
        return stored, False


@dataclass(frozen=True, slots=True)
class Keyed:
    """One cipher with its keys, by name; the first writes. family: as upstream calls it where no key fits."""

    prefix: bytes
    family: str
    keys: tuple[tuple[str, Cipher], ...]

    def write(self, value: bytes, context: bytes) -> bytes:
        name, cipher = self.keys[0]
        return b"%b%b:%b" % (self.prefix, name.encode(), cipher.seal(value, context))

    def read(self, stored: bytes, context: bytes) -> tuple[bytes, bool]:
        rest = stored[len(self.prefix) :]
        faults: list[str] = []
        for at, (name, cipher) in enumerate(self.keys):
            lead = name.encode() + b":"
            if not rest.startswith(lead):
                continue
            try:
                return cipher.open(rest[len(lead) :], context), at > 0
            except DecryptError as fault:
                faults.append(str(fault))
        raise DecryptError(_told(faults) or f"no matching key was found for the provided {self.family} transformer")


class Transformer:
    """What happens to a resource's values on their way to the store and back."""

    def __init__(self, providers: Sequence[Provider]) -> None:
        self.providers = tuple(providers)

    def write(self, value: bytes, key: str) -> bytes:
        return self.providers[0].write(value, key.encode())

    def read(self, stored: bytes, key: str) -> tuple[bytes, bool]:
        """(the value, whether it is stale: a write would store it differently). Raises DecryptError."""
        context = key.encode()
        faults: list[str] = []
        for at, provider in enumerate(self.providers):
            if not stored.startswith(provider.prefix):
                continue
            try:
                value, stale = provider.read(stored, context)
            except DecryptError as fault:
                # Identity may stand before the provider that encrypted: it is how one goes back to plain values.
                if provider.prefix:
                    faults.append(str(fault))
                continue
            return value, stale or at > 0
        raise DecryptError(_told(faults) or "no matching prefix found")


def _told(faults: Sequence[str]) -> str:
    unique = list(dict.fromkeys(faults))
    return unique[0] if len(unique) == 1 else f"[{', '.join(unique)}]" if unique else ""
