"""The ciphers against known answers, any value there and back, and values that somebody has changed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steersman.apiserver.encryption.ciphers import AESCBC, AESGCMCipher, Cipher, DecryptError, SecretBox

KEY = bytes(range(32))
HERE, THERE = b"/registry/secrets/default/a", b"/registry/secrets/default/b"
CIPHERS: tuple[Callable[[bytes], Cipher], ...] = (AESCBC, AESGCMCipher, SecretBox)


def test_aescbc_opens_what_openssl_has_made() -> None:
    iv = bytes.fromhex("00112233445566778899aabbccddeeff")
    sealed = bytes.fromhex("effd1ab666b887eb662dafe6a64288407256dc793ec28ad5a53c3d33d2493ba5")
    assert AESCBC(KEY).open(iv + sealed, HERE) == b'{"kind":"Secret"}'


def test_aesgcm_opens_test_case_16_of_the_gcm_specification() -> None:
    key = bytes.fromhex("feffe9928665731c6d6a8f9467308308" * 2)
    nonce = bytes.fromhex("cafebabefacedbaddecaf888")
    plain = bytes.fromhex(
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
    )
    sealed = bytes.fromhex(
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
        "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b"
    )
    context = bytes.fromhex("feedfacedeadbeeffeedfacedeadbeefabaddad2")
    assert AESGCMCipher(key).open(nonce + sealed, context) == plain


def test_secretbox_opens_the_box_of_the_nacl_paper() -> None:
    key = bytes.fromhex("1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389")
    nonce = bytes.fromhex("69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37")
    plain = bytes.fromhex(
        "be075fc53c81f2d5cf141316ebeb0c7b5228c52a4c62cbd44b66849b64244ffce5ecbaaf33bd751a1ac728d45e6c61296cdc3c01233561f4"
        "1db66cce314adb310e3be8250c46f06dceea3a7fa1348057e2f6556ad6b1318a024a838f21af1fde048977eb48f59ffd4924ca1c60902e52"
        "f0a089bc76897040e082f937763848645e0705"
    )
    sealed = bytes.fromhex(
        "f3ffc7703f9400e52a7dfb4b3d3305d98e993b9f48681273c29650ba32fc76ce48332ea7164d96a4476fb8c531a1186ac0dfc17c98dce87b"
        "4da7f011ec48c97271d2c20f9b928fe2270d6fb863d51738b48eeee314a7cc8ab932164548e526ae90224368517acfeabd6bb3732bc0e9da"
        "99832b61ca01b6de56244a9e88d5f9b37973f622a43d14a6599b1f654cb45a74e355a5"
    )
    assert SecretBox(key).open(nonce + sealed, HERE) == plain


@pytest.mark.parametrize("cipher", CIPHERS)
@given(plain=st.binary(max_size=200), context=st.binary(max_size=40))
def test_any_value_comes_back(cipher: Callable[[bytes], Cipher], plain: bytes, context: bytes) -> None:
    made = cipher(KEY)
    sealed = made.seal(plain, context)
    assert made.open(sealed, context) == plain
    assert sealed != made.seal(plain, context)


@pytest.mark.parametrize("cipher", CIPHERS[1:])
@given(plain=st.binary(max_size=80), at=st.integers(0), bit=st.integers(0, 7))
def test_a_single_bit_that_was_changed_is_noticed(cipher: Callable[[bytes], Cipher], plain: bytes, at: int, bit: int) -> None:
    made = cipher(KEY)
    sealed = bytearray(made.seal(plain, HERE))
    sealed[at % len(sealed)] ^= 1 << bit
    with pytest.raises(DecryptError):
        made.open(bytes(sealed), HERE)


def test_only_aesgcm_knows_where_a_value_belongs() -> None:
    with pytest.raises(DecryptError, match="message authentication failed"):
        AESGCMCipher(KEY).open(AESGCMCipher(KEY).seal(b"value", HERE), THERE)
    for cipher in (AESCBC(KEY), SecretBox(KEY)):
        assert cipher.open(cipher.seal(b"value", HERE), THERE) == b"value"


@pytest.mark.parametrize("cipher", CIPHERS)
@given(sealed=st.binary(max_size=100))
def test_noise_is_refused_and_nothing_worse(cipher: Callable[[bytes], Cipher], sealed: bytes) -> None:
    try:
        cipher(KEY).open(sealed, HERE)
    except DecryptError:
        return
    # A padding may come out right by chance; nothing else proves anything in CBC.
    assert cipher is AESCBC


@pytest.mark.parametrize(
    ("sealed", "why"),
    [
        (b"x" * 15, "the stored data was shorter than the required size"),
        (b"x" * 31, "the stored data is not a multiple of the block size"),
        (b"x" * 16, r"invalid PKCS7 data \(empty or not padded\)"),
    ],
)
def test_aescbc_says_what_is_wrong_as_upstream_does(sealed: bytes, why: str) -> None:
    with pytest.raises(DecryptError, match=why):
        AESCBC(KEY).open(sealed, HERE)


def test_aescbc_with_another_key_has_a_wrong_padding() -> None:
    sealed = bytes.fromhex("00112233445566778899aabbccddeeffeffd1ab666b887eb662dafe6a64288407256dc793ec28ad5a53c3d33d2493ba5")
    with pytest.raises(DecryptError, match="invalid padding on input"):
        AESCBC(bytes(32)).open(sealed, HERE)
