"""The controllers of certificate signing requests: approving, signing, cleaning.

Each is one file and works on the object's conditions alone; requests.py says what a request asks for and what each signer signs.
"""

from __future__ import annotations

from steersman.controllers.certificates import approving, cleaning
from steersman.controllers.certificates.signing import Order, Signer
from steersman.controllers.certificates.signing import spec as signing
from steersman.loop.spec import ControllerSpec

__all__ = ["SPECS", "Order", "Signer", "signing"]

SPECS: tuple[ControllerSpec, ...] = (approving.SPEC, cleaning.SPEC)
"""Those that need no key."""
