"""Executes the notebooks of this folder; an error of a cell is an error."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient


def main() -> None:
    if sys.platform == "win32":
        asyncio.set_event_loop_policy(asyncio.WindowsSelectorEventLoopPolicy())
    paths = sorted(Path(__file__).parent.glob("*.ipynb"))
    if not paths:
        sys.exit("there is no notebook here")
    for path in paths:
        NotebookClient(nbformat.read(path, as_version=4), timeout=120, kernel_name="python3").execute()
        print(path.name, "executed")


if __name__ == "__main__":
    main()
