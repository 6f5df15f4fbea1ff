"""What several tests share."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest

PROBLEM = """
name = "bowl"
[[inputs]]
name = "a"
low = 0
high = 10
[[inputs]]
name = "b"
low = -1
high = 1
[[outputs]]
name = "y"
"""


def pytest_configure() -> None:
    """Ctrl-C ends what it is pressed for: a job in a shell's background starts with it ignored, and so do its children,
    so that tests of it would wait for ever."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def problem_file(tmp_path: Path) -> Path:
    path = tmp_path / "bowl.toml"
    path.write_text(PROBLEM)
    return path


@pytest.fixture
def data() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Labelled points, answers, a pool, and a committee of five at it."""
    rng = np.random.default_rng(5)
    X, pool = rng.uniform(-1, 1, (12, 3)), rng.uniform(-1, 1, (80, 3))
    members = rng.normal(size=(5, 80, 1))
    return X, np.sin(X.sum(axis=1)), pool, members


def bowl(point: dict[str, float]) -> float:
    return (point["a"] - 3) ** 2 / 10 + point["b"] ** 2


def deadly(point: dict[str, float]) -> float:
    """Ends its process, as a crash in compiled code does."""
    if point["a"] > 8:
        os._exit(3)
    return bowl(point)


class Unreadable(Exception):
    """Cannot be made again where it is sent."""

    def __init__(self, one: str, other: str) -> None:
        super().__init__(one)


def unreadable(point: dict[str, float]) -> float:
    raise Unreadable("a", "b")
