"""Executes the notebooks of this folder, which are those of `make.py`; an error of a cell is an error."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import make
import nbformat
from nbclient import NotebookClient


def main() -> None:
    if sys.platform == "win32":
        asyncio.set_event_loop_policy(asyncio.WindowsSelectorEventLoopPolicy())
    for name in make.NOTEBOOKS:
        path = Path(__file__).with_name(name)
        if path.read_text(encoding="utf-8") != make.text(name):
            sys.exit(f"{name}: is not what make.py writes; run `python make.py`")
        NotebookClient(nbformat.read(path, as_version=4), timeout=120, kernel_name="python3").execute()
        print(path.name, "executed")


if __name__ == "__main__":
    main()
