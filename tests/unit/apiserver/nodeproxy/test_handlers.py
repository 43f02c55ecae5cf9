"""Requests to pods, passed on: what goes to the pod, and what the API server answers itself."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from typing import Any, cast

import pytest
from tests.fakes.server import pod

from steersman.apiserver.contracts import Call, RequestInfo, UserInfo
from steersman.apiserver.http import RawConnection, Request, Response
from steersman.apiserver.nodeproxy.backend import Backends
from steersman.apiserver.nodeproxy.handlers import NodeProxy
from steersman.apiserver.nodeproxy.locate import Target
from steersman.apiserver.registry import Registry
from steersman.machinery.errors import ServiceUnavailable
from steersman.machinery.meta import Obj

ROOT = "/api/v1/namespaces/default/pods/web/proxy"
PAGE = b'<a href="/next">'


class Web:
    """A pod with one page, in the place of connections to it and of what is registered."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []
        self.breaks = False

    def lister(self, _resource: object) -> Web:
        return self

    async def settle(self) -> None:
        pass

    def get(self, _namespace: str, _name: str) -> Obj:
        found = pod()
        found["status"] = {"podIP": "10.244.0.9"}
        return found

    async def fetch(self, method: str, target: Target, headers: Mapping[str, str], body: bytes) -> Response:
        async def page() -> AsyncIterator[bytes]:
            yield PAGE
            if self.breaks:
                raise ConnectionResetError("its answer ended in the middle")

        self.seen.append((method, target.path))
        return Response(200, content_type="text/html", headers={"Content-Length": str(len(PAGE))}, chunks=page())

    async def upgrade(self, request: Request, target: Target) -> Response:
        self.seen.append(("upgrade", target.path))
        return Response(101, upgraded=True)

    def ask(self, method: str, path: str, query: str = "", **more: Any) -> Response:
        info = RequestInfo("get", path, is_resource=True, namespace="default", plural="pods", name="web", subresource="proxy")
        proxy = NodeProxy(cast(Backends, self), cast(Registry, self), random.Random(0))
        return asyncio.run(proxy.pod(Call(Request(method, path, query, **more), info, UserInfo("admin"))))


def test_a_root_page_is_asked_for_with_a_slash_so_that_its_links_lead_on() -> None:
    web = Web()
    for method in ("GET", "HEAD"):
        answer = web.ask(method, ROOT, "a=b")
        assert (answer.status, answer.headers["Location"]) == (301, f"{ROOT}/?a=b")
    assert web.seen == []
    for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        assert web.ask(method, ROOT, "a=b").status == 200
    assert web.seen == [(method, "/?a=b") for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS")]


def test_who_changes_protocols_is_sent_nowhere_else() -> None:
    async def take_over() -> RawConnection:
        raise AssertionError

    web = Web()
    assert web.ask("GET", ROOT, headers={"connection": "keep-alive, Upgrade"}, take_over=take_over).status == 101
    assert web.seen == [("upgrade", "/")]


def test_links_of_a_page_get_the_proxys_prefix_and_the_page_its_new_length() -> None:
    answer = Web().ask("GET", f"{ROOT}/page")
    assert answer.body == f'<a href="{ROOT}/next">'.encode() and answer.chunks is None
    assert "Content-Length" not in answer.headers


def test_a_page_that_ends_in_the_middle_is_told_as_a_service_that_cannot_be_reached() -> None:
    web = Web()
    web.breaks = True
    with pytest.raises(ServiceUnavailable, match="error trying to reach service: its answer ended in the middle"):
        web.ask("GET", f"{ROOT}/page")
