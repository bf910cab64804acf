"""`python -m gateway.cli`, for where the console script is not on the path."""

from gateway.cli.program import main

main()
