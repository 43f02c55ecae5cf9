"""OpenAPI documents, made from the schema facts and the installed kinds: v3 per group-version, v2 as a whole.

Made for clients that ask a server what it knows: field validation and dry-run support, patch strategies of `kubectl apply`,
`kubectl explain`. Pure functions of KindSpecs; serving and caching is documents.py's work. Both
have a protobuf form, too (gnostic.py), for clients that find JSON slow to read.
"""

from steersman.apiserver.openapi import gnostic_v2, gnostic_v3, roots
from steersman.apiserver.openapi.build import v2, v3, v3_root

__all__ = ["gnostic_v2", "gnostic_v3", "roots", "v2", "v3", "v3_root"]
