"""What another control plane machine must be given in secret: keys and settings, encrypted, in a Secret that one token may read.

As kubeadm's `kubeadm-certs`: the API server keeps what it cannot read, since the certificate key is only in the command that
`steersman token create --control-plane` prints. Secret, Role and RoleBinding are owned by the token's Secret, and end with it.
What is in the files, controlplane.py says.
"""

from __future__ import annotations

import os
import re
import secrets
from base64 import b64decode, b64encode
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from steersman.api import bootstraptokens
from steersman.api.resources import ROLE_BINDINGS, ROLES, SECRETS
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj

NAMESPACE = bootstraptokens.NAMESPACE
_PREFIX = "steersman-certs-"
_RBAC = "rbac.authorization.k8s.io"
_NONCE_BYTES = 12


class BadKey(Exception):
    """The key does not open what was sealed; no text, the caller knows what to say."""


def new_key() -> str:
    """AES-256, as hexadecimal digits."""
    return secrets.token_hex(32)


def is_key(text: str) -> bool:
    return re.fullmatch(r"[0-9a-f]{64}", text) is not None


def name_of(token_id: str) -> str:
    return _PREFIX + token_id


def seal(files: Mapping[str, bytes], key: str) -> dict[str, str]:
    """A Secret's data: nonce and AES-GCM of each file, tied to its name, so that none can stand in for another."""
    cipher = AESGCM(bytes.fromhex(key))
    sealed = {}
    for name, content in files.items():
        nonce = os.urandom(_NONCE_BYTES)
        sealed[name] = b64encode(nonce + cipher.encrypt(nonce, content, name.encode())).decode()
    return sealed


def unseal(data: Mapping[str, str], key: str) -> dict[str, bytes]:
    """The files. Raises BadKey."""
    cipher = AESGCM(bytes.fromhex(key))
    files = {}
    for name, text in data.items():
        try:
            sealed = b64decode(text)
            files[name] = cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], name.encode())
        except (InvalidTag, ValueError):
            raise BadKey from None
    return files


def objects(token_id: str, owner_uid: str, data: Mapping[str, str]) -> tuple[tuple[Resource, Obj], ...]:
    """The Secret, and that nobody but the token's holder (beside administrators) may read it, in the order of creation."""
    name = name_of(token_id)
    owner = {"apiVersion": "v1", "kind": "Secret", "name": bootstraptokens.secret_name(token_id), "uid": owner_uid}
    metadata: Obj = {"name": name, "namespace": NAMESPACE, "ownerReferences": [owner]}
    rule = {"apiGroups": [""], "resources": ["secrets"], "resourceNames": [name], "verbs": ["get"]}
    holder = {"apiGroup": _RBAC, "kind": "User", "name": bootstraptokens.USER_PREFIX + token_id}
    reference = {"apiGroup": _RBAC, "kind": "Role", "name": name}
    version = f"{_RBAC}/v1"
    return (
        (SECRETS, {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": dict(data)}),
        (ROLES, {"apiVersion": version, "kind": "Role", "metadata": metadata, "rules": [rule]}),
        (
            ROLE_BINDINGS,
            {
                "apiVersion": version,
                "kind": "RoleBinding",
                "metadata": metadata,
                "roleRef": reference,
                "subjects": [holder],
            },
        ),
    )
