"""Print lines of the command line on stderr: what it does, and why a run cannot start."""

import sys

MISUSED = 2
"""Exit status of a run that could not start."""


def say(line: str) -> None:
    """Print a line to stderr, at once."""
    print(line, file=sys.stderr, flush=True)


def refuse(sentence: str) -> int:
    """Say why the run cannot start, and return its exit status."""
    say(f"error: {sentence}")
    return MISUSED
