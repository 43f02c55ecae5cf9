"""HorizontalPodAutoscaler, as autoscaling/v2 has it."""

from __future__ import annotations

from steersman.cli.kubectl.describe.golang import quoted, rfc1123
from steersman.cli.kubectl.describe.subject import Subject, head, or_unset
from steersman.cli.kubectl.describe.writer import Writer
from steersman.machinery import quantity
from steersman.machinery.meta import Obj, metadata

_UNKNOWN = "<unknown>"
_SOURCES = {
    "External": "external", "Pods": "pods", "Object": "object", "Resource": "resource", "ContainerResource": "containerResource",
}  # fmt: skip


async def describe_horizontal_pod_autoscaler(subject: Subject, w: Writer) -> None:
    spec, status = subject.spec, subject.status
    target = spec.get("scaleTargetRef") or {}
    head(w, subject.obj)
    w.field("CreationTimestamp", rfc1123(metadata(subject.obj).get("creationTimestamp")))
    w.field("Reference", f"{target.get('kind', '')}/{target.get('name', '')}")
    w.field("Metrics", "( current / target )")
    current = status.get("currentMetrics") or []
    for place, metric in enumerate(spec.get("metrics") or ()):
        _write_metric(w, metric, current[place] if place < len(current) else {})
    w.field("Min replicas", or_unset(spec.get("minReplicas")))
    w.field("Max replicas", spec.get("maxReplicas", 0))
    if (behavior := spec.get("behavior")) is not None:
        w.write("Behavior:\n")
        _write_rules(w, "Scale Up", behavior.get("scaleUp"))
        _write_rules(w, "Scale Down", behavior.get("scaleDown"))
    replicas = f"{status.get('currentReplicas', 0)} current / {status.get('desiredReplicas', 0)} desired"
    w.field(f"{target.get('kind', '')} pods", replicas)
    if conditions := status.get("conditions"):
        w.write("Conditions:\n")
        w.heading("Type", "Status", "Reason", "Message")
        for item in conditions:
            w.row(item.get("type", ""), item.get("status", ""), item.get("reason", ""), item.get("message", ""))
    await subject.write_events(w)


def _write_metric(w: Writer, metric: Obj, current: Obj) -> None:
    kind = metric.get("type", "")
    key = _SOURCES.get(kind)
    if key is None:
        w.write(f"<unknown metric type {quoted(kind)}>\n", 1)
        return
    source = metric.get(key) or {}
    seen: Obj | None = (current[key].get("current") or {}) if current.get(key) is not None else None
    wanted, name = source.get("target") or {}, (source.get("metric") or {}).get("name", "")
    if kind == "External":
        average = wanted.get("averageValue") is not None
        title = "target average value" if average else "target value"
        w.field(f"{quoted(name)} ({title})", _values(wanted, seen, "averageValue" if average else "value"), 1)
    elif kind == "Pods":
        w.field(f"{quoted(name)} on pods", _values(wanted, seen, "averageValue"), 1)
    elif kind == "Object":
        average = wanted.get("type") == "AverageValue"
        about, title = source.get("describedObject") or {}, "target average value" if average else "target value"
        shown = f'"{name}" on {about.get("kind", "")}/{about.get("name", "")} ({title})'
        w.field(shown, _values(wanted, seen, "averageValue" if average else "value"), 1)
    else:
        of = f' of container "{source.get("container", "")}"' if kind == "ContainerResource" else ""
        _write_usage(w, f"resource {source.get('name', '')}{of} on pods", wanted, seen)


def _values(wanted: Obj, seen: Obj | None, key: str) -> str:
    now = _UNKNOWN if seen is None or seen.get(key) is None else quantity.canonical(seen[key])
    return f"{now} / {quantity.canonical(wanted.get(key) or '0')}"


def _write_usage(w: Writer, title: str, wanted: Obj, seen: Obj | None) -> None:
    if wanted.get("averageValue") is not None:
        w.field(title, _values(wanted, seen, "averageValue"), 1)
        return
    now = _UNKNOWN
    if seen is not None and seen.get("averageUtilization") is not None:
        now = f"{seen['averageUtilization']}% ({quantity.canonical(seen.get('averageValue') or '0')})"
    utilization = wanted.get("averageUtilization")
    goal = "<auto>" if utilization is None else f"{utilization}%"
    w.field(f"{title}  (as a percentage of request)", f"{now} / {goal}", 1)


def _write_rules(w: Writer, title: str, rules: Obj | None) -> None:
    if rules is None:
        return
    w.write(f"{title}:\n", 1)
    if rules.get("stabilizationWindowSeconds") is not None:
        w.write(f"Stabilization Window: {rules['stabilizationWindowSeconds']} seconds\n", 2)
    policies = rules.get("policies") or ()
    if policies:
        w.write(f"Select Policy: {rules.get('selectPolicy') or 'Max'}\n", 2)
        w.write("Policies:\n", 2)
    for policy in policies:
        cells = (
            f"- Type: {policy.get('type', '')}",
            f"Value: {policy.get('value', 0)}",
            f"Period: {policy.get('periodSeconds', 0)} seconds",
        )
        w.row(*cells, level=3)


DESCRIBERS = {"HorizontalPodAutoscaler": describe_horizontal_pod_autoscaler}
