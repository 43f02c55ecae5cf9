"""Encryption at rest: resources named in an EncryptionConfiguration are ciphertext in the store, and nowhere else.

ciphers.py (how) · transformer.py (providers in order) · config.py (the file) · store.py (a Store that does it) · reload.py ·
atrest.py (put together).
"""
