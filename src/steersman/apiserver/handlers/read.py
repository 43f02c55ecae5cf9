"""get and list: from the watch cache where it may answer, from the store where history is asked for.

A read without resourceVersion is consistent: the cache first catches up with everything committed before the request.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass

import orjson

from steersman.apiserver import compaction, respond
from steersman.apiserver.contracts import Call
from steersman.apiserver.handlers.context import Api
from steersman.apiserver.handlers.options import (
    NO_LIST_OPTIONS,
    ListOptions,
    check_match,
    list_options,
    parse_revision,
    read_revision,
)
from steersman.apiserver.handlers.select import selection
from steersman.apiserver.http import Response
from steersman.apiserver.negotiate import accepted, wants_pretty
from steersman.apiserver.registry import Served
from steersman.apiserver.storage import Stored
from steersman.apiserver.watchcache.selection import Selection
from steersman.machinery.errors import BadRequest, Expired, NotFound, Timeout
from steersman.machinery.meta import Obj
from steersman.store.interface import Compacted, FutureRevision

_TOO_OLD = "The resourceVersion for the provided list is too old."
_CONTINUE_TOO_OLD = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without the "
    "continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with "
    "the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the "
    "first chunk was returned and now may show up in the list."
)
_CHUNK = 64
"""Objects joined at a time when a long list goes out: a part stays in the processor's cache until it is encrypted."""


async def get(api: Api, call: Call, served: Served) -> Response:
    request, info = call.request, call.info
    cache = served.cache
    wanted = request.query("resourceVersion") if request.raw_query else ""
    if not wanted:
        await api.feed.settle()
    elif wanted != "0":
        await api.feed.reach(parse_revision(wanted))
    # Last: where the feed has lost history, it goes on before the caches are loaded anew.
    if not cache.loaded:
        await cache.ready.wait()
    stored = cache.find(cache.form.key(info.namespace, info.name))
    if stored is None:
        raise NotFound.of(served.resource.group, served.resource.plural, info.name)
    return respond.of_stored(request, served, stored, api.clock.now())


@dataclass(slots=True)
class Page:
    """What a list found. `continue_` and `remaining` are set when there is more."""

    items: list[Stored]
    revision: int
    continue_: str = ""
    remaining: int | None = None

    def metadata(self) -> Obj:
        meta: Obj = {"resourceVersion": str(self.revision)}
        if self.continue_:
            meta["continue"] = self.continue_
        if self.remaining:
            meta["remainingItemCount"] = self.remaining
        return meta


async def list_(api: Api, call: Call, served: Served) -> Response:
    options = list_options(call.request)
    page = await find(api, call, served, options)
    form = accepted(call.request)
    if form.transform:
        body = respond.transformed(form, call.request, served, page.items, page.metadata(), api.clock.now())
        return respond.of_bytes(call.request, orjson.dumps(body))
    if form.plain and not wants_pretty(call.request):
        return list_response(served, page)
    return respond.of_bytes(call.request, list_response(served, page).whole())


def list_response(served: Served, page: Page) -> Response:
    """The list's JSON: short ones at once, long ones in parts that are joins of the cached bytes, made as they are sent."""
    lead = b'%b"metadata":%b,"items":[' % (served.list_head, orjson.dumps(page.metadata()))
    if not page.items:
        return Response(body=lead + b"]}")
    opening = b"{" if served.bare_items else served.head
    tails = [item.tail for item in page.items] if served.convert is None else [served.tail(item) for item in page.items]
    between = b"," + opening
    if len(tails) <= _CHUNK:
        return Response(body=b"%b%b%b]}" % (lead, opening, between.join(tails)))
    length = len(lead) + len(opening) + sum(map(len, tails)) + len(between) * (len(tails) - 1) + 2
    return Response(parts=_parts(lead + opening, between, tails), length=length)


def _parts(lead: bytes, between: bytes, tails: list[bytes]) -> Iterator[bytes]:
    yield lead
    for start in range(0, len(tails), _CHUNK):
        if start:
            yield between
        yield between.join(tails[start : start + _CHUNK])
    yield b"]}"


async def find(api: Api, call: Call, served: Served, options: ListOptions) -> Page:
    """The objects a list asks for. Raises BadRequest, Invalid, Expired, Timeout."""
    cache = served.cache
    if options is NO_LIST_OPTIONS:
        await api.feed.settle()
        if not cache.loaded:
            await cache.ready.wait()
        return Page(cache.select(selection(call, served, options)), cache.as_of(api.feed.revision))
    if not cache.loaded:
        await cache.ready.wait()
    check_match(options, watch=False)
    chosen = selection(call, served, options)
    if options.continue_:
        return await _continued(api, served, chosen, options)
    if not options.resource_version:
        await api.feed.settle()
        return await _from_cache(api, served, chosen, options.limit)
    try:
        wanted = read_revision(options.resource_version)
    except ValueError as fault:
        raise BadRequest(f"invalid resource version: {fault}") from fault
    if wanted == 0:
        return await _from_cache(api, served, chosen, 0)
    if options.match == "Exact" or (options.limit and not options.match):
        return await _exactly(api, served, chosen, options.limit, wanted, "", _TOO_OLD)
    await api.feed.reach(wanted)
    return await _from_cache(api, served, chosen, options.limit)


