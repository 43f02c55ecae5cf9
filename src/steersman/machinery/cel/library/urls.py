"""Kubernetes' URL library: absolute URIs and absolute paths, as Go's url.ParseRequestURI takes them."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote, unquote_plus, unquote_to_bytes

from steersman.machinery.cel.errors import CelRuntimeError
from steersman.machinery.cel.functions import Overload, overload
from steersman.machinery.cel.library.formatting import quote as quoted
from steersman.machinery.cel.types import URL as URL_TYPE

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):")
_BAD_ESCAPE = re.compile(r"%(?![0-9a-fA-F]{2})")
_HOST_CHARS = re.compile(r"[A-Za-z0-9\-._~!$&'()*+,;=:\[\]<>\"%\u0080-\U0010ffff]*")
_PORT = re.compile(r":[0-9]*")
_PATH_SAFE = "/$&+,;=:@~-._!'()*[]"


class Url:
    """Equal by its text."""

    __slots__ = ("text", "scheme", "host", "path", "query")
    cel_type = URL_TYPE

    def __init__(self, text: str) -> None:
        """Raises ValueError."""
        if not text:
            raise ValueError('parse "": empty url')
        if any(ord(char) < 0x20 or ord(char) == 0x7F for char in text):
            raise ValueError(f"parse {quoted(text)}: net/url: invalid control character in URL")
        self.text = text
        found = _SCHEME.match(text)
        self.scheme = found[1].lower() if found is not None else ""
        if found is None and not text.startswith("/"):
            why = "missing protocol scheme" if text.startswith(":") else "invalid URI for request"
            raise ValueError(f'parse "{text}": {why}')
        rest, _, self.query = text[found.end() if found is not None else 0 :].partition("?")
        self.host = self.path = ""
        if not rest.startswith("/"):
            # What has a scheme and no slash (`mailto:a`) is opaque: nothing more is known of it.
            return
        self.path = rest
        if found is not None and rest.startswith("//"):
            self.host, slash, path = rest[2:].partition("/")
            self.path = slash + path
        self._check()

    def _check(self) -> None:
        bad = _BAD_ESCAPE.search(self.path) or _BAD_ESCAPE.search(self.host)
        if bad is not None:
            where = (self.path if _BAD_ESCAPE.search(self.path) else self.host)[bad.start() : bad.start() + 3]
            raise ValueError(f'parse "{self.text}": invalid URL escape "{where}"')
        host = self.host.rpartition("@")[2]
        self.host = host
        if _HOST_CHARS.fullmatch(host) is None:
            char = next(char for char in host if _HOST_CHARS.fullmatch(char) is None)
            raise ValueError(f'parse "{self.text}": invalid character "{char}" in host name')
        port = host.rpartition("]")[2] if host.startswith("[") else host[host.find(":") :] if ":" in host else ""
        if host.startswith("[") and "]" not in host:
            raise ValueError(f"parse \"{self.text}\": missing ']' in host")
        if port and _PORT.fullmatch(port) is None:
            raise ValueError(f'parse "{self.text}": invalid port "{port}" after host')

    @property
    def hostname(self) -> str:
        if self.host.startswith("["):
            return self.host[1 : self.host.index("]")]
        return self.host.partition(":")[0]

    @property
    def port(self) -> str:
        rest = self.host.rpartition("]")[2] if self.host.startswith("[") else self.host
        return rest.partition(":")[2]

    @property
    def escaped_path(self) -> str:
        return quote(unquote_to_bytes(self.path), safe=_PATH_SAFE) if not _is_encoded(self.path) else self.path

    def queries(self) -> dict[str, list[str]]:
        made: dict[str, list[str]] = {}
        for part in self.query.split("&"):
            key, _, value = part.partition("=")
            if part and ";" not in part and not _BAD_ESCAPE.search(part):
                made.setdefault(unquote_plus(key), []).append(unquote_plus(value))
        return made

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Url) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)


def _is_encoded(path: str) -> bool:
    """Whether a path is written as it may be sent."""
    return all(char.isascii() and (char.isalnum() or char in _PATH_SAFE or char == "%") for char in path)


def parse(text: str) -> Url:
    try:
        return Url(text)
    except ValueError as fault:
        raise CelRuntimeError(f"URL parse error during conversion from string: {fault}") from None


def is_url(text: str) -> bool:
    try:
        Url(text)
    except ValueError:
        return False
    return True


def _query(url: Any) -> dict[str, list[str]]:
    return dict(url.queries())


OVERLOADS: tuple[Overload, ...] = (
    overload("url", "(string) -> url", parse, "first"),
    overload("isURL", "(string) -> bool", is_url),
    overload("getScheme", "url.() -> string", lambda url: url.scheme),
    overload("getHost", "url.() -> string", lambda url: url.host),
    overload("getHostname", "url.() -> string", lambda url: url.hostname),
    overload("getPort", "url.() -> string", lambda url: url.port),
    overload("getEscapedPath", "url.() -> string", lambda url: url.escaped_path),
    overload("getQuery", "url.() -> map(string, list(string))", _query),
)
