"""The command line."""

from pronghorn.cli.commands import main as main