async def _from_cache(api: Api, served: Served, chosen: Selection, limit: int, start: str = "") -> Page:
    if not served.cache.loaded:
        await served.cache.ready.wait()
    return _page(api, served, chosen, limit, start)


def _page(api: Api, served: Served, chosen: Selection, limit: int, start: str) -> Page:
    cache = served.cache
    revision = cache.as_of(api.feed.revision)
    found = cache.select(chosen, start)
    if not limit or len(found) <= limit:
        return Page(found, revision)
    return _cut(served, chosen, found[:limit], revision, len(found) - limit)


def _cut(served: Served, chosen: Selection, items: list[Stored], revision: int, remaining: int) -> Page:
    after = items[-1].key[len(_prefix(served, chosen)) :] + "\0"
    token = {"v": "meta.k8s.io/v1", "rv": revision, "start": after}
    encoded = base64.urlsafe_b64encode(orjson.dumps(token)).rstrip(b"=").decode()
    return Page(items, revision, encoded, None if chosen.filters or chosen.name else remaining)


def _prefix(served: Served, chosen: Selection) -> str:
    prefix = served.form.prefix
    return f"{prefix}{chosen.namespace}/" if chosen.namespace else prefix


async def _continued(api: Api, served: Served, chosen: Selection, options: ListOptions) -> Page:
    if options.resource_version:
        raise BadRequest("specifying resource version is not allowed when using continue")
    revision, after = _token(options.continue_)
    start = _prefix(served, chosen) + after
    if revision < 0:
        await api.feed.settle()
        return await _from_cache(api, served, chosen, options.limit, start)
    try:
        return await _exactly(api, served, chosen, options.limit, revision, start, _CONTINUE_TOO_OLD)
    except Expired as expired:
        token = {"v": "meta.k8s.io/v1", "rv": -1, "start": after}
        expired.continue_ = base64.urlsafe_b64encode(orjson.dumps(token)).rstrip(b"=").decode()
        raise


def _token(text: str) -> tuple[int, str]:
    try:
        token = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        version, revision, start = token["v"], token["rv"], token["start"]
    except (binascii.Error, ValueError, KeyError, TypeError) as fault:
        raise BadRequest(f"invalid continue token: continue key is not valid: {fault}") from fault
    if (
        version != "meta.k8s.io/v1"
        or not revision
        or not isinstance(revision, int)
        or not isinstance(start, str)
        or not start
        or ".." in start.split("/")
    ):
        raise BadRequest("invalid continue token: continue key is not valid")
    return revision, start


async def _remembered(api: Api, revision: int, too_old: str) -> None:
    """Raises Expired if the store has forgotten that revision. The cache might know it still, for as long as nothing changes; but
    how long a version can be read is no matter of what else happens, and clients count on its end."""
    try:
        await api.store.range(compaction.KEY, limit=1, revision=revision)
    except Compacted as fault:
        raise Expired(too_old) from fault


def _unchanged(api: Api, served: Served, revision: int) -> bool:
    """Whether the cache has the objects as they were at that revision."""
    cache = served.cache
    return not cache.wants_loading and cache.version <= revision <= cache.as_of(api.feed.revision)


async def _exactly(api: Api, served: Served, chosen: Selection, limit: int, revision: int, start: str, too_old: str) -> Page:
    """The list as it was at that revision: from the cache if nothing has changed since, else from the store's history."""
    if _unchanged(api, served, revision):
        await _remembered(api, revision, too_old)
    # Asked once more: something may have changed while the store answered.
    if _unchanged(api, served, revision):
        page = _page(api, served, chosen, limit, start)
        if page.continue_:
            return _cut(served, chosen, page.items, revision, page.remaining or 0)
        return Page(page.items, revision)
    try:
        found = await api.store.range(_prefix(served, chosen), start=start, revision=revision)
    except Compacted as fault:
        raise Expired(too_old) from fault
    except FutureRevision as fault:
        raise Timeout.too_large_resource_version(revision, fault.current) from fault
    form, values = served.form, await served.cache.values(found.entries)
    items = [form.stored(entry.key, value, entry.mod_revision) for entry, value in zip(found.entries, values, strict=True)]
    if chosen.filters or chosen.name:
        items = [item for item in items if chosen.matches(item)]
    if limit and len(items) > limit:
        return _cut(served, chosen, items[:limit], revision, len(items) - limit)
    return Page(items, revision)
