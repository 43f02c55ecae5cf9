"""The subcommands, one module each: `configure(parser)`, `run(args) -> exit code`, and PROBLEMS, the errors told in one line."""
