"""The ciphers of encryption at rest: what one key makes of a value, byte for byte as upstream stores it.

aescbc: IV, then AES-CBC with PKCS#7 padding; it proves nothing about who wrote it. aesgcm: nonce, ciphertext, tag; the storage
key is authenticated with it, so a value that was moved to another key is refused. secretbox: nonce, then XSalsa20 and Poly1305.
Source: upstream apiserver/pkg/storage/value/encrypt/{aes,secretbox}. What is not here: prefixes and rotation (transformer.py).
"""

from __future__ import annotations

import os
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher as BlockCipher
from cryptography.hazmat.primitives.ciphers import algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_BLOCK = 16
_GCM_NONCE, _TAG = 12, 16
_BOX_NONCE = 24
_TOO_SHORT = "the stored data was shorter than the required size"
_NOT_AUTHENTIC = "cipher: message authentication failed"


class DecryptError(ValueError):
    """A value that this key does not open. The message says nothing of what is in it."""


class CipherUnavailable(Exception):
    """The library that a cipher needs is not installed; one sentence."""


class Cipher(Protocol):
    """One key. `context` is the value's key in the store."""

    def seal(self, plain: bytes, context: bytes) -> bytes: ...

    def open(self, sealed: bytes, context: bytes) -> bytes:
        """Raises DecryptError."""


class AESCBC:
    def __init__(self, key: bytes) -> None:
        self._algorithm = algorithms.AES(key)

    def seal(self, plain: bytes, context: bytes) -> bytes:
        iv = os.urandom(_BLOCK)
        count = _BLOCK - len(plain) % _BLOCK
        encryptor = BlockCipher(self._algorithm, modes.CBC(iv)).encryptor()
        return iv + encryptor.update(plain + bytes((count,)) * count) + encryptor.finalize()

    def open(self, sealed: bytes, context: bytes) -> bytes:
        if len(sealed) < _BLOCK:
            raise DecryptError(_TOO_SHORT)
        if len(sealed) % _BLOCK:
            raise DecryptError("the stored data is not a multiple of the block size")
        if len(sealed) == _BLOCK:
            raise DecryptError("invalid PKCS7 data (empty or not padded)")
        decryptor = BlockCipher(self._algorithm, modes.CBC(sealed[:_BLOCK])).decryptor()
        padded = decryptor.update(sealed[_BLOCK:]) + decryptor.finalize()
        count = padded[-1]
        if not 0 < count <= _BLOCK or padded[-count:] != bytes((count,)) * count:
            raise DecryptError("invalid padding on input")
        return padded[:-count]


class AESGCMCipher:
    def __init__(self, key: bytes) -> None:
        self._aead = AESGCM(key)

    def seal(self, plain: bytes, context: bytes) -> bytes:
        nonce = os.urandom(_GCM_NONCE)
        return nonce + self._aead.encrypt(nonce, plain, context)

    def open(self, sealed: bytes, context: bytes) -> bytes:
        if len(sealed) < _GCM_NONCE + _TAG:
            raise DecryptError(_TOO_SHORT)
        try:
            return self._aead.decrypt(sealed[:_GCM_NONCE], sealed[_GCM_NONCE:], context)
        except InvalidTag:
            raise DecryptError(_NOT_AUTHENTIC) from None


class SecretBox:
    """Needs PyNaCl. Raises CipherUnavailable."""

    def __init__(self, key: bytes) -> None:
        try:
            from nacl.exceptions import CryptoError
            from nacl.secret import SecretBox as Box
        except ModuleNotFoundError as fault:
            raise CipherUnavailable(f"secretbox needs the package {fault.name}: install steersman[encryption]") from fault
        self._box, self._failure = Box(key), CryptoError

    def seal(self, plain: bytes, context: bytes) -> bytes:
        return bytes(self._box.encrypt(plain, os.urandom(_BOX_NONCE)))

    def open(self, sealed: bytes, context: bytes) -> bytes:
        if len(sealed) < _BOX_NONCE + _TAG:
            raise DecryptError(_TOO_SHORT)
        try:
            return self._box.decrypt(sealed)
        except self._failure:
            raise DecryptError(_NOT_AUTHENTIC) from None
