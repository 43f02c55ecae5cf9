"""Regular expressions as Go and CEL have them, in time linear in the text: Google's RE2 below, Go's error texts above.

Linear is not enough: a counted repetition makes a large automaton out of a short pattern, and a search may visit all of it at
every byte. So every search is priced (states times bytes) before it begins, and one that would hold up the server for more than
about a second does not begin. Who makes many searches for one request passes an Allowance, from which they are all paid.

What RE2 does otherwise in C++ than in Go is decided here: \\C, the limits of repeats and of nesting, names of groups, and empty
matches next to a match.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import re2 as engine

SEARCH_LIMIT: Final = 250_000_000
"""The price of the dearest search: about a second where RE2 is slowest, a few milliseconds where it is not."""
REQUEST_LIMIT: Final = 4 * SEARCH_LIMIT
_COMPILING: Final = 300
"""What making one state costs beside having it look at a byte."""
_TINY, _SMALL, _LARGE = 32 * 1024, 512 * 1024, 16 * 1024 * 1024
"""Memory for a pattern's automaton. Few need the larger one, and few of those are kept."""
_LARGE_KEPT, _REFUSED_KEPT = 8, 512
_MAKING_LARGE: Final = _LARGE // 96 * _COMPILING
_LONG: Final = 16 * 1024
"""Texts of patterns longer than this are not kept."""
_MAX_DEPTH: Final = 1000
_WORDS: Final = (
    ("missing ): ", "missing closing )"),
    ("unexpected ): ", "unexpected )"),
    ("missing ]: ", "missing closing ]"),
    ("bad repetition operator: ", "invalid nested repetition operator"),
    ("no argument for repetition operator: ", "missing argument to repetition operator"),
    ("invalid repetition size: ", "invalid repeat count"),
    ("invalid perl operator: ", "invalid or unsupported Perl syntax"),
    ("invalid named capture group: ", "invalid named capture"),
    ("invalid character class range: ", "invalid character class range"),
    ("invalid character class: ", "invalid character class"),
    ("invalid escape sequence: ", "invalid escape sequence"),
)
_TOKEN = re.compile(
    r"\\Q(?:.*?)(?:\\E|\Z)|\\(?P<escape>.)|(?P<class>\[\^?\]?(?:\[:\w*:\]|\\.|[^\]\\])*\]?)"
    r"|(?P<name>\(\?P?<(?![=!])[^>]{0,256}>)|(?P<open>\()|(?P<close>\))|(?P<repeat>\{(?:\d{1,4},)?[1-9]\d{8,}(?:,\d{0,9})?\})",
    re.DOTALL,
)
_NAME = re.compile(r"\(\?P?<[0-9A-Za-z_]+>", re.ASCII)


class TooMuchWork(ValueError):
    """A search that is not made, because it might take too long."""

    def __init__(self) -> None:
        super().__init__("regular expression is too costly for a text of this length")


class Allowance:
    """What the searches of one request may cost together."""

    __slots__ = ("remaining",)

    def __init__(self, remaining: int = REQUEST_LIMIT) -> None:
        self.remaining = remaining

    def spend(self, work: int) -> None:
        """Raises TooMuchWork."""
        self.remaining -= work
        if work > SEARCH_LIMIT or self.remaining < 0:
            raise TooMuchWork


class Pattern:
    """A compiled pattern. Texts are matched anywhere in them (RE2's unanchored search)."""

    __slots__ = ("_regexp", "_states", "_due")

    def __init__(self, regexp: engine._Regexp) -> None:
        self._regexp = regexp
        self._states = regexp.programsize
        self._due = self._states * _COMPILING

    def search(self, text: str, allowance: Allowance | None = None) -> str | None:
        """The leftmost match. Raises TooMuchWork."""
        data = _encoded(text)
        self._pay(len(data), allowance)
        found = self._regexp.search(data)
        return _decoded(data[slice(*found.span())]) if found is not None else None

    def find_all(self, text: str, limit: int = -1, allowance: Allowance | None = None) -> list[str]:
        """Successive matches that do not overlap, at most `limit` if that is not negative. Raises TooMuchWork.

        Each search may look as far as the end of the text without finding anything longer, so each is paid in full.
        """
        data = _encoded(text)
        allowance = allowance or Allowance(SEARCH_LIMIT)
        made: list[str] = []
        place, last = 0, -1
        while place <= len(data) and len(made) != limit:
            self._pay(len(data) - place, allowance)
            found = self._regexp.search(data, place)
            if found is None:
                break
            start, end = found.span()
            if end > start or start != last:
                # Go leaves out an empty match that touches the match before.
                made.append(_decoded(data[start:end]))
            last = end
            place = end if end > place else _next_char(data, place)
        return made

    def _pay(self, size: int, allowance: Allowance | None) -> None:
        work = self._states * (size + 1)
        if work > SEARCH_LIMIT:
            raise TooMuchWork
        if allowance is not None:
            due, self._due = self._due, 0
            allowance.spend(work + due)


