"""The head of an answer as HTTP/1.1 writes it."""

from __future__ import annotations

from http import HTTPStatus

from steersman.apiserver.http import Response, warning_headers

BODILESS = frozenset((204, 304))
"""Statuses whose answers end with their head (RFC 9110 section 6.4.1): a client takes whatever follows for the next answer."""
_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}


def encoded(response: Response, date: str, keep: bool, length: int | None) -> bytes:
    """length None: a stream follows, in chunks unless its headers say its length. A Date that is among them already stays."""
    status = response.status
    lines = [_LINES.get(status) or f"HTTP/1.1 {status} Unknown\r\n"]
    if response.content_type:
        lines.append(f"Content-Type: {response.content_type}\r\n")
    if length is not None:
        if status not in BODILESS:
            lines.append(f"Content-Length: {length}\r\n")
    elif status not in BODILESS and "Content-Length" not in response.headers:
        lines.append("Transfer-Encoding: chunked\r\n")
    for name, value in response.headers.items():
        if name == "Set-Cookie":
            # The one header that may not be joined into one line: what others sent of it comes a line each.
            lines += [f"Set-Cookie: {each}\r\n" for each in value.split("\n")]
        else:
            lines.append(f"{name}: {value}\r\n")
    for value in warning_headers(response.warnings) if response.warnings else ():
        lines.append(f"Warning: {value}\r\n")
    if "Date" not in response.headers:
        lines.append(f"Date: {date}\r\n")
    lines.append("\r\n" if keep else "Connection: close\r\n\r\n")
    return "".join(lines).encode("latin-1", "replace")
