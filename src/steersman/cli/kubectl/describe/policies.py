"""NetworkPolicy, PodDisruptionBudget, PriorityClass."""

from __future__ import annotations

from collections.abc import Sequence

from steersman.cli.kubectl.describe.golang import time_string, verb_v
from steersman.cli.kubectl.describe.subject import Subject, pairs, selector_text, write_annotations, write_labels
from steersman.cli.kubectl.describe.writer import Writer
from steersman.machinery.meta import Obj, annotations_of, labels_of, metadata, name_of, namespace_of

_INDENT = "    "


async def describe_network_policy(subject: Subject, w: Writer) -> None:
    policy, spec = subject.obj, subject.spec
    w.field("Name", name_of(policy))
    w.field("Namespace", namespace_of(policy))
    w.field("Created on", time_string(metadata(policy).get("creationTimestamp")))
    write_labels(w, "Labels", labels_of(policy))
    write_annotations(w, annotations_of(policy))
    w.write("Spec:\n")
    w.write("PodSelector: ", 1)
    selected = selector_text(spec.get("podSelector") or {})
    if selected == "<none>":
        selected += " (Allowing the specific traffic to all pods in this namespace)"
    w.write(f"{selected}\n", 2)
    types = spec.get("policyTypes") or ()
    for direction, key, peers, word, by in (
        ("Ingress", "ingress", "from", "From", "source"),
        ("Egress", "egress", "to", "To", "destination"),
    ):
        if direction not in types:
            w.write(f"Not affecting {key} traffic\n", 1)
            continue
        w.write(f"Allowing {key} traffic:\n", 1)
        rules = spec.get(key) or ()
        if not rules:
            w.write(f"{_INDENT}<none> (Selected pods are isolated for {key} connectivity)\n")
        for place, rule in enumerate(rules):
            _write_ports(w, rule.get("ports") or ())
            _write_peers(w, rule.get(peers) or (), word, by)
            if place < len(rules) - 1:
                w.write(f"{_INDENT}----------\n")
    w.write(f"Policy Types: {', '.join(types) or '<none>'}\n", 1)


def _write_ports(w: Writer, ports: Sequence[Obj]) -> None:
    if not ports:
        w.write(f"{_INDENT}To Port: <any> (traffic allowed to all ports)\n")
    for port in ports:
        number, protocol, end = port.get("port"), port.get("protocol") or "TCP", port.get("endPort")
        shown = "<nil>" if number is None else number
        if end is None:
            w.write(f"{_INDENT}To Port: {shown}/{protocol}\n")
        else:
            w.write(f"{_INDENT}To Port Range: {shown}-{end}/{protocol}\n")


def _write_peers(w: Writer, peers: Sequence[Obj], word: str, by: str) -> None:
    if not peers:
        w.write(f"{_INDENT}{word}: <any> (traffic not restricted by {by})\n")
    for peer in peers:
        w.write(f"{_INDENT}{word}:\n")
        selectors = [
            (title, peer.get(key)) for title, key in (("NamespaceSelector", "namespaceSelector"), ("PodSelector", "podSelector"))
        ]
        for title, selector in selectors:
            if selector is not None:
                w.write(f"{_INDENT}{title}: {selector_text(selector)}\n", 1)
        block = peer.get("ipBlock")
        if block is not None and not any(selector is not None for _, selector in selectors):
            w.write(f"{_INDENT}IPBlock:\n", 1)
            w.write(f"{_INDENT}CIDR: {block.get('cidr', '')}\n", 2)
            w.write(f"{_INDENT}Except: {', '.join(block.get('except') or ())}\n", 2)


async def describe_pod_disruption_budget(subject: Subject, w: Writer) -> None:
    budget, spec, status = subject.obj, subject.spec, subject.status
    w.field("Name", name_of(budget))
    w.field("Namespace", namespace_of(budget))
    if spec.get("minAvailable") is not None:
        w.field("Min available", spec["minAvailable"])
    elif spec.get("maxUnavailable") is not None:
        w.field("Max unavailable", spec["maxUnavailable"])
    w.field("Selector", "<unset>" if spec.get("selector") is None else selector_text(spec["selector"]))
    w.write("Status:\n")
    for title, key in (
        ("Allowed disruptions", "disruptionsAllowed"),
        ("Current", "currentHealthy"),
        ("Desired", "desiredHealthy"),
        ("Total", "expectedPods"),
    ):
        w.field(title, status.get(key, 0), 2)
    await subject.write_events(w)


async def describe_priority_class(subject: Subject, w: Writer) -> None:
    found = subject.obj
    w.field("Name", name_of(found))
    w.field("Value", found.get("value", 0))
    w.field("GlobalDefault", verb_v(bool(found.get("globalDefault"))))
    w.field("PreemptionPolicy", found.get("preemptionPolicy", ""))
    w.field("Description", found.get("description", ""))
    w.field("Annotations", pairs(annotations_of(found)))
    await subject.write_events(w)


DESCRIBERS = {
    "NetworkPolicy": describe_network_policy,
    "PodDisruptionBudget": describe_pod_disruption_budget,
    "PriorityClass": describe_priority_class,
}
