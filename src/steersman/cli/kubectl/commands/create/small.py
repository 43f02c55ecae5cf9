"""`kubectl create` of kinds that need few words: namespace, serviceaccount, quota, poddisruptionbudget, priorityclass."""

from __future__ import annotations

import re

from steersman.cli.kubectl.commands.create.generate import Wanted, generator, meta
from steersman.cli.kubectl.errors import KubectlError
from steersman.cli.kubectl.flags import Flag
from steersman.machinery import labeltext, quantity
from steersman.machinery.meta import Obj

_AMOUNT = re.compile(r"[0-9]+%|[0-9]+")


def namespace(wanted: Wanted) -> Obj:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": meta(wanted.name), "spec": {}, "status": {}}


def service_account(wanted: Wanted) -> Obj:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta(wanted.name)}


def quota(wanted: Wanted) -> Obj:
    spec: Obj = {}
    if hard := wanted.flags.text("hard"):
        spec["hard"] = dict(_amount(part) for part in hard.split(","))
    if scopes := wanted.flags.text("scopes"):
        spec["scopes"] = scopes.split(",")
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta(wanted.name), "spec": spec, "status": {}}


def _amount(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or "=" in value:
        raise KubectlError(f"Invalid argument syntax {text}, expected <resource>=<value>")
    try:
        return name, quantity.canonical(value)
    except ValueError:
        raise KubectlError(
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
        ) from None


def pod_disruption_budget(wanted: Wanted) -> Obj:
    flags = wanted.flags
    minimum, maximum = flags.text("min-available"), flags.text("max-unavailable")
    if not flags.text("selector"):
        raise KubectlError("a selector must be specified")
    if not minimum and not maximum:
        raise KubectlError("one of min-available or max-unavailable must be specified")
    if minimum and maximum:
        raise KubectlError("min-available and max-unavailable cannot be both specified")
    name, text = ("min-available", minimum) if minimum else ("max-unavailable", maximum)
    if not _AMOUNT.fullmatch(text):
        raise KubectlError(f"invalid format specified for {name}")
    field = "minAvailable" if minimum else "maxUnavailable"
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": meta(wanted.name),
        "spec": {
            field: text if text.endswith("%") else int(text),
            "selector": labeltext.parse_to_label_selector(flags.text("selector")),
        },
        "status": {"currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0},
    }


def priority_class(wanted: Wanted) -> Obj:
    flags = wanted.flags
    obj: Obj = {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": meta(wanted.name),
        "preemptionPolicy": flags.text("preemption-policy"),
        "value": flags.number("value"),
    }
    if flags.text("description"):
        obj["description"] = flags.text("description")
    if flags.on("global-default"):
        obj["globalDefault"] = True
    return obj


NAMESPACE = generator(
    "Create a namespace with the specified name.", "create namespace NAME [--dry-run=server|client|none] [options]", namespace
)
SERVICE_ACCOUNT = generator(
    "Create a service account with the specified name.",
    "create serviceaccount NAME [--dry-run=server|client|none] [options]",
    service_account,
    failing="failed to create serviceaccount: ",
)
QUOTA = generator(
    "Create a resource quota with the specified name, hard limits, and optional scopes.",
    "create quota NAME [--hard=key1=value1,key2=value2] [--scopes=Scope1,Scope2] [options]",
    quota,
    (
        Flag("hard", help="A comma-delimited set of resource=quantity pairs that define a hard limit."),
        Flag("scopes", help="A comma-delimited set of quota scopes that must all match each object tracked by the quota."),
    ),
    failing="failed to create quota: ",
)
POD_DISRUPTION_BUDGET = generator(
    "Create a pod disruption budget with the specified name, selector, and desired minimum available pods.",
    "create poddisruptionbudget NAME --selector=SELECTOR --min-available=N [options]",
    pod_disruption_budget,
    (
        Flag("max-unavailable", help="The maximum number or percentage of unavailable pods this budget requires."),
        Flag("min-available", help="The minimum number or percentage of available pods this budget requires."),
        Flag("selector", help="A label selector to use for this budget."),
    ),
    failing="failed to create poddisruptionbudgets: ",
)
PRIORITY_CLASS = generator(
    "Create a priority class with the specified name, value, globalDefault and description.",
    "create priorityclass NAME --value=VALUE --global-default=BOOL [options]",
    priority_class,
    (
        Flag("description", help="An arbitrary string that usually provides guidelines on when it should be used."),
        Flag("global-default", "bool", "Whether this priority class should be considered as the default priority."),
        Flag(
            "preemption-policy",
            help="The policy for preempting pods with lower priority.",
            default="PreemptLowerPriority",
        ),
        Flag("value", "int", "the value of this priority class."),
    ),
    failing="failed to create priorityclass: ",
)
