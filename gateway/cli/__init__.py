"""The command line. Commands say what is asked for and show what came of it; services do the work."""

from gateway.cli.program import main as main
