"""``python -m kovra`` is the CLI."""

from kovra.entrypoints.cli import main

main()
