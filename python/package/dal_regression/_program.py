"""The program ``dal`` as an entry point: the same words, output and exit codes as the Rust program."""

from __future__ import annotations

import signal
import sys

from . import _core


def main() -> int:
    """Run ``dal`` with the words of the command line; gives its exit code."""
    # Python's own handler would wait until the program returns. With the system's, Ctrl-C ends it at once, as it does
    # the Rust program; the commands that work long set a handler of their own.
    # Where it is ignored, as below nohup, it stays so.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.stdout.flush()
    return _core.program(["dal", *sys.argv[1:]])


def complaint(said: str) -> str:
    """The error that a program ``dal`` ended with, of all that it said on its standard error."""
    _, begins, words = f"\n{said}".rpartition("\nerror: ")
    return words.strip() if begins else said.strip() or "it ended without a word"


if __name__ == "__main__":
    sys.exit(main())
