"""Credential provider plugins: what they are asked, what of their answers is kept, and what becomes of those that fail."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from steersman.cri.messages import RegistryAuth
from steersman.kubelet.credentials.configuration import V1, Provider, TokenAttributes
from steersman.kubelet.credentials.plugins import TIMEOUT_S, Plugin, PluginFailed, Plugins
from steersman.machinery.clock import VirtualClock
from steersman.machinery.meta import Obj
from steersman.machinery.programs import Outcome

IMAGE = "r.io/team/app"
POD: Obj = {"metadata": {"namespace": "ns", "name": "p", "uid": "u"}, "spec": {"serviceAccountName": "builder"}}


def answer(**changes: Any) -> bytes:
    body = {
        "apiVersion": V1, "kind": "CredentialProviderResponse", "cacheKeyType": "Image", "cacheDuration": "1m",
        "auth": {"r.io": {"username": "me", "password": "secret"}}, **changes,
    }  # fmt: skip
    return json.dumps({key: value for key, value in body.items() if value is not None}).encode()


class Program:
    """In place of a program: notes what it is told, and gives the answers in turn, the last for ever."""

    def __init__(self, *outcomes: Outcome | bytes | OSError) -> None:
        self._outcomes = list(outcomes)
        self.asked: list[Obj] = []
        self.argv: list[str] = []
        self.env: Mapping[str, str] = {}

    async def __call__(self, argv: Sequence[str], *, stdin: bytes, env: Mapping[str, str]) -> Outcome:
        self.argv, self.env = list(argv), env
        self.asked.append(json.loads(stdin))
        found = self._outcomes.pop(0) if len(self._outcomes) > 1 else self._outcomes[0]
        if isinstance(found, OSError):
            raise found
        return found if isinstance(found, Outcome) else Outcome(0, found, b"")


def provider(**changes: Any) -> Provider:
    fields: dict[str, Any] = {
        "name": "ecr", "program": "/bin/ecr", "api_version": V1, "match_images": ("*.io",), "default_cache_s": 10.0, **changes,
    }  # fmt: skip
    return Provider(**fields)


def play(scenario: Callable[[VirtualClock], Awaitable[None]]) -> None:
    async def whole() -> None:
        await scenario(VirtualClock())

    asyncio.run(whole())


def test_a_plugin_is_asked_for_images_it_is_for() -> None:
    async def scenario(clock: VirtualClock) -> None:
        program = Program(answer())
        plugins = Plugins([Plugin(provider(args=("get",), env=(("REGION", "eu"),)), clock, run=program)])
        assert await plugins.lookup("gcr.example.com/app") == []
        assert program.asked == []
        assert await plugins.lookup(f"{IMAGE}:1") == [RegistryAuth("me", "secret")]
        assert program.asked == [{"apiVersion": V1, "kind": "CredentialProviderRequest", "image": IMAGE}]
        assert program.argv == ["/bin/ecr", "get"]
        assert program.env["REGION"] == "eu" and "PATH" in program.env

    play(scenario)


CACHED = {
    "by image": ({"cacheKeyType": "Image"}, ["r.io/team/app", "r.io/team/other", "s.io/app"]),
    "by registry": ({"cacheKeyType": "Registry"}, ["r.io/team/app", "s.io/app"]),
    "for all": ({"cacheKeyType": "Global"}, ["r.io/team/app"]),
    "not at all": ({"cacheDuration": "0s"}, ["r.io/team/app", "r.io/team/app", "r.io/team/other", "s.io/app"]),
}


@pytest.mark.parametrize(("changes", "asked"), CACHED.values(), ids=CACHED)
def test_answers_are_kept(changes: dict[str, Any], asked: list[str]) -> None:
    async def scenario(clock: VirtualClock) -> None:
        program = Program(answer(**changes))
        plugins = Plugins([Plugin(provider(), clock, run=program)])
        for image in ("r.io/team/app:1", "r.io/team/app:2", "r.io/team/other", "s.io/app"):
            await plugins.lookup(image)
        assert [each["image"] for each in program.asked] == asked

    play(scenario)


@pytest.mark.parametrize(("said", "kept_s"), [("1m", 60), (None, 10), ("90s", 90)], ids=["said", "by default", "longer"])
def test_answers_are_kept_for_their_time(said: str | None, kept_s: int) -> None:
    async def scenario(clock: VirtualClock) -> None:
        program = Program(answer(cacheDuration=said))
        plugins = Plugins([Plugin(provider(), clock, run=program)])
        await plugins.lookup(IMAGE)
        await clock.advance(kept_s - 1)
        await plugins.lookup(IMAGE)
        assert len(program.asked) == 1
        await clock.advance(1)
        await plugins.lookup(IMAGE)
        assert len(program.asked) == 2

    play(scenario)


def test_who_wants_the_same_at_once_asks_once() -> None:
    async def scenario(clock: VirtualClock) -> None:
        program = Program(answer())
        plugins = Plugins([Plugin(provider(), clock, run=program)])
        assert await asyncio.gather(*(plugins.lookup(IMAGE) for _ in range(5))) == [[RegistryAuth("me", "secret")]] * 5
        assert len(program.asked) == 1

    play(scenario)


def test_of_two_plugins_the_earlier_has_the_say_over_a_place() -> None:
    async def scenario(clock: VirtualClock) -> None:
        more = {"r.io": {"username": "other", "password": "x"}, "r.io/team": {"username": "team", "password": "y"}}
        plugins = Plugins([
            Plugin(provider(), clock, run=Program(answer())),
            Plugin(provider(name="b"), clock, run=Program(answer(auth=more))),
        ])  # fmt: skip
        assert [auth.username for auth in await plugins.lookup(IMAGE)] == ["team", "me"]

    play(scenario)


FAILURES: dict[str, tuple[Outcome | bytes | OSError, str]] = {
    "an exit code": (
        Outcome(3, b"", b"no role\nsecond line"),
        "error execing credential provider plugin ecr for image r.io/team/app: exit status 3: no role",
    ),
    "a silent end": (Outcome(137, b"", b""), "exit status 137"),
    "no program": (FileNotFoundError(2, "No such file or directory"), "No such file or directory"),
    "no JSON": (b"password=secret", "did not answer with JSON"),
    "a list": (b"[]", 'unexpected Kind: ""'),
    "another kind": (answer(kind="Pod"), 'unexpected Kind: "Pod"'),
    "another version": (answer(apiVersion=V1 + "beta1"), "did not match expected apiVersion"),
    "a strange cacheKeyType": (answer(cacheKeyType="Pod"), 'did not return a valid cacheKeyType: "Pod"'),
    "none": (answer(cacheKeyType=None), 'did not return a valid cacheKeyType: ""'),
    "a strange duration": (answer(cacheDuration="soon"), "failed to decode CredentialProviderResponse"),
    "a number for a duration": (answer(cacheDuration=7), "failed to decode CredentialProviderResponse"),
    "a list of auths": (answer(auth=["x"]), "failed to decode CredentialProviderResponse"),
    "an auth that is a text": (answer(auth={"r.io": "me:secret"}), "failed to decode CredentialProviderResponse"),
    "a number for a password": (answer(auth={"r.io": {"password": 7}}), "failed to decode CredentialProviderResponse"),
}


@pytest.mark.parametrize(("outcome", "text"), FAILURES.values(), ids=FAILURES)
def test_a_plugin_that_fails_is_told_in_one_line_and_gives_nothing(
    outcome: Outcome | bytes | OSError, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(clock: VirtualClock) -> None:
        plugins = Plugins([
            Plugin(provider(), clock, run=Program(outcome)), Plugin(provider(name="b"), clock, run=Program(answer())),
        ])  # fmt: skip
        assert await plugins.lookup(IMAGE) == [RegistryAuth("me", "secret")]

    with caplog.at_level(logging.ERROR):
        play(scenario)
    (record,) = caplog.records
    assert text in record.getMessage() and "\n" not in record.getMessage()
    assert "secret" not in record.getMessage()


def test_a_plugin_that_hangs_is_given_up() -> None:
    async def scenario(clock: VirtualClock) -> None:
        async def hang(*_: object, **__: object) -> Outcome:
            await asyncio.Event().wait()
            raise AssertionError

        plugin = Plugin(provider(), clock, run=hang)
        async with asyncio.TaskGroup() as group:
            asking = group.create_task(_failure(plugin))
            await clock.advance(TIMEOUT_S)
            assert "no answer within 60s" in await asking

    play(scenario)


async def _failure(plugin: Plugin, pod: Obj | None = None) -> str:
    with pytest.raises(PluginFailed) as caught:
        await plugin.ask(IMAGE, pod)
    return str(caught.value)


class Accounts:
    """A service account with one annotation; tokens are numbered."""

    def __init__(self) -> None:
        self.tokens = 0
        self.fault: Exception | None = None

    async def account(self, pod: Obj) -> Obj:
        if self.fault is not None:
            raise self.fault
        return {"metadata": {"namespace": "ns", "name": "builder", "uid": "u1", "annotations": {"role": "r", "other": "o"}}}

    async def token(self, pod: Obj, audience: str) -> str:
        self.tokens += 1
        return f"{audience}-{self.tokens}"


@pytest.mark.parametrize(("cache_type", "asked"), [("ServiceAccount", 1), ("Token", 2)])
def test_a_plugin_is_told_of_the_pods_service_account(cache_type: str, asked: int) -> None:
    async def scenario(clock: VirtualClock) -> None:
        program, accounts = Program(answer()), Accounts()
        wanted = TokenAttributes("registry", cache_type, True, ("role",), ("none",))
        plugins = Plugins([Plugin(provider(token=wanted), clock, accounts, program)])
        for _ in range(2):
            assert await plugins.lookup(IMAGE, POD) == [RegistryAuth("me", "secret")]
        assert program.asked[0]["serviceAccountToken"] == "registry-1"
        assert program.asked[0]["serviceAccountAnnotations"] == {"role": "r"}
        assert len(program.asked) == asked

    play(scenario)


def test_without_a_service_account_a_plugin_that_needs_one_is_not_asked() -> None:
    async def scenario(clock: VirtualClock) -> None:
        for required, asked in ((True, 0), (False, 1)):
            program = Program(answer())
            plugins = Plugins([Plugin(provider(token=TokenAttributes("a", "Token", required)), clock, Accounts(), program)])
            await plugins.lookup(IMAGE, {"spec": {}})
            assert len(program.asked) == asked
        lacking = Plugin(provider(token=TokenAttributes("a", "Token", True, ("missing",))), clock, Accounts(), Program(answer()))
        assert await _failure(lacking, POD) == 'service account "builder" lacks the annotation missing, which ecr requires'
        accounts = Accounts()
        accounts.fault = ConnectionError("refused")
        cut_off = Plugin(provider(token=TokenAttributes("a", "Token", True)), clock, accounts, Program(answer()))
        assert await _failure(cut_off, POD) == 'no token of service account "builder" for the plugin ecr: refused'

    play(scenario)


def test_a_real_program_is_run(tmp_path: Path) -> None:
    async def scenario(clock: VirtualClock) -> None:
        path = tmp_path / "ecr"
        path.write_text(f'#!/bin/sh\ncat > {tmp_path}/asked\nprintf %s "$ANSWER"\n')
        path.chmod(0o755)
        plugin = Plugin(provider(program=str(path), env=(("ANSWER", answer().decode()),)), clock)
        assert await plugin.ask(IMAGE, None) == {"r.io": RegistryAuth("me", "secret")}
        assert json.loads((tmp_path / "asked").read_text())["image"] == IMAGE
        path.chmod(0o644)
        await clock.advance(60)
        assert "Permission denied" in await _failure(plugin)

    play(scenario)
