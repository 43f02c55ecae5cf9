"""One module per group of commands: `async run_<command>(ctx) -> exit code`."""
