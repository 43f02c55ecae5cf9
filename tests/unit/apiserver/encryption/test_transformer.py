"""Providers in order: who writes, who reads, what is stale, and what nobody can open."""

from __future__ import annotations

import pytest

from steersman.apiserver.encryption.ciphers import AESCBC, AESGCMCipher, DecryptError, SecretBox
from steersman.apiserver.encryption.transformer import Identity, Keyed, Transformer

KEY = "/registry/secrets/default/a"
ONE = ("key1", AESCBC(b"1" * 32))
TWO = ("key2", AESCBC(b"2" * 32))


def cbc(*keys: tuple[str, AESCBC]) -> Keyed:
    return Keyed(b"k8s:enc:aescbc:v1:", "AES", keys)


def gcm(key: bytes = b"g" * 32, name: str = "g") -> Keyed:
    return Keyed(b"k8s:enc:aesgcm:v1:", "AES", ((name, AESGCMCipher(key)),))


BOX = Keyed(b"k8s:enc:secretbox:v1:", "Secretbox", (("b", SecretBox(b"b" * 32)),))


def test_stored_values_name_provider_and_key() -> None:
    assert Transformer([cbc(TWO, ONE)]).write(b"v", KEY).startswith(b"k8s:enc:aescbc:v1:key2:")
    assert Transformer([Identity(), cbc(ONE)]).write(b"v", KEY) == b"v"


@pytest.mark.parametrize(
    ("written", "read", "stale"),
    [
        ([cbc(ONE)], [cbc(ONE)], False),
        ([cbc(ONE)], [cbc(TWO, ONE)], True),
        ([cbc(ONE)], [cbc(ONE, TWO)], False),
        ([cbc(ONE)], [gcm(), cbc(ONE)], True),
        ([cbc(ONE)], [Identity(), cbc(ONE)], True),
        ([Identity()], [cbc(ONE), Identity()], True),
        ([Identity()], [Identity(), cbc(ONE)], False),
        ([BOX], [gcm(), Identity(), BOX], True),
        ([gcm()], [gcm(b"o" * 32), gcm()], True),
    ],
)
def test_all_read_and_what_the_first_has_not_written_is_stale(
    written: list[Keyed | Identity], read: list[Keyed | Identity], stale: bool
) -> None:
    assert Transformer(read).read(Transformer(written).write(b"v", KEY), KEY) == (b"v", stale)


@pytest.mark.parametrize(
    ("written", "read", "why"),
    [
        ([cbc(ONE)], [Identity()], "no matching prefix found"),
        ([cbc(ONE)], [gcm(), Identity()], "no matching prefix found"),
        ([Identity()], [cbc(ONE)], "no matching prefix found"),
        ([cbc(ONE)], [cbc(TWO)], "no matching key was found for the provided AES transformer"),
        ([BOX], [Keyed(BOX.prefix, "Secretbox", (("c", SecretBox(b"b" * 32)),))],
         "no matching key was found for the provided Secretbox transformer"),
        ([gcm()], [gcm(b"o" * 32)], "cipher: message authentication failed"),
        ([gcm()], [gcm(b"o" * 32), gcm(name="h")],
         r"\[cipher: message authentication failed, no matching key was found for the provided AES transformer\]"),
    ],
)  # fmt: skip
def test_what_cannot_be_opened_is_told_without_its_content(
    written: list[Keyed | Identity], read: list[Keyed | Identity], why: str
) -> None:
    stored = Transformer(written).write(b"hidden", KEY)
    with pytest.raises(DecryptError, match=f"^{why}$"):
        Transformer(read).read(stored, KEY)


def test_two_keys_of_the_same_name_are_both_tried() -> None:
    stored = Transformer([gcm(b"o" * 32)]).write(b"v", KEY)
    both = Keyed(b"k8s:enc:aesgcm:v1:", "AES", (("g", AESGCMCipher(b"n" * 32)), ("g", AESGCMCipher(b"o" * 32))))
    assert Transformer([both]).read(stored, KEY) == (b"v", True)
