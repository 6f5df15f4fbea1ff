"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from ._errors import FolderError


def write_whole(path: str | os.PathLike[str], content: bytes) -> None:
    """Write beside the place first, so that a full disk or a kill leaves what was there."""
    place = Path(path)
    temporary = place.with_name(f"{place.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, place)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise FolderError(f"{place}: cannot be written: {error}") from error
