"""What goes wrong inside the compiled part comes out as an exception of ours and leaves the interpreter as it was."""

from __future__ import annotations

import numpy as np
import pytest

import dal_regression as dal
from dal_regression import _core

provoke = getattr(_core, "provoke_panic", None)


@pytest.mark.skipif(provoke is None, reason="a wheel for release cannot be made to panic")
@pytest.mark.parametrize(
    "way, words",
    [("guarded", "provoked"), ("at once", "provoked"), ("interruptible", "provoked at run time"), ("left behind", "")],
)
def test_a_panic_becomes_an_exception_of_ours(way, words, capfd):
    for _ in range(2):
        with pytest.raises(dal.InternalError, match=f"please report it: {words}$") as caught:
            provoke(way)
        assert isinstance(caught.value, dal.DalError) and isinstance(caught.value, Exception)
    # Where it was is on the standard error, for the report.
    assert "work.rs" in capfd.readouterr().err
    assert dal.select("gsx", [[0.0]], [[0.0]], np.linspace(-1, 1, 9).reshape(-1, 1), n=2).tolist() == [0, 8]


def test_more_points_than_memory_has_room_for_are_refused():
    stack = dal.problem("stack")
    for n in (2**45, 2**61, 2**63):
        with pytest.raises(dal.InputError, match="do not fit into memory"):
            stack.sample(n)
    assert stack.sample(2).shape[0] == 2
