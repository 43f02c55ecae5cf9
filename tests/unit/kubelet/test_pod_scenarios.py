"""What a pod goes through on a node: restarts, init containers, probes, failures, kubelet restarts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pytest

from steersman.cri.interface import RuntimeFault
from steersman.cri.messages import ContainerState
from steersman.machinery.meta import Obj, condition, dig

if TYPE_CHECKING:
    from tests.unit.kubelet.conftest import World


def app(name: str = "app", **more: object) -> Obj:
    return {"name": name, "image": "busybox:1", "imagePullPolicy": "IfNotPresent", **more}


def play(world: World, scenario: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with world.kubelet():
            await scenario()

    asyncio.run(whole())


def shown(world: World) -> Obj:
    found: Obj = world.api.pod()["status"]
    return found


def app_state(world: World) -> Obj:
    found: Obj = shown(world)["containerStatuses"][0]
    return found


def is_running(world: World) -> Callable[[], bool]:
    return lambda: shown(world)["phase"] == "Running"


def is_restarted(world: World, before: int) -> Callable[[], bool]:
    return lambda: app_state(world)["restartCount"] > before and "running" in app_state(world)["state"]


def waits_for(world: World, reason: str) -> Callable[[], bool]:
    def check() -> bool:
        entries = shown(world).get("containerStatuses") or [{"state": {}}]
        return bool((entries[0]["state"].get("waiting") or {}).get("reason") == reason)

    return check


def test_a_crashing_container_restarts_at_once_then_after_ten_seconds_then_twenty(world: World) -> None:
    async def scenario() -> None:
        world.create()
        await world.until(is_running(world))
        starts = [0.0]
        for wanted in (0.0, 10.0, 20.0):
            ended = world.clock.monotonic()
            count = app_state(world)["restartCount"]
            world.runtime.exit("app", 1)
            if wanted:
                await world.until(waits_for(world, "CrashLoopBackOff"))
                message = app_state(world)["state"]["waiting"]["message"]
                assert message == f"back-off {wanted:g}s restarting failed container=app pod=web_default(u1)"
                assert app_state(world)["lastState"]["terminated"]["exitCode"] == 1
                assert shown(world)["phase"] == "Running"
            await world.until(is_restarted(world, count))
            starts.append(world.clock.monotonic() - ended)
        assert [round(each) for each in starts[1:]] == [0, 10, 20]
        assert "BackOff: Back-off restarting failed container app in pod web_default(u1)" in world.api.events()
        dead = [item for item in world.runtime.containers.values() if item.state is ContainerState.EXITED]
        assert len(dead) == 1, "only the last dead instance is kept"

    play(world, scenario)


def test_never_restarted_pods_end_with_their_containers(world: World) -> None:
    async def scenario() -> None:
        world.create(restartPolicy="Never", containers=[app("app"), app("beside")])
        await world.until(is_running(world))
        world.runtime.exit("app", 0)
        await world.until(lambda: "terminated" in app_state(world)["state"])
        assert shown(world)["phase"] == "Running"
        world.runtime.exit("beside", 3)
        await world.until(lambda: shown(world)["phase"] == "Failed")
        ready = condition(shown(world)["conditions"], "Ready")
        assert ready is not None and (ready["status"], ready["reason"]) == ("False", "PodFailed")
        await world.until(lambda: all(item.state == "SANDBOX_NOTREADY" for item in world.runtime.sandboxes.values()))
        world.delete()
        await world.until(lambda: not world.runtime.sandboxes)

    play(world, scenario)


def test_init_containers_run_one_after_the_other_and_sidecars_stay(world: World) -> None:
    async def scenario() -> None:
        world.create(initContainers=[app("one"), app("side", restartPolicy="Always"), app("two")])
        await world.until(lambda: "start one" in world.runtime.log)
        assert "start side" not in world.runtime.log
        assert app_state(world)["state"] == {"waiting": {"reason": "PodInitializing"}}
        initialized = condition(shown(world)["conditions"], "Initialized")
        assert initialized is not None
        assert initialized["message"] == "containers with incomplete status: [one side two]"
        world.runtime.exit("one", 0)
        await world.until(lambda: "start two" in world.runtime.log)
        assert "start app" not in world.runtime.log
        world.runtime.exit("two", 0)
        await world.until(is_running(world))
        world.runtime.exit("side", 1)
        await world.until(lambda: world.runtime.log.count("start side") == 2)
        assert world.runtime.log.count("start one") == 1
        world.delete(grace_s=7)
        await world.until(lambda: ("default", "web") not in world.api.objects["pods"])
        stops = [line for line in world.runtime.log if line.startswith("stop ") and "sandbox" not in line]
        assert [line.split()[1] for line in stops] == ["app", "side"]

    play(world, scenario)


def test_a_failed_init_container_fails_a_never_restarted_pod(world: World) -> None:
    async def scenario() -> None:
        world.create(restartPolicy="Never", initContainers=[app("one")])
        await world.until(lambda: "start one" in world.runtime.log)
        world.runtime.exit("one", 1)
        await world.until(lambda: shown(world)["phase"] == "Failed")
        assert "start app" not in world.runtime.log

    play(world, scenario)


def test_a_failed_liveness_probe_restarts_the_container(world: World) -> None:
    async def scenario() -> None:
        probe = {"exec": {"command": ["alive"]}, "periodSeconds": 1, "failureThreshold": 2}
        world.create(containers=[app(livenessProbe=probe)])
        await world.until(is_running(world))
        world.runtime.exec_results["alive"] = 1
        await world.until(lambda: app_state(world)["restartCount"] == 1)
        texts = world.api.events()
        assert "Unhealthy: Liveness probe failed: no good" in texts
        assert "Killing: Container app failed liveness probe, will be restarted" in texts

    play(world, scenario)


def test_readiness_follows_its_probe_and_waits_for_the_startup_probe(world: World) -> None:
    async def scenario() -> None:
        startup = {"exec": {"command": ["up"]}, "periodSeconds": 1, "failureThreshold": 30}
        readiness = {"exec": {"command": ["ready"]}, "periodSeconds": 1, "failureThreshold": 1}
        world.runtime.exec_results |= {"up": 1, "ready": 1}
        world.create(containers=[app(startupProbe=startup, readinessProbe=readiness)])
        await world.until(is_running(world))
        await world.clock.advance(3)
        assert "exec ready" not in world.runtime.log
        assert (app_state(world)["started"], app_state(world)["ready"]) == (False, False)
        world.runtime.exec_results["up"] = 0
        await world.until(lambda: bool(app_state(world)["started"]))
        assert app_state(world)["ready"] is False
        world.runtime.exec_results["ready"] = 0
        await world.until(lambda: bool(app_state(world)["ready"]))
        world.runtime.exec_results["ready"] = 1
        await world.until(lambda: not app_state(world)["ready"])

    play(world, scenario)


def test_an_image_that_cannot_be_pulled_is_tried_again_later_and_later(world: World) -> None:
    async def scenario() -> None:
        world.images.fault = RuntimeFault("manifest unknown", reason="ErrImagePull")
        world.create(containers=[{"name": "app", "image": "lost:1"}])
        await world.until(waits_for(world, "ErrImagePull"))
        await world.until(waits_for(world, "ImagePullBackOff"))
        message = app_state(world)["state"]["waiting"]["message"]
        assert message == 'Back-off pulling image "lost:1": ErrImagePull: manifest unknown'
        assert shown(world)["phase"] == "Pending"
        assert len(world.images.pulled) == 1
        world.images.fault = None
        await world.until(is_running(world))
        assert 9 < world.clock.monotonic() < 16
        assert 'Failed: Failed to pull image "lost:1": manifest unknown' in world.api.events()

    play(world, scenario)


def test_a_missing_config_map_keeps_the_container_waiting_until_it_is_there(world: World) -> None:
    async def scenario() -> None:
        ref = {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "cm", "key": "k"}}}
        world.create(containers=[app(env=[ref])])
        await world.until(waits_for(world, "CreateContainerConfigError"))
        assert app_state(world)["state"]["waiting"]["message"] == 'configmap "cm" not found'
        world.api.put("configmaps", {"metadata": {"name": "cm", "namespace": "default"}, "data": {"k": "v"}})
        await world.until(is_running(world))
        (config,) = world.runtime.configs.values()
        assert ("A", "v") in config.envs

    play(world, scenario)


def test_a_volume_that_fails_is_told_and_tried_again(world: World) -> None:
    async def scenario() -> None:
        world.create(volumes=[{"name": "v", "secret": {"secretName": "s"}}])
        text = 'FailedMount: MountVolume.SetUp failed for volume "v" : secret "s" not found'
        await world.until(lambda: text in world.api.events())
        assert not world.runtime.sandboxes
        world.api.put("secrets", {"metadata": {"name": "s", "namespace": "default"}, "data": {}})
        await world.until(is_running(world))

    play(world, scenario)


def test_a_container_is_restarted_though_what_its_volume_shows_is_gone(world: World) -> None:
    async def scenario() -> None:
        secret = world.api.put("secrets", {"metadata": {"name": "s", "namespace": "default"}, "data": {"a": "Yg=="}})
        world.create(volumes=[{"name": "v", "secret": {"secretName": "s"}}])
        await world.until(is_running(world))
        await world.clock.advance(5)
        world.api.drop("secrets", "default", "s")
        text = 'FailedMount: MountVolume.SetUp failed for volume "v" : secret "s" not found'
        await world.until(lambda: text in world.api.events())
        world.runtime.exit("app", 1)
        await world.until(lambda: app_state(world)["restartCount"] == 1 and "running" in app_state(world)["state"], limit_s=30)
        shows = world.config.pod_dir("u1") / "volumes/kubernetes.io~secret/v/a"
        assert shows.read_text() == "b"
        world.api.put("secrets", {**secret, "data": {"a": "Yw=="}})
        await world.until(lambda: shows.read_text() == "c", limit_s=10)

    play(world, scenario)


def test_a_pod_too_large_for_the_node_is_rejected(world: World) -> None:
    async def scenario() -> None:
        world.create(containers=[app(resources={"requests": {"cpu": "5000"}})])
        await world.until(lambda: shown(world)["phase"] == "Failed")
        assert shown(world)["reason"] == "OutOfcpu"
        assert shown(world)["message"].startswith(
            "Pod was rejected: Node didn't have enough resource: cpu, requested: 5000000, used: 0, capacity: "
        )
        assert "containerStatuses" not in shown(world)
        assert not world.runtime.sandboxes

    play(world, scenario)


@pytest.mark.parametrize("label", ["ssd", "hdd"])
def test_a_pod_may_want_a_label_that_the_node_has_got_but_the_kubelet_has_not_heard_of(world: World, label: str) -> None:
    async def scenario() -> None:
        node = world.api.objects["nodes"]["", world.config.node_name]
        node["metadata"]["labels"] = {"disk": label}
        world.create(nodeSelector={"disk": "ssd"})
        await world.until(lambda: dig(world.api.pod(), "status", "phase") in ("Running", "Failed"))
        if label == "ssd":
            assert shown(world)["phase"] == "Running"
        else:
            assert shown(world)["reason"] == "NodeAffinity"
            said = "Pod was rejected: Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector"
            assert shown(world)["message"] == said

    play(world, scenario)


def test_a_shorter_grace_period_takes_effect_while_stopping(world: World) -> None:
    async def scenario() -> None:
        world.runtime.stop_s = 1000
        world.create()
        await world.until(is_running(world))
        world.delete(grace_s=300)
        await world.clock.advance(5)
        world.delete(grace_s=4)
        await world.until(lambda: ("default", "web") not in world.api.objects["pods"], limit_s=10)
        stops = [line for line in world.runtime.log if line.startswith("stop app")]
        assert stops == ["stop app 300", "stop app 4"]

    play(world, scenario)


def test_a_pod_that_somebody_else_has_ended_is_stopped_and_stays_so(world: World) -> None:
    async def scenario() -> None:
        world.runtime.stop_s = 3
        world.create()
        await world.until(is_running(world))
        pod = world.api.pod()
        pod["status"] |= {"phase": "Failed", "reason": "Tired", "message": "of it"}
        world.api.put("pods", pod)
        seen: set[str] = set()

        def over() -> bool:
            seen.add(shown(world)["phase"])
            return "terminated" in app_state(world)["state"]

        await world.until(over)
        assert seen == {"Failed"}, "never taken back while it was being stopped"
        assert (shown(world)["reason"], shown(world)["message"]) == ("Tired", "of it")

    play(world, scenario)


def test_a_pod_deleted_before_anything_runs_is_gone_at_once(world: World) -> None:
    async def scenario() -> None:
        world.runtime.refuse["sandbox"] = RuntimeFault("no network")
        world.create()
        await world.until(lambda: any("FailedCreatePodSandBox" in line for line in world.api.events()))
        world.delete()
        await world.until(lambda: ("default", "web") not in world.api.objects["pods"], limit_s=1)

    play(world, scenario)


def test_a_past_deadline_fails_the_pod(world: World) -> None:
    async def scenario() -> None:
        world.create(activeDeadlineSeconds=20)
        await world.until(is_running(world))
        await world.until(lambda: shown(world)["phase"] == "Failed", limit_s=25)
        assert shown(world)["reason"] == "DeadlineExceeded"
        assert shown(world)["message"] == "Pod was active on the node longer than the specified deadline"

    play(world, scenario)


def test_a_lost_sandbox_is_made_again_with_its_containers(world: World) -> None:
    async def scenario() -> None:
        world.create()
        await world.until(is_running(world))
        (first,) = world.runtime.sandboxes
        await world.runtime.stop_pod_sandbox(first)
        await world.until(lambda: app_state(world)["restartCount"] == 1 and "running" in app_state(world)["state"])
        assert "SandboxChanged: Pod sandbox changed, it will be killed and re-created." in world.api.events()

    play(world, scenario)


def test_a_pod_that_never_restarts_fails_when_its_sandbox_is_lost_before_all_of_it_has_run(world: World) -> None:
    async def scenario() -> None:
        world.images.fault = RuntimeFault("manifest unknown", reason="ErrImagePull")
        world.create(restartPolicy="Never", containers=[app(), {"name": "beside", "image": "lost:1"}])
        await world.until(lambda: "running" in app_state(world)["state"])
        (sandbox,) = world.runtime.sandboxes
        await world.runtime.stop_pod_sandbox(sandbox)
        await world.until(lambda: shown(world)["phase"] == "Failed")
        assert shown(world)["reason"] == "SandboxChanged"
        assert world.runtime.log.count("start app") == 1

    play(world, scenario)


def test_a_pod_shows_that_it_is_no_longer_ready_while_it_is_being_stopped(world: World) -> None:
    async def scenario() -> None:
        probe = {"exec": {"command": ["ready"]}, "periodSeconds": 2, "failureThreshold": 1}
        world.create(containers=[app(readinessProbe=probe, lifecycle={"preStop": {"sleep": {"seconds": 20}}})])
        await world.until(lambda: bool((shown(world).get("containerStatuses") or [{}])[0].get("ready")))
        world.delete(grace_s=30)
        await world.clock.advance(5)
        assert app_state(world)["ready"], "it is still serving what is under way"
        world.runtime.exec_results["ready"] = 1
        await world.clock.advance(3)
        ready = condition(shown(world)["conditions"], "Ready")
        assert ready is not None and (ready["status"], ready["reason"]) == ("False", "ContainersNotReady")
        assert "running" in app_state(world)["state"] and not app_state(world)["ready"]
        await world.until(lambda: ("default", "web") not in world.api.objects["pods"])

    play(world, scenario)


def entries(world: World) -> dict[str, Obj]:
    listed = [*(shown(world).get("initContainerStatuses") or ()), *(shown(world).get("containerStatuses") or ())]
    return {item["name"]: item for item in listed}


def all_again(world: World, names: str, restarts: int) -> Callable[[], bool]:
    def check() -> bool:
        found = [entries(world)[name] for name in names.split()]
        return all(item["restartCount"] == restarts and item["lastState"].get("terminated") for item in found)

    return check


ALL_AGAIN = {
    "restartPolicy": "Never",
    "restartPolicyRules": [{"action": "RestartAllContainers", "exitCodes": {"operator": "In", "values": [42]}}],
}


def test_a_rule_has_all_containers_of_a_pod_begin_anew_in_their_sandbox(world: World) -> None:
    async def scenario() -> None:
        world.create(
            restartPolicy="Never",
            initContainers=[app("one"), app("side", restartPolicy="Always")],
            containers=[app("app", **ALL_AGAIN), app("beside")],
        )
        await world.until(lambda: "start one" in world.runtime.log)
        world.runtime.exit("one", 0)
        await world.until(lambda: shown(world)["phase"] == "Running" and "running" in entries(world)["beside"]["state"])
        world.runtime.log.clear()
        world.runtime.exit("app", 42)
        await world.until(lambda: "start one" in world.runtime.log)
        assert [line for line in world.runtime.log if line.startswith("remove")][-1] == "remove app", "what caused it goes last"
        assert {"stop side 2", "stop beside 2"} <= set(world.runtime.log), "there is no grace period"
        begun = condition(shown(world)["conditions"], "AllContainersRestarting")
        assert begun is not None and (begun["status"], begun["reason"]) == ("True", "RestartAllContainersStarted")
        assert shown(world)["phase"] == "Running"
        world.runtime.exit("one", 0)
        await world.until(all_again(world, "one side app beside", 1))
        codes = {name: item["lastState"]["terminated"]["exitCode"] for name, item in entries(world).items()}
        assert codes == {"one": 0, "side": 137, "app": 42, "beside": 137}
        assert entries(world)["beside"]["lastState"]["terminated"]["reason"] == "RestartingAllContainers"
        over = condition(shown(world)["conditions"], "AllContainersRestarting")
        assert over is not None and over["status"] == "False"
        assert not any("sandbox" in line for line in world.runtime.log)
        world.runtime.exit("app", 42)
        await world.until(waits_for(world, "CrashLoopBackOff"))
        assert "running" in entries(world)["beside"]["state"], "until the back-off is over nobody has to go"
        await world.until(lambda: world.runtime.log.count("start one") == 2)
        world.runtime.exit("one", 0)
        await world.until(all_again(world, "one side app beside", 2))
        world.runtime.exit("app", 1)
        world.runtime.exit("beside", 0)
        await world.until(lambda: shown(world)["phase"] == "Failed")

    play(world, scenario)


def test_an_init_container_may_ask_for_all_to_begin_anew(world: World) -> None:
    async def scenario() -> None:
        world.create(restartPolicy="Never", initContainers=[app("side", restartPolicy="Always"), app("one", **ALL_AGAIN)])
        await world.until(lambda: "start one" in world.runtime.log)
        world.runtime.exit("one", 42)
        await world.until(lambda: world.runtime.log.count("start one") == 2)
        assert shown(world)["phase"] == "Pending" and "start app" not in world.runtime.log
        world.runtime.exit("one", 0)
        await world.until(is_running(world))
        assert all_again(world, "side one", 1)() and entries(world)["app"]["restartCount"] == 0

    play(world, scenario)


def test_a_restarted_kubelet_finds_its_pods_running_and_leaves_them_alone(world: World) -> None:
    probe = {"exec": {"command": ["ready"]}, "periodSeconds": 60}

    async def whole() -> None:
        async with world.kubelet():
            world.create(containers=[app(readinessProbe=probe)])
            await world.until(lambda: bool((shown(world).get("containerStatuses") or [{}])[0].get("ready")))
            await world.clock.advance(200)
        before = list(world.runtime.log)
        patches = len([call for call in world.api.calls if call[:2] == ("patch", "pods")])
        async with world.kubelet():
            await world.clock.advance(30)
            assert world.runtime.log == [*before, *(line for line in world.runtime.log[len(before) :] if line == "exec ready")]
            assert len([call for call in world.api.calls if call[:2] == ("patch", "pods")]) == patches

    asyncio.run(whole())


def test_what_runs_but_is_gone_from_the_api_is_stopped(world: World) -> None:
    async def whole() -> None:
        async with world.kubelet():
            world.create()
            await world.until(is_running(world))
        world.api.drop("pods", "default", "web")
        async with world.kubelet():
            await world.until(lambda: not world.runtime.sandboxes)
            assert "stop app 2" in world.runtime.log
            await world.until(lambda: not world.config.pod_dir("u1").exists())

    asyncio.run(whole())


def test_an_idle_node_makes_no_requests_but_its_heartbeats(world: World) -> None:
    async def scenario() -> None:
        world.create(serviceAccountName="default")
        await world.until(is_running(world))
        await world.clock.advance(100)
        world.api.calls.clear()
        await world.clock.advance(40)
        assert {call[1] for call in world.api.calls} <= {"leases", "nodes"}

    play(world, scenario)


def test_hooks_run_after_the_start_and_before_the_stop(world: World) -> None:
    async def scenario() -> None:
        hooks = {"postStart": {"exec": {"command": ["hello"]}}, "preStop": {"exec": {"command": ["bye"]}}}
        world.create(containers=[app(lifecycle=hooks)])
        await world.until(is_running(world))
        assert world.runtime.log[-2:] == ["start app", "exec hello"]
        world.delete()
        await world.until(lambda: ("default", "web") not in world.api.objects["pods"])
        assert world.runtime.log.index("exec bye") < world.runtime.log.index("stop app 30")

    play(world, scenario)


def test_a_failed_post_start_hook_kills_the_container_and_says_why(world: World) -> None:
    async def scenario() -> None:
        world.runtime.exec_results["hello"] = 2
        world.create(containers=[app(lifecycle={"postStart": {"exec": {"command": ["hello"]}}})])
        await world.until(waits_for(world, "PostStartHookError"))
        assert "FailedPostStartHook: PostStartHook failed" in world.api.events()

    play(world, scenario)
