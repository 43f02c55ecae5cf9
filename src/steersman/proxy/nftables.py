"""Running nft: one script, one transaction."""

from __future__ import annotations

from steersman.machinery.clock import Clock
from steersman.machinery.programs import run
from steersman.machinery.waiting import within

LIMIT_S = 30.0
"""A script of 10,000 services is applied in well under a second; longer means that something holds nft up."""


class NftFault(Exception):
    """nft refused a script, did not end, or is not there; one sentence."""


async def run_script(script: str, clock: Clock) -> None:
    """Apply a script atomically. Raises NftFault with nft's first line."""

    async def apply() -> None:
        try:
            outcome = await run(["nft", "-f", "-"], stdin=script.encode())
        except FileNotFoundError:
            raise NftFault("nft is not installed: apt-get install nftables") from None
        except OSError as error:
            raise NftFault(f"nft could not be started: {error.strerror}") from error
        if outcome.code:
            lines = outcome.stderr.decode(errors="replace").strip().splitlines()
            raise NftFault(f"nft refused the rules: {lines[0] if lines else f'exit code {outcome.code}'}")

    if not await within(clock, LIMIT_S, apply):
        raise NftFault(f"nft did not end within {LIMIT_S:g} s")
