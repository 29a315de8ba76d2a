"""The command `personagen`: a module for each command, and what they share.

Here belong options, output files and exit codes; what is done is elsewhere in `serving`. Nothing here imports numpy
before a command runs, so that help is fast.
"""

from serving.cli.command import cli, main

__all__ = ["cli", "main"]
