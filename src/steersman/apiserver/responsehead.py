"""The head of an answer as HTTP/1.1 writes it."""

from __future__ import annotations

from http import HTTPStatus

from steersman.apiserver.http import Response, warning_headers

_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}


def encoded(response: Response, date: str, keep: bool, length: int | None) -> bytes:
    """length None: the body follows in chunks."""
    status = response.status
    lines = [_LINES.get(status) or f"HTTP/1.1 {status} Unknown\r\n"]
    if response.content_type:
        lines.append(f"Content-Type: {response.content_type}\r\n")
    if length is None:
        lines.append("Transfer-Encoding: chunked\r\n")
    elif status not in (204, 304):
        lines.append(f"Content-Length: {length}\r\n")
    for name, value in response.headers.items():
        lines.append(f"{name}: {value}\r\n")
    for value in warning_headers(response.warnings) if response.warnings else ():
        lines.append(f"Warning: {value}\r\n")
    lines.append(f"Date: {date}\r\n\r\n" if keep else f"Date: {date}\r\nConnection: close\r\n\r\n")
    return "".join(lines).encode("latin-1", "replace")
