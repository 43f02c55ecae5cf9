"""`kubectl wait`: until objects meet a condition, have a value, are there, or are gone."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

from steersman.cli.kubectl import common
from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.errors import KubectlError, raise_all
from steersman.cli.kubectl.flags import Flag, Flags
from steersman.cli.kubectl.gone import FOREVER_S, wait_until_gone
from steersman.cli.kubectl.looking import look
from steersman.cli.kubectl.output import Printer, PrintOptions, printer
from steersman.cli.kubectl.output.documents import NamePrinter
from steersman.cli.kubectl.resources import Found, Info, Query, find, query_of
from steersman.machinery.errors import Expired, NotFound, StatusError
from steersman.machinery.govalues import plain
from steersman.machinery.jsonpath.evaluate import JSONPath
from steersman.machinery.jsonpath.parse import JSONPathError, relax
from steersman.machinery.meta import Obj, dig, uid_of

SUMMARY = """Experimental: Wait for a specific condition on one or many resources.

 The command takes multiple resources and waits until the specified condition is seen in the Status field of every given \
resource."""
USAGE = (
    "wait ([-f FILENAME] | resource.group/resource.name | resource.group [(-l label | --all)]) "
    "[--for=create|--for=delete|--for condition=available|--for=jsonpath='{}'[=value]] [options]"
)
EXAMPLES = """  # Wait for the pod "busybox1" to contain the status condition of type "Ready"
  kubectl wait --for=condition=Ready pod/busybox1

  # Wait for the pod "busybox1" to contain the status phase to be "Running"
  kubectl wait --for=jsonpath='{.status.phase}'=Running pod/busybox1

  # Wait for the pod "busybox1" to be deleted, with a timeout of 60s
  kubectl wait --for=delete pod/busybox1 --timeout=60s"""
FLAGS = (
    Flag("all", "bool", "Select all resources in the namespace of the specified resource types"),
    common.ALL_NAMESPACES,
    common.FIELD_SELECTOR,
    Flag("for", help="The condition to wait on: [create|delete|condition=condition-name[=condition-value]|jsonpath='{}'=value]."),
    Flag("local", "bool", "If true, annotation will NOT contact api-server but run locally."),
    common.SELECTOR,
    Flag(
        "timeout",
        "duration",
        "The length of time to wait before giving up.  Zero means check once and don't wait, negative means wait for a week.",
        default=30.0,
    ),
    *common.FILES,
    *common.PRINTING,
)
_JSONPATH = re.compile(r"(\{.*\}|[^=]*)(?:=(.*))?", re.S)
_POLL_S = 0.5

Test = Callable[[Obj], bool]


async def run(ctx: Context, flags: Flags, args: list[str]) -> int:
    wanted = flags.text("for")
    test = _test_of(wanted)
    options = PrintOptions(
        template=flags.text("template"),
        managed_fields=flags.on("show-managed-fields"),
        allow_missing_keys=flags.on("allow-missing-template-keys"),
    )
    output = flags.text("output")
    printing: Printer = printer(output, options) if output or options.template else NamePrinter("condition met")
    timeout_s = flags.seconds("timeout")
    timeout_s = FOREVER_S if timeout_s < 0 else timeout_s
    deadline = ctx.clock.monotonic() + timeout_s
    query = query_of(flags, args, latest=True)
    if wanted == "create":
        found = await _until_there(ctx, query, deadline)
    else:
        found = await find(ctx, query)
    if wanted == "delete":
        found.errors = [error for error in found.errors if not isinstance(error, NotFound)]
    elif not found.infos and not found.errors:
        raise KubectlError("no matching resources found")
    for info in found.infos:
        try:
            await _wait(ctx, info, test, timeout_s, deadline)
            printing.print(info.object, ctx.out)
            ctx.out.flush()
        except (StatusError, KubectlError) as error:
            found.errors.append(error)
    raise_all(found.errors)
    return 0


async def _wait(ctx: Context, info: Info, test: Test | None, timeout_s: float, deadline: float) -> None:
    """`test` None: until the object is gone."""
    if timeout_s == 0:
        if test is None or not test(info.object):
            raise KubectlError(f"condition not met for {info.resource.plural}/{info.name}")
        return
    late = KubectlError(f"timed out waiting for the condition on {info.resource.plural}/{info.name}")
    left_s = deadline - ctx.clock.monotonic()
    if left_s <= 0:
        raise late
    if test is None:
        await wait_until_gone(ctx, info, uid_of(info.object), left_s)
        return
    try:
        async with asyncio.timeout(left_s):
            while not await _met(ctx, info, test):
                pass
    except TimeoutError:
        raise late from None


async def _met(ctx: Context, info: Info, test: Test) -> bool:
    """The object meets the condition, now or after a change. False when the watch ended before."""
    obj, version = await look(ctx, info)
    info.refresh(obj)
    if test(obj):
        return True
    watch: Any = ctx.client.watch(
        info.resource,
        info.namespace,
        resource_version=version,
        field_selector=f"metadata.name={info.name}",
        bookmarks=False,
    )
    try:
        async with aclosing(watch) as events:
            async for event in events:
                # One that is deleted may come again: go on waiting.
                if event.type != "DELETED" and test(event.object):
                    info.refresh(event.object)
                    return True
    except Expired:
        pass
    return False


async def _until_there(ctx: Context, query: Query, deadline: float) -> Found:
    """Everything the query names, as soon as all of it exists."""
    while True:
        found = await find(ctx, query._replace(fetch=True))
        if not any(isinstance(error, NotFound) for error in found.errors):
            return found
        if ctx.clock.monotonic() + _POLL_S > deadline:
            raise KubectlError("timed out waiting for the condition")
        await ctx.clock.sleep(_POLL_S)


def _test_of(wanted: str) -> Test | None:
    if wanted.lower() == "delete":
        return None
    if wanted.lower() == "create":
        return lambda obj: True
    if wanted.startswith("condition="):
        name, _, value = wanted.removeprefix("condition=").partition("=")
        return _condition(name, value or "true")
    if wanted.startswith("jsonpath="):
        return _path(wanted.removeprefix("jsonpath="))
    raise KubectlError(f'unrecognized condition: "{wanted}"')


def _condition(name: str, value: str) -> Test:
    def met(obj: Obj) -> bool:
        for condition in dig(obj, "status", "conditions", default=()):
            if str(condition.get("type", "")).lower() != name.lower():
                continue
            observed = condition.get("observedGeneration") or dig(obj, "status", "observedGeneration")
            generation = dig(obj, "metadata", "generation")
            if generation is not None and observed is not None and observed < generation:
                return False
            return str(condition.get("status", "")).lower() == value.lower()
        return False

    return met


def _path(text: str) -> Test:
    """`{.path}=value`, or `{.path}` for any value."""
    found = _JSONPATH.fullmatch(text)
    if found is None or not found[1]:
        raise KubectlError("jsonpath expression cannot be empty")
    value = None if found[2] is None else found[2].strip("'\"")
    if value == "":
        raise KubectlError("jsonpath wait value cannot be empty")
    try:
        path = JSONPath(relax(found[1]))
    except JSONPathError as error:
        raise KubectlError(str(error)) from None

    def met(obj: Obj) -> bool:
        try:
            results = path.find(obj)
        except JSONPathError as error:
            raise KubectlError(str(error)) from None
        if not results or not results[0]:
            return False
        if value is None:
            return True
        if len(results) > 1:
            raise KubectlError("given jsonpath expression matches more than one list")
        if len(results[0]) > 1:
            raise KubectlError("given jsonpath expression matches more than one value")
        if isinstance(results[0][0], dict | list):
            raise KubectlError("jsonpath leads to a nested object or list which is not supported")
        return plain(results[0][0]) == value

    return met
