"""A function's calls in processes of their own, so that one which dies takes no other call with it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from multiprocessing import get_context
from multiprocessing.reduction import ForkingPickler
from types import TracebackType
from typing import Any

from ._errors import InputError

_HOW = "it has to stand in a module that a fresh process can import (no notebook, no lambda); threads take any function"


class ProcessEndedError(RuntimeError):
    """The process that made a call died before there was an answer."""


class Processes:
    """Calls of one function, as many at a time as are made, each alone in its process.

    A pool of several processes breaks as a whole when one of them dies, and every call that it has in hand fails with
    it. Here each process is a pool of its own: a death is the failure of the one call that was made there, and a
    fresh process takes the place.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._idle: list[ProcessPoolExecutor] = []

    def __enter__(self) -> Processes:
        try:
            self._check()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._close()

    def __call__(self, *words: Any) -> Any:
        """What the function gives, or raises; `ProcessEndedError` where its process dies at it."""
        return self._do(self._function, *words)

    def _do(self, work: Callable[..., Any], *words: Any) -> Any:
        while True:
            try:
                pool = self._idle.pop()
            except IndexError:
                # Fresh ones: a fork of a process that has threads, as this has, may never answer.
                pool = ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn"))
            try:
                future = pool.submit(work, *words)
            except BrokenExecutor:
                # It died at its last call, or while it was idle: this call has not begun.
                pool.shutdown(wait=False)
                continue
            try:
                return future.result()
            except BrokenExecutor as error:
                if not _is_broken(pool):
                    # The function's own, of a pool that it uses.
                    raise
                raise ProcessEndedError(
                    f"the process that made the call died, or what it sent cannot be read: {error}"
                ) from error
            finally:
                self._idle.append(pool)

    def _check(self) -> None:
        """Refuses a function that no other process can be given, before any point is asked for."""
        try:
            ForkingPickler.dumps(self._function)
        except Exception as error:
            raise InputError(f"the function cannot be sent to another process: {error}; {_HOW}") from error
        try:
            self._do(callable, self._function)
        except ProcessEndedError as error:
            raise InputError(
                "a fresh process that is given the function dies, for the reason on its standard error: "
                f'{_HOW}; a script that is run must do its work below `if __name__ == "__main__":`'
            ) from error

    def _close(self) -> None:
        for pool in self._idle:
            pool.shutdown()


def _is_broken(pool: ProcessPoolExecutor) -> bool:
    try:
        pool.submit(callable, None)
    except BrokenExecutor:
        return True
    return False
