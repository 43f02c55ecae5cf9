"""What the API shows of a round's pods: whether they have got there, and what is said to run."""

from __future__ import annotations

from steersman.machinery.meta import Obj, condition, dig


def arrived(pod: Obj) -> bool:
    """Over; or running, with all ready but those that have ended for good: that was one that was killed."""
    status = pod["status"]
    if status.get("phase") in ("Succeeded", "Failed"):
        return True
    ready = condition(status.get("conditions"), "Ready") or {}
    return status.get("phase") == "Running" and (ready.get("status") == "True" or _all_ready_or_over(pod))


def _all_ready_or_over(pod: Obj) -> bool:
    policy = pod["spec"]["restartPolicy"]
    sidecars = {each["name"] for each in containers(pod) if each.get("restartPolicy") == "Always"}

    def settled(status: Obj) -> bool:
        ended = status["state"].get("terminated")
        if ended is None or status["name"] in sidecars:
            return bool(status["ready"])
        return bool(policy == "Never" or ended["exitCode"] == 0)

    return policy != "Always" and all(map(settled, statuses(pod)))


def running(pods: dict[str, Obj]) -> set[str]:
    """`pod.container` of what is said to run."""
    return {f"{name}.{each['name']}" for name, pod in pods.items() for each in statuses(pod) if each["state"].get("running")}


def containers(pod: Obj) -> list[Obj]:
    return [*dig(pod, "spec", "initContainers", default=[]), *dig(pod, "spec", "containers", default=[])]


def statuses(pod: Obj) -> list[Obj]:
    status = pod["status"]
    return [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
