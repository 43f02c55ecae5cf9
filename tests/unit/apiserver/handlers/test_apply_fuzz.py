"""Nothing that is applied, however wrong, is more than refused: no panic, and what is stored still fits who owns it."""

from __future__ import annotations

import asyncio
import copy
import random
from typing import Any

import orjson
import pytest
from tests.fakes.server import World, world
from tests.unit.apiserver.crd.test_custom_resources import CRDS, eventually
from tests.unit.apiserver.handlers.test_apply import APPLY, CRON, cron, listed, served
from tests.unit.apiserver.handlers.test_managed_fields import DEPLOYMENT, MERGE, deployment

from steersman.machinery.apply import managers

JUNK: list[Any] = [None, 1, -1, 1.5, True, "", "x", [], {}, [None], [[]], [{}], {"a": None}, {"": {}}, 2**63, "é"]
SCALE = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "web"}, "spec": {"replicas": 1}}
CUSTOM = cron(ports=[{"port": 1, "name": "a"}], tags=["x"], args=["a"], free={"a": {"b": 1}}, whole={"a": "1"}, labels={"a": "1"})
TARGETS: list[tuple[str, Any]] = [
    (DEPLOYMENT, deployment(replicas=1)),
    (f"{DEPLOYMENT}/status", {**deployment(), "status": {"replicas": 1, "conditions": [{"type": "A", "status": "True"}]}}),
    (f"{DEPLOYMENT}/scale", SCALE),
    (CRON, CUSTOM),
]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in entries:
        found += places(inner, (*path, key))
    return found


def spoilt(rng: random.Random, value: Any) -> Any:
    """A copy with something wrong in one to three places."""
    value = orjson.loads(orjson.dumps(value))
    for _ in range(rng.randint(1, 3)):
        path = rng.choice(places(value) or [("x",)])
        holder = value
        for key in path[:-1]:
            holder = holder[key]
        choice = rng.random()
        if choice < 0.6:
            holder[path[-1]] = copy.deepcopy(rng.choice(JUNK))
        elif isinstance(holder, list):
            holder.append(copy.deepcopy(holder[path[-1]]))
        elif choice < 0.8:
            holder[f"new{rng.randint(0, 2)}"] = copy.deepcopy(rng.choice(JUNK))
        else:
            holder.pop(path[-1], None)
    return value


async def check(w: World, path: str) -> None:
    """What is stored can be read back and applied to."""
    found = await w.raw("GET", path)
    if found.status == 200:
        entries = orjson.loads(found.body)["metadata"].get("managedFields") or []
        assert managers.decode(entries) == managers.stored(entries)


@pytest.mark.parametrize("seed", range(4))
def test_wrong_configurations_are_refused_and_no_more(seed: int) -> None:
    async def scenario() -> None:
        rng = random.Random(seed)
        async with world() as w:
            await w.obj("POST", CRDS, listed())
            await eventually(w, lambda: served(w))
            for _ in range(250):
                path, base = rng.choice(TARGETS)
                kind = rng.choice([APPLY, APPLY, APPLY, MERGE])
                query = f"?fieldManager={rng.choice(['a', 'b', 'kubectl'])}"
                if kind == APPLY and rng.random() < 0.5:
                    query += "&force=true"
                body = spoilt(rng, base)
                answer = await w.raw("PATCH", path + query, body, content_type=kind)
                said = orjson.loads(answer.body)
                panicked = answer.status >= 500 and "panic" in str(said.get("message"))
                assert not panicked, (path, body)
                await check(w, path.removesuffix("/status").removesuffix("/scale"))

    asyncio.run(scenario())


def test_deep_objects_are_followed_as_far_as_sets_of_fields_go() -> None:
    async def scenario() -> None:
        async with world() as w:
            await w.obj("POST", CRDS, listed())
            await eventually(w, lambda: served(w))
            for depth in (10, 150, 198, 199, 230, 400, 990):
                free = b'{"a":' * depth + b"1" + b"}" * depth
                body = (
                    b'{"apiVersion":"stable.example.com/v1","kind":"CronTab","metadata":{"name":"x"},"spec":{"free":%b}}' % free
                )
                answer = await w.raw("PATCH", f"{CRON}?fieldManager=m", body, content_type=APPLY)
                assert answer.status == (201 if depth <= 198 else 400), (depth, answer.body[:200])
                await w.raw("DELETE", CRON)
                answer = await w.raw("POST", CRON.removesuffix("/x"), body)
                assert answer.status == (201 if depth <= 198 else 400), (depth, answer.body[:200])
                if answer.status == 201:
                    assert orjson.loads(answer.body)["metadata"]["managedFields"]
                await w.raw("DELETE", CRON)

    asyncio.run(scenario())
