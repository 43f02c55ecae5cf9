"""JWTs of issuers elsewhere (OpenID Connect, KEP-3331): who an issuer's token stands for, by flags or by a configuration file.

model.py (what can be said of an issuer) · parse.py, mappings.py (AuthenticationConfiguration, flags) · expressions.py (CEL over
claims and users) · provider.py (discovery, keys) · claims.py (from claims to a user) · tokens.py (of one issuer) · issuers.py.
"""

from steersman.apiserver.authn.oidc.issuers import Issuers

__all__ = ["Issuers"]
