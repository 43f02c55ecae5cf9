"""kubectl of our own. main.py finds the verb and runs it; everything is imported when it is needed, to start fast.

How a verb is written (commands/get.py, commands/delete.py are examples): a module in `commands/` and its line in `main.VERBS`.

    SUMMARY = "Print the frobs of a pod."              first line of its help
    USAGE = "frob (POD | TYPE/NAME) [options]"         without `kubectl `
    EXAMPLES = "  # Frob a pod\n  kubectl frob web"    optional
    FLAGS = (Flag("all", "bool", "Frob all of them."), *common.SELECTING)     flags.Flag; shared groups are in common.py
    async def run(ctx: Context, flags: Flags, args: list[str]) -> int: ...    the exit code

- `flags.text("x")`, `.on("x")`, `.number`, `.seconds`, `.texts`, `.changed("x")`; `flags.dash` is the place of `--` or -1.
- `ctx.client` is a client.rest.RestClient (get, list, watch, raw …); `ctx.namespace`, `ctx.print(line)`, `ctx.complain(line)`
  (stderr), `ctx.clock`, `ctx.stdin`. Writes with dry run, field manager, validation: `writing.Writer`.
- `found = await find(ctx, query_of(flags, args))` (resources.py) gives `found.infos` (`.obj`, `.resource`, `.name`, `.namespace`,
  `.shown` = `deployment.apps/web`) and `found.errors`; work on the infos, then `raise_all(found.errors)`. `find_one` for one.
- `await ctx.mapper.for_argument("deploy")`, `.for_kind("apps", "v1", "Deployment")`, `.all(fresh=True)`: mapping.py.
- Errors: raise KubectlError("text") for `error: text`, UsageError(ctx.command, "text") where upstream adds `See 'kubectl … -h'`,
  PlainError for texts without a lead, ExitError(2) for a code alone. StatusError and failures to connect are told by main.
- A verb with subcommands has `SUBCOMMANDS = {"status": "steersman.cli.kubectl.commands.rollout:STATUS"}`: a module, or a
  `Command` in a module. Its own `run` is left out if it does nothing without one.
"""
