"""Running nft: one script, one transaction."""

from __future__ import annotations

import asyncio


class NftFault(Exception):
    """nft refused a script, or is not there; one sentence."""


async def run_script(script: str) -> None:
    """Apply a script atomically. Raises NftFault with nft's first line."""
    try:
        process = await asyncio.create_subprocess_exec(
            "nft", "-f", "-", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
        )
    except FileNotFoundError:
        raise NftFault("nft is not installed: apt-get install nftables") from None
    _, errors = await process.communicate(script.encode())
    if process.returncode:
        lines = errors.decode(errors="replace").strip().splitlines()
        raise NftFault(f"nft refused the rules: {lines[0] if lines else f'exit code {process.returncode}'}")
