"""`python -m logship`: the same as the `logship` command."""

from logship.cli.main import main

main()
