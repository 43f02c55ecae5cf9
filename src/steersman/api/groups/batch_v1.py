"""batch/v1: jobs and cron jobs."""

from __future__ import annotations

from steersman.api import resources as r
from steersman.api.defaults import batch as defaults
from steersman.api.groups.common import selectable
from steersman.api.kinds import STATUS, KindSpec
from steersman.api.strategies import batch

JOBS = KindSpec(
    resource=r.JOBS,
    categories=("all",),
    schema="io.k8s.api.batch.v1.Job",
    default=defaults.job,
    strategy=batch.JOB,
    subresources=(STATUS,),
    selectable=selectable(
        "status.successful", aliases={"status.successful": "status.succeeded"}, zero_fields=("status.succeeded",)
    ),
    strict_field_message=True,
    unknown_field='field label "{}" not supported for Job',
)

CRON_JOBS = KindSpec(
    resource=r.CRON_JOBS,
    short_names=("cj",),
    categories=("all",),
    schema="io.k8s.api.batch.v1.CronJob",
    default=defaults.cron_job,
    strategy=batch.CRON_JOB,
    subresources=(STATUS,),
)

KINDS: tuple[KindSpec, ...] = (CRON_JOBS, JOBS)
