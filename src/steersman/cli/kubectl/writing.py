"""Writes as kubectl makes them: dry runs, field managers, field validation; and the line that says what was done.

    writer = Writer(ctx, "kubectl-create")
    info.refresh(await writer.create(info))
    writer.tell(info, "created")

Not here: what to write (each verb).
"""

from __future__ import annotations

from typing import Any, cast

import orjson

from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.errors import KubectlError
from steersman.cli.kubectl.resources import Info
from steersman.client.rest import PATCH_TYPES, collection_path, object_path, query
from steersman.machinery.meta import Obj

_VALIDATION = {"strict": "Strict", "true": "Strict", "warn": "Warn", "ignore": "Ignore", "false": "Ignore"}


class Writer:
    """`manager`: the verb's name in managedFields, unless --field-manager says another. Flags the verb lacks are as not given."""

    def __init__(self, ctx: Context, manager: str) -> None:
        flags = ctx.flags
        self._ctx = ctx
        given = flags.text("field-manager") if flags.has("field-manager") else ""
        self._manager = given or manager
        self.dry_run = dry_run(ctx)
        self._validation = ""
        if flags.has("validate"):
            given = flags.text("validate")
            if given not in _VALIDATION:
                raise KubectlError(
                    f'invalid - validate option "{given}"; must be one of: strict (or true), warn, ignore (or false)'
                )
            self._validation = _VALIDATION[given]
        self._output = flags.text("output") if flags.has("output") else ""
        self._template = flags.text("template") if flags.has("template") else ""
        self._printer: Any = None
        if self._printing:
            self._printer = self._make_printer()

    @property
    def local(self) -> bool:
        """--dry-run=client: nothing is sent."""
        return self.dry_run == "client"

    async def create(self, info: Info) -> Obj:
        path = collection_path(info.resource, info.namespace)
        return await self._send("POST", path, info.object, fieldValidation=self._validation)

    async def replace(self, info: Info, *, subresource: str = "") -> Obj:
        path = object_path(info.resource, info.namespace, info.name, subresource)
        return await self._send("PUT", path, info.object, fieldValidation=self._validation)

    async def patch(
        self, info: Info, patch: Any, kind: str, *, subresource: str = "", force: bool = False, manager: str = ""
    ) -> Obj:
        """kind: `merge`, `strategic`, `json`, `apply`. `patch` is what is sent, or its bytes."""
        path = object_path(info.resource, info.namespace, info.name, subresource)
        return await self._send(
            "PATCH",
            path,
            patch,
            content_type=PATCH_TYPES[kind],
            fieldValidation=self._validation,
            force="true" if force else "",
            fieldManager=manager or self._manager,
        )

    async def delete(self, info: Info, options: Obj) -> Obj:
        """The object, or the Status of its deletion."""
        # A server that finds options in the body looks at no others.
        sent = {**options, "dryRun": ["All"]} if self.dry_run == "server" else options
        return await self._send("DELETE", object_path(info.resource, info.namespace, info.name), sent, fieldManager="")

    async def _send(self, method: str, path: str, body: Any, *, content_type: str = "application/json", **params: str) -> Obj:
        params = {"fieldManager": self._manager, **params}
        if self.dry_run == "server":
            params["dryRun"] = "All"
        # Sorted as Go's maps are: the server names unknown fields in the order in which they come.
        sent = body if isinstance(body, bytes) else orjson.dumps(body, option=orjson.OPT_SORT_KEYS)
        headers = {"Accept": "application/json", "Content-Type": content_type}
        return cast(Obj, await self._ctx.client.raw(method, path + query(**params), body=sent, headers=headers))

    def done(self, operation: str) -> str:
        """`created`, `created (dry run)`, `created (server dry run)`."""
        return f"{operation}{ {'client': ' (dry run)', 'server': ' (server dry run)'}.get(self.dry_run, '') }"

    def tell(self, info: Info, operation: str, *, plain: bool = False, alone: bool = False) -> None:
        """`pod/web created`, or what `-o` asks for. `plain`: dry runs are not mentioned. `alone`: no `---` before it."""
        self.tell_object(info.object, operation, plain=plain, alone=alone)

    def tell_object(self, obj: Obj, operation: str, *, plain: bool = False, alone: bool = False) -> None:
        if self._printer is not None:
            (self._make_printer() if alone else self._printer).print(obj, self._ctx.out)
            return
        from steersman.cli.kubectl.output.documents import title

        self._ctx.print(f"{title(obj)} {operation if plain else self.done(operation)}")

    def tell_objects(self, done: list[tuple[Obj, str]]) -> None:
        """Objects, each with what was done to it, for `-o yaml` and the like: one as itself, several as a List."""
        if len(done) == 1:
            self.tell_object(*done[0])
        elif done:
            items = [obj for obj, _ in done]
            self.tell_object({"apiVersion": "v1", "kind": "List", "items": items, "metadata": {}}, "")

    @property
    def _printing(self) -> bool:
        return bool(self._output or self._template)

    def _make_printer(self) -> Any:
        from steersman.cli.kubectl.output import PrintOptions, printer

        flags = self._ctx.flags
        managed = flags.has("show-managed-fields") and flags.on("show-managed-fields")
        return printer(self._output, PrintOptions(template=self._template, managed_fields=managed))


def dry_run(ctx: Context) -> str:
    """`none`, `client` or `server`."""
    given = ctx.flags.text("dry-run") if ctx.flags.has("dry-run") else "none"
    if given == "unchanged":
        ctx.complain("W --dry-run is deprecated and can be replaced with --dry-run=client.")
        return "client"
    if given not in ("none", "client", "server"):
        raise KubectlError(f'Invalid dry-run value ({given}). Must be "none", "server", or "client".')
    return given
