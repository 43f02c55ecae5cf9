"""watch: the objects as they are, if asked for, then every change, framed and streamed until time is up or the client goes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from steersman.apiserver.contracts import Call
from steersman.apiserver.handlers.context import Api
from steersman.apiserver.handlers.frames import Frames, frames_for
from steersman.apiserver.handlers.options import ListOptions, check_match, list_options, parse_revision
from steersman.apiserver.handlers.select import selection
from steersman.apiserver.http import Response
from steersman.apiserver.negotiate import JSON, accepted
from steersman.apiserver.registry import Served
from steersman.apiserver.watchcache.cache import TooOld, WatchCache
from steersman.apiserver.watchcache.selection import Selection
from steersman.apiserver.watchcache.watcher import Watcher
from steersman.apiserver.websocket import is_websocket, lines
from steersman.machinery.errors import Expired, MethodNotAllowed

_BOOKMARK_EVERY_S = 60.0
_LAST_BOOKMARK_S = 2.0
_BATCH = 256


async def watch(api: Api, call: Call, served: Served) -> Response:
    if "watch" not in served.spec.verbs:
        raise MethodNotAllowed(f'watch is not supported on resources of kind "{served.resource.qualified}"')
    options = list_options(call.request)
    check_match(options, watch=True)
    chosen = selection(call, served, options)
    if not chosen.name and call.info.name:
        # The old form /watch/.../pods/web names the object in the path.
        chosen = Selection(chosen.namespace, call.info.name, chosen.labels, chosen.fields)
    frames = frames_for(accepted(call.request), served, call.request.query("includeObject"), api.clock)
    wanted = parse_revision(options.resource_version)
    cache = served.cache
    initial = options.initial_events if options.initial_events is not None else not wanted
    if not options.resource_version:
        await api.feed.settle()
    elif initial:
        await api.feed.reach(wanted)
    if not cache.loaded:
        await cache.ready.wait()
    if not cache.sound:
        cache.refuse_unreadable(chosen)
    begun = call.request.initialised or _nothing
    chunks = _stream(api, served, chosen, options, frames, wanted, initial, begun)
    if frames.content_type == JSON and is_websocket(call.request):
        return await lines(call.request, chunks)
    return Response(content_type=frames.content_type, chunks=chunks, hurried=True)


def _nothing() -> None: ...


async def _stream(
    api: Api,
    served: Served,
    chosen: Selection,
    options: ListOptions,
    frames: Frames,
    after: int,
    initial: bool,
    begun: Callable[[], None],
) -> AsyncIterator[bytes]:
    cache = served.cache
    now = cache.as_of(api.feed.revision)
    # Snapshot and registration happen in one turn of the loop: nothing falls between them.
    snapshot = cache.select(chosen) if initial else []
    try:
        watcher = cache.watch(chosen, now if initial or not after else after)
    except TooOld as fault:
        yield frames.error(Expired(str(fault)))
        return
    seconds = options.timeout_s or api.rng.uniform(api.shortest_watch_s, 2 * api.shortest_watch_s)
    cancel = api.spawn(_keep_time(api, cache, watcher, seconds, options.watch_bookmarks))
    try:
        for start in range(0, len(snapshot), _BATCH):
            yield b"".join([frames.added(stored) for stored in snapshot[start : start + _BATCH]])
        if initial and options.watch_bookmarks:
            yield frames.bookmark(now, initial_end=True)
        served.events_sent += len(snapshot)
        del snapshot
        begun()
        while items := await watcher.next():
            served.events_sent += len(items)
            for start in range(0, len(items), _BATCH):
                yield b"".join([frames.frame(item) for item in items[start : start + _BATCH]])
    finally:
        cancel()
        cache.unwatch(watcher)
        cache.watchers_lost += watcher.too_slow


async def _keep_time(api: Api, cache: WatchCache, watcher: Watcher, seconds: float, bookmarks: bool) -> None:
    """End the watch when its time is up; until then bookmark each minute, and once more shortly before the end."""
    left = seconds
    while bookmarks and left > _LAST_BOOKMARK_S:
        pause = min(_BOOKMARK_EVERY_S, left - _LAST_BOOKMARK_S)
        await api.clock.sleep(pause)
        left -= pause
        watcher.bookmark(cache.as_of(api.feed.revision))
    await api.clock.sleep(left)
    watcher.end()
