"""Campaigns in a folder: from a simulator or a laboratory to a surrogate."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from . import _core
from ._errors import FolderError, InputError
from ._files import write_whole
from ._tables import from_csv, table, to_csv

log = logging.getLogger("dal_regression")


class Campaign:
    """A campaign in a folder: the same that the program ``dal`` begins and goes on with.

    Parameters
    ----------
    folder : path
        The campaign's folder. Where there is none yet, `problem` begins one.
    problem : path, optional
        The problem file: inputs, outputs, who answers (docs/problems.md). Given for a campaign that has begun, it is
        an error.
    threads : int, optional
        Threads that train; one for each processor by default. They change nothing but the time.
    **settings
        Of a campaign that begins: ``seed``, ``initial``, ``batch``, ``strategy``, ``strategy_settings``, ``budget``,
        ``constraints``: the keys of ``campaign.toml``.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        problem: str | os.PathLike[str] | None = None,
        threads: int | None = None,
        **settings: Any,
    ) -> None:
        self.folder = Path(folder)
        if problem is not None:
            self._begin(Path(problem), settings)
        elif settings:
            raise InputError(
                f"{', '.join(settings)}: the campaign has begun; edit {self.folder / 'campaign.toml'}, "
                "or give a problem to begin one"
            )
        self._core = _core.Campaign(str(self.folder), threads)
        self._threads = threads

    def _begin(self, problem: Path, settings: dict[str, Any]) -> None:
        if not problem.is_file():
            raise FolderError(f"{problem}: there is no such problem file")
        is_new = not self.folder.exists()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FolderError(f"{self.folder}: cannot be made: {error}") from error
        try:
            # The settings file names the problem as seen from the campaign's folder.
            place = os.path.relpath(problem.resolve(), self.folder.resolve())
            _core.Campaign.begin(str(self.folder), place, json.dumps(settings))
        except BaseException:
            if is_new and not any(self.folder.iterdir()):
                self.folder.rmdir()
            raise

    def __repr__(self) -> str:
        return f"<campaign {self.folder}>"

    def __reduce__(self) -> Any:
        # The folder is the campaign; it is opened again where it is unpickled.
        return Campaign, (str(self.folder), None, self._threads)

    @property
    def settings(self) -> dict[str, Any]:
        """What ``campaign.toml`` says."""
        settings: dict[str, Any] = self._describe()["settings"]
        return settings

    @property
    def inputs(self) -> list[str]:
        """Names of the inputs."""
        return list(self._describe()["inputs"])

    @property
    def outputs(self) -> list[str]:
        """Names of the outputs."""
        return list(self._describe()["outputs"])

    def _describe(self) -> dict[str, Any]:
        described: dict[str, Any] = json.loads(self._core.describe())
        return described

    def ask(
        self,
        n: int | None = None,
        owner: str | None = None,
        lease_hours: float | None = None,
        fixed: dict[str, Any] | None = None,
        dry_run: bool = False,
    ) -> Any:
        """Points to be labelled elsewhere, and why these. They are in the log when this returns.

        Parameters
        ----------
        n : int, optional
            How many; the campaign's ``batch`` by default.
        owner : str, optional
            To whom they go.
        lease_hours : float, optional
            After which time those without an answer are asked for again.
        fixed : dict, optional
            Inputs that are held at a value.
        dry_run : bool
            Say nothing in the log.

        Returns
        -------
        DataFrame, or a dict of arrays without pandas
            ``id``, the inputs in physical values, ``score``, ``disagreement``, ``distance``, ``probability``.
        """
        pairs = [(name, str(value)) for name, value in (fixed or {}).items()]
        asked = json.loads(self._core.ask(n, owner, lease_hours, pairs, dry_run))
        self._note(asked["notes"])
        points = asked["points"]
        names = ["id", *self.inputs, "score", "disagreement", "distance", "probability"]
        return table({name: [point[name] for point in points] for name in names})

    def tell(self, answers: Any, otherwise: str = "refuse", source: str = "python") -> dict[str, int]:
        """Take answers: all rows count, or none.

        Parameters
        ----------
        answers : DataFrame, dict of arrays, or list of dicts
            The outputs' columns, and ``id`` or those of the inputs or both. An output may be the text
            ``error: ...`` (no answer, never asked again) or ``lost: ...`` (asked again); a row without outputs is not
            measured yet.
        otherwise : {"refuse", "correct", "replicate"}
            What is done with an answer that differs from an earlier one to the same point.
        source : str
            What the log and messages call the table.

        Returns
        -------
        dict
            Numbers of rows by kind: ``answers``, ``failed``, ``lost``, ``adopted``, ``repeated``, ``empty``.
        """
        heard = json.loads(self._core.tell(source, to_csv(answers, "answers"), otherwise))
        self._note(heard.pop("notes"))
        return {kind: int(n) for kind, n in heard.items()}

    def status(self) -> dict[str, Any]:
        """Where the campaign stands: points by state, labels, failures, errors of the last models, the network."""
        standing: dict[str, Any] = json.loads(self._core.status())
        return standing

    def predict(self, points: Any) -> Any:
        """What the campaign's model says at points in physical values.

        Parameters
        ----------
        points : DataFrame, dict of arrays, or list of dicts
            The inputs' columns.

        Returns
        -------
        DataFrame, or a dict of arrays without pandas
            The inputs, each output and ``NAME_sd`` (how much the networks disagree, no error bar), and ``outside``:
            whether the point lies outside what was seen. Where failed points can be told apart better than chance,
            ``answers``, too: the probability that the point has an answer.
        """
        predicted = json.loads(self._core.predict(to_csv(points, "points")))
        if predicted["bad"]:
            raise InputError(f"{len(predicted['bad'])} rows are no points of the problem: {predicted['bad'][0]}")
        return table(dict(predicted["columns"]))

    def points(self) -> Any:
        """Every point with its answer, state, round and the probability of its draw, as a table."""
        return from_csv(io.StringIO(self._core.export_csv()))

    def export(self, path: str | os.PathLike[str], to: str | None = None) -> None:
        """Write the points (``csv``) or the model (``safetensors``, ``onnx``), as the ending or ``to`` says."""
        kind = to or Path(path).suffix.lstrip(".")
        if kind == "csv":
            write_whole(path, self._core.export_csv().encode())
        elif kind == "safetensors":
            write_whole(path, self._core.export_model())
        elif kind == "onnx":
            write_whole(path, self._core.export_onnx())
        else:
            raise InputError(f"{path}: csv, safetensors or onnx is wanted, as the file's ending or with to=")

    def run(
        self,
        function: Callable[..., Any] | None = None,
        budget: int | None = None,
        workers: int = 1,
        kind: str = "threads",
        in_batches: bool = False,
        batch: int | None = None,
        progress: Callable[[dict[str, Any]], None] | None = None,
        target: float | dict[str, float] | None = None,
        no_gain: int | None = None,
    ) -> str:
        """Close the loop until so many points were asked for and are over.

        Every answer is on disk before it is used; the same call goes on after any end. Ctrl-C ends trainings at once
        and waits for the calls in progress.

        Parameters
        ----------
        function : callable, optional
            Answers for one point: gets a dictionary of physical values by input, and gives a number, one for each
            output, or a dictionary by output. An exception is the point's failure, tried again as ``attempts`` in
            ``campaign.toml`` says; `PointFailedError` is final. Without a function the problem file's own program,
            table, forest or network answers, as with ``dal run``.
        budget : int, optional
            Points to ask for in all, those of earlier runs included.
        workers : int
            Calls at one time.
        kind : {"threads", "processes"}
            Where they run; a function for processes must be importable
            by a fresh one (a module's, not a notebook's).
        in_batches : bool
            A round waits for all answers of the one before: points do not depend on how fast answers come. Calls are
            then made one after the other.
        batch : int, optional
            Points of a round.
        progress : callable, optional
            Called with a dictionary for each thing that happens. An exception of it ends the run.
        target : float or dict, optional
            The error below which it ends, once that is shown (docs/campaigns.md): in standard deviations, or of each
            of these outputs in its unit. By default what ``campaign.toml`` says.
        no_gain : int, optional
            End when so many rounds brought no gain over as many before, a rule of thumb. By default what
            ``campaign.toml`` says.

        Returns
        -------
        str
            ``budget``, ``rule`` (the target is met, or there was no gain), ``exhausted`` (nothing is left to ask for)
            or ``stopped``.
        """
        if workers < 1:
            raise InputError(f"workers={workers}: a whole number from 1 is wanted")
        if kind not in ("threads", "processes"):
            raise InputError(f"kind={kind!r}: threads or processes is wanted")
        if function is None:
            return self._run_program(budget, workers, in_batches, batch, target, no_gain)
        names = self.outputs
        hear = None if progress is None else lambda text: progress(json.loads(text))
        words = (budget, workers, in_batches, batch, None if target is None else json.dumps(target), no_gain, hear)
        if kind == "threads":
            return self._core.run(lambda point: answer_of(function(point), names), *words)
        # Fresh processes: a fork of one that has threads, as this has, may never answer.
        with ProcessPoolExecutor(max_workers=workers, mp_context=get_context("spawn")) as pool:
            return self._core.run(lambda point: answer_of(pool.submit(function, point).result(), names), *words)

    def _run_program(
        self,
        budget: int | None,
        workers: int,
        in_batches: bool,
        batch: int | None,
        target: float | dict[str, float] | None,
        no_gain: int | None,
    ) -> str:
        # The program remembers answers that were paid for and handles signals of the programs it calls.
        words = [sys.executable, "-m", "dal_regression", "run", str(self.folder)]
        below: Any = target
        if isinstance(target, dict):
            below = ",".join(f"{name}={float(value)!r}" for name, value in target.items())
        limits = (("--target", below), ("--no-gain", no_gain))
        for flag, value in (("--budget", budget), ("--batch", batch), ("--threads", self._threads), *limits):
            words += [] if value is None else [flag, str(value)]
        words += ["--in-batches"] if in_batches else ["--parallel", str(workers)]
        with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as running:
            try:
                _, said = running.communicate()
            except KeyboardInterrupt:
                # The program gets Ctrl-C as well, and ends after the calls in progress.
                running.communicate()
                raise
        if running.returncode == 130:
            return "stopped"
        if running.returncode != 0:
            raise FolderError(said.strip().removeprefix("error: "))
        if "a rule ends the run" in said:
            return "rule"
        return "exhausted" if "nothing is left to ask for" in said else "budget"

    def _note(self, notes: list[str]) -> None:
        for note in notes:
            log.info("%s: %s", self.folder, note)


def answer_of(answer: Any, names: list[str]) -> list[float]:
    """A function's answer as numbers in the order of the outputs."""
    if isinstance(answer, dict):
        missing = [name for name in names if name not in answer]
        if missing:
            raise KeyError(f"the answer lacks {', '.join(missing)}")
        return [float(answer[name]) for name in names]
    values: list[float] = np.asarray(answer, dtype=np.float64).ravel().tolist()
    return values
