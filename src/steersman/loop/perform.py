"""Performs a controller's actions through the client, in order, batches with slow start. What follows is the runner's."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Iterator, Sequence

from steersman.client.events import EventRecorder
from steersman.client.interface import Client
from steersman.loop.spec import Action, Call, Create, Delete, Emit, Fetch, FetchList, Patch, Result, Update
from steersman.machinery.errors import NotFound
from steersman.machinery.meta import Obj

log = logging.getLogger(__name__)


async def perform(actions: Sequence[Action], client: Client, recorder: EventRecorder, component: str) -> list[Result]:
    """One result per action, in the actions' order. Errors are in the results, not raised."""
    results: list[Result] = []
    for batch in batches(actions):
        if len(batch) == 1:
            results.append(await _attempt(batch[0], client, recorder, component))
        else:
            results += await _slow_start(batch, client, recorder, component)
    return results


def failed(result: Result) -> bool:
    """Whether a result calls for another try: a missing object is what Delete wanted, and an answer to Fetch."""
    if result.error is None:
        return result.skipped
    return not (isinstance(result.error, NotFound) and isinstance(result.action, Delete | Fetch | FetchList))


def batches(actions: Sequence[Action]) -> Iterator[list[Action]]:
    """Neighbours of one type with the same `batch` name together; all else alone."""

    def mark(numbered: tuple[int, Action]) -> tuple[object, str]:
        place, action = numbered
        if isinstance(action, Create | Delete) and action.batch:
            return type(action), action.batch
        return place, ""

    for _, group in itertools.groupby(enumerate(actions), mark):
        yield [action for _, action in group]


async def _slow_start(batch: Sequence[Action], client: Client, recorder: EventRecorder, component: str) -> list[Result]:
    """1, 2, 4, ... at a time: if they can't succeed (a quota is used up), that costs a few requests and not thousands."""
    results: list[Result] = []
    size = 1
    while len(results) < len(batch):
        part = batch[len(results) : len(results) + size]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_attempt(action, client, recorder, component)) for action in part]
        results += [task.result() for task in tasks]
        if any(failed(result) for result in results):
            results += [Result(action, skipped=True) for action in batch[len(results) :]]
            break
        size *= 2
    return results


async def _attempt(action: Action, client: Client, recorder: EventRecorder, component: str) -> Result:
    try:
        if isinstance(action, Call):
            return Result(action, value=await action.do())
        return Result(action, obj=await _do(action, client, recorder, component))
    except Exception as error:
        return Result(action, error=error)


async def _do(action: Action, client: Client, recorder: EventRecorder, component: str) -> Obj | None:
    match action:
        case Create(resource=resource, obj=obj):
            return await client.create(resource, obj)
        case Update(resource=resource, obj=obj, subresource=subresource):
            return await client.update(resource, obj, subresource=subresource)
        case Patch(resource=resource, namespace=namespace, name=name):
            return await client.patch(resource, name, action.patch, namespace, kind=action.kind, subresource=action.subresource)
        case Delete(resource=resource, namespace=namespace, name=name):
            return await client.delete(
                resource,
                name,
                namespace,
                grace_period_s=action.grace_period_s,
                propagation=action.propagation,
                uid=action.uid,
                resource_version=action.resource_version,
            )
        case Fetch(resource=resource, namespace=namespace, name=name, subresource=subresource):
            return await client.get(resource, name, namespace, subresource=subresource)
        case FetchList(resource=resource, namespace=namespace, label_selector=selector):
            return await client.list(resource, namespace, label_selector=selector)
        case Emit():
            recorder.event(
                action.about,
                action.type,
                action.reason,
                action.message,
                related=action.related,
                action=action.action,
                component=component,
            )
    return None
