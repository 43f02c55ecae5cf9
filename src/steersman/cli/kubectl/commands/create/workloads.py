"""`kubectl create deployment`, `job` and `cronjob`."""

from __future__ import annotations

import secrets
import string

from steersman.cli.kubectl.commands.create.generate import Wanted, generator, meta
from steersman.cli.kubectl.errors import KubectlError
from steersman.cli.kubectl.flags import Flag
from steersman.cli.kubectl.resources import Query, find_one
from steersman.machinery.meta import Obj, annotations_of, labels_of, owner_reference

_NO_MARKS = str.maketrans("_.", "--")


def container_name(image: str) -> str:
    """Of an image: its last part without tag and digest. Where that can't be a name it is mended and made unique."""
    name = image.rpartition("/")[2].partition(":")[0].partition("@")[0]
    if not set(name) & {"_", "."}:
        return name
    tail = "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(5))
    return f"{name.translate(_NO_MARKS)}-{tail}"


def deployment(wanted: Wanted) -> Obj:
    images = wanted.flags.texts("image")
    if len(images) > 1 and wanted.command:
        raise KubectlError("cannot specify multiple --image options and command")
    containers: list[Obj] = [{"image": image, "name": container_name(image), "resources": {}} for image in images]
    if wanted.command:
        containers[0]["command"] = list(wanted.command)
    if wanted.flags.number("port") >= 0:
        containers[0]["ports"] = [{"containerPort": wanted.flags.number("port")}]
    labels = {"app": wanted.name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": meta(wanted.name, labels=labels),
        "spec": {
            "replicas": wanted.flags.number("replicas"),
            "selector": {"matchLabels": labels},
            "strategy": {},
            "template": {"metadata": {"creationTimestamp": None, "labels": labels}, "spec": {"containers": containers}},
        },
        "status": {},
    }


async def job(wanted: Wanted) -> Obj:
    image, source = wanted.flags.text("image"), wanted.flags.text("from")
    if bool(image) == bool(source):
        raise KubectlError("either --image or --from must be specified")
    if source:
        if wanted.command:
            raise KubectlError("cannot specify --from and command")
        return await _job_of(wanted, source)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": meta(wanted.name),
        "spec": {"template": _template(wanted, "Never")},
        "status": {},
    }


async def _job_of(wanted: Wanted, source: str) -> Obj:
    """A run of a cron job now, by hand; the cron job owns it."""
    info = await find_one(wanted.ctx, Query(args=(source,), default_type="cronjob"))
    if info.resource.kind != "CronJob":
        raise KubectlError(f"from must be an existing cronjob: {info.object.get('apiVersion')}, Kind={info.resource.kind}")
    template = info.object["spec"]["jobTemplate"]
    annotations = {"cronjob.kubernetes.io/instantiate": "manual", **annotations_of(template)}
    made = meta(wanted.name, annotations=annotations)
    if labels := labels_of(template):
        made["labels"] = labels
    made["ownerReferences"] = [owner_reference(info.object, block_deletion=False)]
    spec = template["spec"]
    spec["template"]["metadata"] = {"creationTimestamp": None, **(spec["template"].get("metadata") or {})}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": made, "spec": spec, "status": {}}


def cron_job(wanted: Wanted) -> Obj:
    restart = wanted.flags.text("restart") or "OnFailure"
    inner = {"metadata": meta(wanted.name), "spec": {"template": _template(wanted, restart)}}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": meta(wanted.name),
        "spec": {"jobTemplate": inner, "schedule": wanted.flags.text("schedule")},
        "status": {},
    }


def _template(wanted: Wanted, restart: str) -> Obj:
    container: Obj = {"image": wanted.flags.text("image"), "name": wanted.name, "resources": {}}
    if wanted.command:
        container["command"] = list(wanted.command)
    return {"metadata": {"creationTimestamp": None}, "spec": {"containers": [container], "restartPolicy": restart}}


DEPLOYMENT = generator(
    "Create a deployment with the specified name.",
    "create deployment NAME --image=image -- [COMMAND] [args...] [options]",
    deployment,
    (
        Flag("image", "strings", "Image names to run. A deployment can have multiple images set for multiple containers."),
        Flag("port", "int", "The containerPort that this deployment exposes.", default=-1),
        Flag("replicas", "int", "Number of replicas to create. Default is 1.", short="r", default=1),
    ),
    required=("image",),
    failing="failed to create deployment: ",
)
JOB = generator(
    "Create a job with the specified name.",
    "create job NAME --image=image [--from=cronjob/name] -- [COMMAND] [args...] [options]",
    job,
    (
        Flag("from", help="The name of the resource to create a Job from (only cronjob is supported)."),
        Flag("image", help="Image name to run."),
    ),
    failing="failed to create job: ",
)
CRON_JOB = generator(
    "Create a cron job with the specified name.",
    "create cronjob NAME --image=image --schedule='0/5 * * * ?' -- [COMMAND] [args...] [options]",
    cron_job,
    (
        Flag("image", help="Image name to run."),
        Flag("restart", help="job's restart policy. supported values: OnFailure, Never"),
        Flag("schedule", help="A schedule in the Cron format the job should be run with."),
    ),
    required=("image", "schedule"),
    failing="failed to create cronjob: ",
)
