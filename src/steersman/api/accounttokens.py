"""Tokens of service accounts in Secrets of type kubernetes.io/service-account-token: what is where, and what they claim. Pure.

They have no end, so TokenRequests have replaced them; whoever makes such a Secret still gets one. Made by controllers/
serviceaccounttokens.py, taken by apiserver/authn/legacytokens.py. Source: upstream pkg/serviceaccount/legacy.go.
"""

from __future__ import annotations

from steersman.machinery.meta import Obj, annotations_of, name_of, namespace_of, uid_of

SECRET_TYPE = "kubernetes.io/service-account-token"
ACCOUNT = "kubernetes.io/service-account.name"
ACCOUNT_UID = "kubernetes.io/service-account.uid"
"""Annotations of the Secret."""
TOKEN, NAMESPACE, CA = "token", "namespace", "ca.crt"
"""Keys of its data."""
LAST_USED = "kubernetes.io/legacy-token-last-used"
INVALID_SINCE = "kubernetes.io/legacy-token-invalid-since"
"""Labels of the Secret: days."""
DAY = "%Y-%m-%d"
ISSUER = "kubernetes/serviceaccount"
TRACKING_NAMESPACE, TRACKING, SINCE = "kube-system", "kube-apiserver-legacy-service-account-token-tracking", "since"
"""The ConfigMap that says since when uses are noted, and its key."""
_CLAIM = "kubernetes.io/serviceaccount/"
CLAIMS = {
    "namespace": _CLAIM + "namespace",
    "secretName": _CLAIM + "secret.name",
    "serviceAccountName": _CLAIM + "service-account.name",
    "serviceAccountUID": _CLAIM + "service-account.uid",
}


def claims(account: Obj, secret: Obj) -> Obj:
    """What the token says."""
    namespace, name = namespace_of(account), name_of(account)
    values = {
        "namespace": namespace,
        "secretName": name_of(secret),
        "serviceAccountName": name,
        "serviceAccountUID": uid_of(account),
    }
    said: Obj = {CLAIMS[what]: value for what, value in values.items()}
    return {"iss": ISSUER, "sub": f"system:serviceaccount:{namespace}:{name}", **said}


def is_of(secret: Obj, account: Obj) -> bool:
    """Whether the Secret is for that very account."""
    about = annotations_of(secret)
    uid = about.get(ACCOUNT_UID)
    return about.get(ACCOUNT) == name_of(account) and (not uid or uid == uid_of(account))
