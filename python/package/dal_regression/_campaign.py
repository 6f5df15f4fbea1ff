"""Campaigns in a folder: from a simulator or a laboratory to a surrogate."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from . import _core
from ._errors import FolderError, InputError, InternalError, OracleFailure
from ._files import write_whole
from ._plain import positive, to_json, whole, whole_or_none
from ._processes import Processes
from ._program import complaint
from ._tables import from_csv, level, table, to_csv

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
        self._threads = whole_or_none(threads, "threads")
        self._core = _core.Campaign(str(self.folder), self._threads)

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
            _core.Campaign.begin(str(self.folder), place, to_json(settings, "settings of the campaign"))
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

        Ctrl-C, however late, takes the handing out back: the points stay drawn, and the next call gives them. Remarks
        of the method and on the networks are warnings of the logger ``dal_regression``.

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
            ``id``, the inputs in physical values, ``score``, ``disagreement``, ``distance``, ``probability``; and where
            some of the points are held out, which no model learns, ``part``: ``held-out`` for these, else empty.
        """
        n = whole_or_none(n, "n")
        hours = None if lease_hours is None else positive(lease_hours, "lease_hours")
        pairs = [(name, str(value)) for name, value in (fixed or {}).items()]
        # Before: once points are handed out nothing long may come in between.
        inputs = self.inputs
        asked = json.loads(self._core.ask(n, owner, hours, pairs, dry_run))
        points = asked["points"]
        if len(points) < asked["wanted"]:
            asked["remarks"].append(f"only {len(points)} of {asked['wanted']} points: nothing else is left to ask for")
        if asked["n_again"] > 0:
            asked["notes"].append(f"{asked['n_again']} of them were asked for before and have no answer yet")
        self._note(asked)
        names = ["id", *inputs, "score", "disagreement", "distance", "probability"]
        columns = {name: [point[name] for point in points] for name in names}
        if asked["held_out"]:
            columns["part"] = ["held-out" if point["id"] in asked["held_out"] else "" for point in points]
        return table(columns)

    def tell(self, answers: Any, otherwise: str = "refuse", source: str = "python") -> dict[str, int]:
        """Take answers: all rows count, or none.

        What the rows of points were taken for beyond what they say is told by warnings of the logger
        ``dal_regression``.

        Parameters
        ----------
        answers : DataFrame, dict of arrays, or list of dicts
            The outputs' columns, and ``id`` or those of the inputs or both. An output may be the text ``error: ...``
            (no answer, never asked again) or ``lost: ...`` (the machine's fault: asked again, as often in all as
            ``attempts`` in ``campaign.toml`` says, and failed after that). A row without outputs, of which each is NaN
            or None, is not measured yet.
        otherwise : {"refuse", "correct", "replicate"}
            What is done with an answer that differs from an earlier one to the same point: nothing is taken; or all
            rows of a point of which the table says anything new take the place of all that was known of it; or both
            stand, as measurements that were repeated.
        source : str
            What the log and messages call the table.

        Returns
        -------
        dict
            Numbers of rows: ``answers``, ``failed`` and ``lost`` are new ones; ``unwanted`` are lost, of points that
            were withdrawn; ``adopted`` are, of all these, of points that were never asked for; ``rounded`` were known
            by values that the table has rounded; ``repeated`` were known already; ``empty`` are not measured yet. And
            ``replaced``: earlier answers that do not count any more.
        """
        heard = json.loads(self._core.tell(source, to_csv(answers, "answers"), otherwise))
        self._note(heard)
        return {kind: int(n) for kind, n in heard.items() if kind not in ("notes", "remarks")}

    def status(self) -> dict[str, Any]:
        """Where the campaign stands: points by state, labels, failures, errors of the last models, the network.

        ``held_out`` and ``audited`` count points with an answer that no model learns, ``ended`` is the rule that ended
        the last run, if one did. How good the model is, with intervals, says the program: ``dal status``.
        """
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
            The inputs, each output and ``NAME_sd`` (how much the networks disagree, no error bar); once forty points
            that were drawn with known probabilities or held out have answers, ``NAME_lower`` and ``NAME_upper``, a 90 %
            interval; and ``outside``: whether the point lies outside what was seen. Where failed points can be told
            apart better than chance, ``answers``, too: the probability that the point has an answer.

        Networks that learned nothing are told by a warning of the logger ``dal_regression``.
        """
        predicted = json.loads(self._core.predict(to_csv(points, "points")))
        self._note(predicted)
        if predicted["bad"]:
            raise InputError(f"{len(predicted['bad'])} rows are no points of the problem: {predicted['bad'][0]}")
        return table(dict(predicted["columns"]))

    def points(self) -> Any:
        """Every point with its answer, state, round, the probability of its draw, and part, as a table.

        ``part`` is ``held-out`` or ``audit`` for points that no model learns, else empty.
        """
        described = self._describe()
        readers: dict[str, Callable[[str], Any]] = {"state": str, "part": str}
        readers |= {name: level for name, levels in zip(described["inputs"], described["levels"]) if levels}
        return from_csv(io.StringIO(self._core.export_csv()), readers)

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
            ``campaign.toml`` says; `PointFailedError` is final, and so is NaN, or a value that an output's transform
            cannot take. None is no answer: it counts as an exception. Without a function the problem file's own
            program, table, forest or network answers, as with ``dal run``.
        budget : int, optional
            Points to ask for in all, those of earlier runs included.
        workers : int
            Calls at one time.
        kind : {"threads", "processes"}
            Where the function's calls run. For processes it must be importable by a fresh one (a module's, not a
            notebook's), which is tried before the first point. Each call is alone in its process: where that dies, it
            is the failure of this one point, and a fresh one takes its place. A pool of processes of the function's
            own that breaks ends the run and is no point's failure.
        in_batches : bool
            A round waits for all answers of the one before: points do not depend on how fast answers come. Calls are
            then made one after the other.
        batch : int, optional
            Points of a round.
        progress : callable, optional
            Called with a dictionary for each thing that happens at a function's calls. An exception of it ends the run.
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
        workers = whole(workers, "workers")
        budget = whole_or_none(budget, "budget")
        batch = whole_or_none(batch, "batch")
        no_gain = whole_or_none(no_gain, "no_gain")
        if kind not in ("threads", "processes"):
            raise InputError(f"kind={kind!r}: threads or processes is wanted")
        if function is None:
            for name, given in (("progress", progress is not None), ("kind", kind != "threads")):
                if given:
                    raise InputError(f"{name}: is of a function's calls, and none is given")
            return self._run_program(budget, workers, in_batches, batch, target, no_gain)
        if not callable(function):
            raise InputError(f"function={function!r}: cannot be called")
        names = self.outputs

        def hear(text: str) -> None:
            event = json.loads(text)
            self._hear(event)
            if progress is not None:
                progress(event)

        words = (budget, workers, in_batches, batch, None if target is None else to_json(target, "target"), no_gain)
        if kind == "threads":
            return self._core.run(lambda point: answer_of(function(point), names), *words, hear)
        with Processes(function) as call:
            return self._core.run(lambda point: answer_of(call(point), names), *words, hear)

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
            words += [] if value is None else [f"{flag}={value}"]
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
        if running.returncode == 1:
            # It is no fault of what was given: the program is down, and the same call goes on once it is back.
            raise OracleFailure(complaint(said))
        if running.returncode == 2:
            raise FolderError(complaint(said))
        if running.returncode != 0:
            raise InternalError(f"`dal run` ended with the code {running.returncode}: {complaint(said)}")
        for line in said.splitlines():
            log.info("%s: %s", self.folder, line)
        if "a rule ends the run" in said:
            return "rule"
        return "exhausted" if "nothing is left to ask for" in said else "budget"

    def _hear(self, event: dict[str, Any]) -> None:
        for remark in event.get("notes", []):
            log.warning("%s: %s", self.folder, remark)
        if event.get("failure") is not None:
            then = "; it is asked for again" if event["again"] else ""
            log.info("%s: point %d: %s%s", self.folder, event["id"], event["failure"], then)

    def _note(self, told: dict[str, Any]) -> None:
        for note in told["notes"]:
            log.info("%s: %s", self.folder, note)
        for remark in told["remarks"]:
            log.warning("%s: %s", self.folder, remark)


def answer_of(answer: Any, names: list[str]) -> list[float]:
    """A function's answer as numbers in the order of the outputs."""
    if isinstance(answer, dict):
        missing = [name for name in names if name not in answer]
        if missing:
            raise KeyError(f"the answer lacks {', '.join(missing)}")
        values = [answer[name] for name in names]
    else:
        values = np.asarray(answer, dtype=object).ravel().tolist()
    if any(value is None for value in values):
        # As a number it would be NaN, which says that the point has no answer, now and for ever.
        raise TypeError(
            "the function gave None, which is no answer: give a number for each output; for a point that has none "
            "raise dal_regression.PointFailedError, or give nan"
        )
    return [float(value) for value in values]
