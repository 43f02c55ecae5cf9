"""`kubectl auth whoami`: as whom the server knows one (KEP-3325)."""

from __future__ import annotations

from steersman.cli.kubectl import common
from steersman.cli.kubectl.command import Command
from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.flags import Flags
from steersman.cli.kubectl.output import PrintOptions, printer
from steersman.cli.kubectl.output.documents import encode
from steersman.cli.kubectl.output.table import layout
from steersman.machinery.govalues import plain
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj

_REVIEWS = Resource("authentication.k8s.io", "v1", "selfsubjectreviews", False)


async def _whoami(ctx: Context, flags: Flags, args: list[str]) -> int:
    output = flags.text("output")
    options = PrintOptions(template=flags.text("template"), allow_missing_keys=flags.on("allow-missing-template-keys"))
    printing = printer(output, options) if output or options.template else None
    review = await ctx.client.create(_REVIEWS, {"apiVersion": _REVIEWS.api_version, "kind": "SelfSubjectReview"})
    user: Obj = (review.get("status") or {}).get("userInfo") or {}
    if output == "json":
        # Upstream prints a struct here, whose fields have an order of their own.
        ordered = {key: user[key] for key in ("username", "uid", "groups", "extra") if key in user}
        shown = {**{key: review[key] for key in ("kind", "apiVersion", "metadata")}, "status": {"userInfo": ordered}}
        ctx.print(encode(shown, indent=4, in_order=True))
        return 0
    if printing is not None:
        printing.print(review, ctx.out)
        return 0
    rows = [["ATTRIBUTE", "VALUE"]]
    rows += [[title, str(user[key])] for title, key in (("Username", "username"), ("UID", "uid")) if user.get(key)]
    if user.get("groups"):
        rows.append(["Groups", plain(user["groups"])])
    extra = user.get("extra") or {}
    rows += [[f"Extra: {key}", plain(extra[key])] for key in sorted(extra)]
    ctx.out.write(layout(rows))
    return 0


WHOAMI = Command(
    "Experimental: Check who you are and your attributes (groups, extra).", "auth whoami [options]", common.PRINTING, _whoami
)