def compile(pattern: str, allowance: Allowance | None = None) -> Pattern:
    """Raises ValueError in Go's words: error parsing regexp: ...; TooMuchWork.

    allowance: pays for making a large one. A small one is paid with its first search.
    """
    made = _small(pattern) if len(pattern) <= _LONG else None
    return made if made is not None else _large.get(pattern, allowance)


def check(pattern: str) -> None:
    """Raises ValueError like compile(), but makes nothing large: that a pattern takes too much memory shows when it is used."""
    _check_as_go(pattern)
    _made(pattern, _TINY)


@lru_cache(maxsize=512)
def _small(pattern: str) -> Pattern | None:
    """None if it takes more memory."""
    _check_as_go(pattern)
    return _made(pattern, _SMALL)


class _LargePatterns:
    """The few that were used last, and more of those that are too large."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Pattern] = OrderedDict()
        self._refused: OrderedDict[str, None] = OrderedDict()

    def get(self, pattern: str, allowance: Allowance | None) -> Pattern:
        """Raises ValueError, TooMuchWork."""
        found = self._kept.get(pattern)
        if found is not None:
            self._kept.move_to_end(pattern)
            return found
        if pattern not in self._refused:
            if allowance is not None:
                allowance.spend(_MAKING_LARGE)
            _check_as_go(pattern)
            made = _made(pattern, _LARGE)
            if made is not None:
                self._kept[pattern] = made
                _trim(self._kept, _LARGE_KEPT)
                return made
            if len(pattern) <= _LONG:
                self._refused[pattern] = None
                _trim(self._refused, _REFUSED_KEPT)
        raise _fault("expression too large", pattern)


def _trim(kept: OrderedDict[str, Any], size: int) -> None:
    while len(kept) > size:
        kept.popitem(last=False)


_large: Final = _LargePatterns()


def _made(pattern: str, memory: int) -> Pattern | None:
    """Raises ValueError."""
    import re2 as engine  # a shared library that takes 10 ms to load; most clusters never have a pattern

    options = engine.Options()
    # Without groups RE2 never needs its slower ways of matching; nobody here asks for a group's text.
    options.never_capture, options.log_errors, options.max_mem = True, False, memory
    try:
        return Pattern(engine.compile(pattern.encode(), options))
    except UnicodeEncodeError:
        raise _fault("invalid UTF-8", pattern) from None
    except engine.error as fault:
        told = fault.args[0].decode("utf-8", "replace")
    finally:
        engine.purge()  # it keeps what it made as well, without regard to size
    if told.startswith("pattern too large"):
        return None
    if told.startswith("trailing \\"):
        raise _fault("trailing backslash at end of expression", "")
    for theirs, ours in _WORDS:
        if told.startswith(theirs):
            raise _fault(ours, told.removeprefix(theirs))
    raise _fault(told, pattern)


def _check_as_go(pattern: str) -> None:
    """Refuses what Go does and RE2 does not. Raises ValueError."""
    depth = 0
    for token in _TOKEN.finditer(pattern):
        kind = token.lastgroup
        if kind == "escape" and token[0] == r"\C":
            raise _fault("invalid escape sequence", r"\C")
        if kind == "repeat":
            raise _fault("invalid repeat count", token[0])
        if kind == "name" and _NAME.fullmatch(token[0]) is None:
            raise _fault("invalid named capture", token[0])
        if kind in ("open", "name"):
            depth += 1
            if depth > _MAX_DEPTH:
                raise _fault("expression nests too deeply", pattern)
        elif kind == "close":
            depth -= 1


def _fault(why: str, what: str) -> ValueError:
    return ValueError(f"error parsing regexp: {why}: `{what}`")


def _encoded(text: str) -> bytes:
    """Half a surrogate pair counts as U+FFFD, as in Go's strings."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _next_char(data: bytes, place: int) -> int:
    """Where the character at a place ends."""
    place += 1
    while place < len(data) and data[place] & 0xC0 == 0x80:
        place += 1
    return place
