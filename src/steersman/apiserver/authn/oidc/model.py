"""What is known of an issuer and of how its claims become a user. Pure data; expressions are compiled."""

from __future__ import annotations

from dataclasses import dataclass

from steersman.machinery.cel import Program

SIGNING_ALGORITHMS = ("ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "RS256", "RS384", "RS512")


@dataclass(frozen=True, slots=True)
class Source:
    """Where an attribute of the user is from: a claim, with a prefix put before it, or an expression."""

    claim: str = ""
    prefix: str = ""
    expression: Program | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """What must hold. `message` may be empty."""

    expression: Program
    message: str = ""


@dataclass(frozen=True, slots=True)
class Issuer:
    url: str
    audiences: tuple[str, ...]
    """A token must be for one of them."""
    discovery_url: str = ""
    """Where its configuration is, if not below its URL."""
    ca_pem: str = ""
    """Empty: what the machine trusts."""


@dataclass(frozen=True, slots=True)
class JWTAuthenticator:
    issuer: Issuer
    username: Source
    groups: Source | None = None
    uid: Source | None = None
    extra: tuple[tuple[str, Program], ...] = ()
    required_claims: tuple[tuple[str, str], ...] = ()
    claim_rules: tuple[Rule, ...] = ()
    user_rules: tuple[Rule, ...] = ()
    algorithms: tuple[str, ...] = SIGNING_ALGORITHMS


@dataclass(frozen=True, slots=True)
class Anonymous:
    """Whether requests without credentials go on; `paths`: only these, where any are named."""

    enabled: bool = True
    paths: frozenset[str] = frozenset()

    def allows(self, path: str) -> bool:
        return self.enabled and (not self.paths or path in self.paths)


@dataclass(frozen=True, slots=True)
class Configuration:
    """An AuthenticationConfiguration. anonymous None: it says nothing of it."""

    issuers: tuple[JWTAuthenticator, ...] = ()
    anonymous: Anonymous | None = None
