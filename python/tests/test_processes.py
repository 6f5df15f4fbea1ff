"""Calls in processes of their own: what becomes of one that dies."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from conftest import bowl, deadly, unreadable
from dal_regression._processes import ProcessEndedError, Processes


def test_a_process_that_dies_takes_no_other_call_with_it():
    points = [{"a": float(a), "b": 0.0} for a in (1, 9, 2, 3)]

    def outcome(point):
        try:
            return call(point)
        except ProcessEndedError:
            return "ended"

    with Processes(deadly) as call, ThreadPoolExecutor(4) as threads:
        for _ in range(2):
            assert list(threads.map(outcome, points)) == [bowl(points[0]), "ended", bowl(points[2]), bowl(points[3])]


def test_an_answer_that_cannot_be_read_is_the_calls_own_failure():
    with Processes(unreadable) as call:
        for _ in range(2):
            with pytest.raises(ProcessEndedError, match="died, or what it sent cannot be read"):
                call({"a": 1.0})


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no such signal")
def test_a_process_that_died_between_calls_fails_none():
    with Processes(os.getpid) as call:
        first = call()
        os.kill(first, signal.SIGKILL)
        time.sleep(0.5)
        assert call() != first
