"""`kubectl create`: from files, or (subcommands) from flags: which kinds can be made so is in SUBCOMMANDS."""

from __future__ import annotations

from steersman.cli.kubectl import common
from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.errors import PlainError, UsageError, raise_all, with_source
from steersman.cli.kubectl.flags import Flag, Flags
from steersman.cli.kubectl.lastapplied import annotate
from steersman.cli.kubectl.resources import find, query_of
from steersman.cli.kubectl.writing import Writer
from steersman.machinery.errors import StatusError

SUMMARY = """Create a resource from a file or from stdin.

 JSON and YAML formats are accepted."""
USAGE = "create -f FILENAME [options]"
EXAMPLES = """  # Create a pod using the data in pod.json
  kubectl create -f ./pod.json

  # Create a pod based on the JSON passed into stdin
  cat pod.json | kubectl create -f -"""
SAVE_CONFIG = Flag(
    "save-config",
    "bool",
    "If true, the configuration of current object will be saved in its annotation. Otherwise, the annotation will be unchanged.",
)
FLAGS = (
    common.DRY_RUN,
    common.field_manager("kubectl-create"),
    Flag("raw", help="Raw URI to POST to the server. Uses the transport specified by the kubeconfig file."),
    SAVE_CONFIG,
    common.SELECTOR,
    common.VALIDATE,
    *common.FILES,
    *common.PRINTING,
)
_HERE = "steersman.cli.kubectl.commands.create."
SUBCOMMANDS = {
    "clusterrole": _HERE + "rbac:CLUSTER_ROLE",
    "clusterrolebinding": _HERE + "rbac:CLUSTER_ROLE_BINDING",
    "configmap": _HERE + "configs:CONFIG_MAP",
    "cronjob": _HERE + "workloads:CRON_JOB",
    "deployment": _HERE + "workloads:DEPLOYMENT",
    "ingress": _HERE + "ingress:INGRESS",
    "job": _HERE + "workloads:JOB",
    "namespace": _HERE + "small:NAMESPACE",
    "poddisruptionbudget": _HERE + "small:POD_DISRUPTION_BUDGET",
    "priorityclass": _HERE + "small:PRIORITY_CLASS",
    "quota": _HERE + "small:QUOTA",
    "role": _HERE + "rbac:ROLE",
    "rolebinding": _HERE + "rbac:ROLE_BINDING",
    "secret": _HERE + "secrets:SECRET",
    "service": _HERE + "services:SERVICE",
    "serviceaccount": _HERE + "small:SERVICE_ACCOUNT",
    "token": _HERE + "token:TOKEN",
}
ALIASES = {
    "cj": "cronjob", "cm": "configmap", "deploy": "deployment", "dep": "deployment", "ing": "ingress", "ns": "namespace",
    "pc": "priorityclass", "pdb": "poddisruptionbudget", "resourcequota": "quota", "sa": "serviceaccount", "svc": "service",
}  # fmt: skip


async def run(ctx: Context, flags: Flags, args: list[str]) -> int:
    if not flags.texts("filename") and not flags.text("kustomize") and not flags.text("raw"):
        if args:
            raise UsageError(ctx.command, f"Unexpected args: [{' '.join(args)}]")
        raise PlainError("error: must specify one of -f and -k")
    if args:
        raise UsageError(ctx.command, f"Unexpected args: [{' '.join(args)}]")
    if raw := flags.text("raw"):
        return await _raw(ctx, flags, raw)
    writer = Writer(ctx, "kubectl-create")
    found = await find(ctx, query_of(flags, (), fetch=False))
    for info in found.infos:
        if flags.on("save-config"):
            info.obj = annotate(info.object)
        try:
            if not writer.local:
                info.refresh(await writer.create(info))
        except StatusError as error:
            found.errors.append(with_source("creating", info.source, error))
            continue
        writer.tell(info, "created")
    raise_all(found.errors)
    return 0


async def _raw(ctx: Context, flags: Flags, target: str) -> int:
    from steersman.cli.kubectl.files import texts

    body = "".join(text for _, text in texts(ctx, flags.texts("filename"), False))
    answer = await ctx.client.transport.request(
        "POST", target, headers={"Content-Type": "application/json", "Accept": "application/json"}, body=body.encode()
    )
    if not 200 <= answer.status < 300:
        import orjson

        from steersman.machinery.errors import from_status

        raise from_status(orjson.loads(answer.body), answer.status)
    ctx.out.write(answer.body.decode(errors="replace"))
    return 0
