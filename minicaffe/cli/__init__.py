"""The command line: one module a subcommand, found by name in __main__.py."""
