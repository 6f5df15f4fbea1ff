"""Campaigns: the same folder from Python and from the command line."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import dal_regression as dal
from conftest import bowl

pd = pytest.importorskip("pandas")


def program(*words: str, folder: Path) -> str:
    said = subprocess.run([sys.executable, "-m", "dal_regression", *words], cwd=folder, capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    return said.stdout


def sayings(folder: Path) -> list[dict]:
    """The log without what differs between equal campaigns: moments, processes, checksums."""
    found = []
    for line in (folder / "log").read_text().splitlines():
        word = json.loads(line[line.index("{") : line.rindex("}") + 1])
        word.pop("at", None)
        text = json.dumps(word)
        if "started" not in text:
            found.append(word)
    for n, word in enumerate(found):
        word.pop("n", None)
    return found


def answered(points) -> pd.DataFrame:
    return points.assign(y=[bowl(point) for point in points.to_dict("records")])


def test_ask_and_tell(problem_file, tmp_path):
    campaign = dal.Campaign(tmp_path / "c", problem=problem_file, initial=6, batch=2, seed=4)
    points = campaign.ask(6)
    assert list(points.columns[:3]) == ["id", "a", "b"] and len(points) == 6
    assert points.a.between(0, 10).all() and points.b.between(-1, 1).all()
    heard = campaign.tell(answered(points)[["id", "y"]])
    assert heard["answers"] == 6
    assert campaign.tell(answered(points)[["a", "b", "y"]])["repeated"] == 6
    assert campaign.status()["labels"] == 6
    looked = campaign.ask(dry_run=True)
    assert campaign.ask().equals(looked) and len(looked) == 2
    assert campaign.status()["counts"]["asked"] == 2 and len(campaign.status()["pending"]) == 2
    predicted = campaign.predict(points[["a", "b"]])
    assert list(predicted.columns) == ["a", "b", "y", "y_sd", "outside"]
    assert not predicted.outside.any()
    everything = campaign.points()
    assert len(everything) == 8 and everything.y.notna().sum() == 6
    campaign.export(tmp_path / "points.csv")
    campaign.export(tmp_path / "model.safetensors")
    campaign.export(tmp_path / "model.onnx")
    program("export", "c", "--to", "onnx", "--out", "same.onnx", folder=tmp_path)
    assert (tmp_path / "model.onnx").read_bytes() == (tmp_path / "same.onnx").read_bytes()
    assert (tmp_path / "points.csv").read_text().startswith("id,a,b,y")
    with pytest.raises(dal.FolderError, match="cannot be written"):
        campaign.export(tmp_path / "none" / "points.csv")
    assert not list(tmp_path.glob("*.tmp"))


def test_a_campaign_begun_by_the_program_and_finished_in_python_equals_one_of_the_program(problem_file, tmp_path):
    begin = ("new", "--problem", str(problem_file), "--initial", "6", "--batch", "3", "--seed", "2")
    for name in ("whole", "mixed"):
        program(*begin, name, folder=tmp_path)

    def by_program(name: str, n: int) -> None:
        said = program("ask", name, "-n", str(n), "--format", "csv", folder=tmp_path)
        rows = csv.DictReader(said.splitlines())
        # Not by pandas, of which older versions lose the last digit.
        asked = pd.DataFrame([{"id": int(row["id"]), "a": float(row["a"]), "b": float(row["b"])} for row in rows])
        told = answered(asked)[["id", "y"]]
        told.to_csv(tmp_path / "told.csv", index=False)
        program("tell", name, "told.csv", folder=tmp_path)

    by_program("whole", 6)
    by_program("mixed", 6)
    by_program("whole", 3)
    campaign = dal.Campaign(tmp_path / "mixed")
    campaign.tell(answered(campaign.ask(3))[["id", "y"]], source="told.csv")
    assert sayings(tmp_path / "mixed") == sayings(tmp_path / "whole")
    assert campaign.points().equals(dal.Campaign(tmp_path / "whole").points())
    files = {}
    for name in ("whole", "mixed"):
        dal.Campaign(tmp_path / name).export(tmp_path / f"{name}.safetensors")
        files[name] = sorted(path.name for path in (tmp_path / name / "models").iterdir())
    assert files["whole"] == files["mixed"]
    assert (tmp_path / "whole.safetensors").read_bytes() == (tmp_path / "mixed.safetensors").read_bytes()


@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_a_function_closes_the_loop(kind, problem_file, tmp_path):
    campaign = dal.Campaign(tmp_path / "c", problem=problem_file, initial=6, batch=3, strategy="gsx")
    events = []
    assert campaign.run(bowl, budget=9, workers=2, kind=kind, progress=events.append) == "budget"
    assert campaign.status()["labels"] == 9
    assert sum(event["event"] == "answered" for event in events) == 9
    told = campaign.points()
    assert np.allclose(told.y, [bowl(point) for point in told.to_dict("records")])
    assert campaign.run(bowl, budget=9) == "budget"


@pytest.mark.parametrize("target", [1e6, {"y": 1e9}])
def test_a_target_that_is_met_ends_the_loop(target, problem_file, tmp_path):
    campaign = dal.Campaign(tmp_path / "c", problem=problem_file, initial=10, batch=10, strategy="power-qbc")
    events = []
    assert campaign.run(bowl, budget=80, target=target, progress=events.append) == "rule"
    assert campaign.status()["labels"] < 80
    assert any(event["event"] == "ended" and event["why"] for event in events)


def test_failures_of_a_function_are_the_points(problem_file, tmp_path):
    campaign = dal.Campaign(tmp_path / "c", problem=problem_file, initial=6, strategy="gsx")
    calls: dict[float, int] = {}

    def touchy(point):
        calls[point["a"]] = calls.get(point["a"], 0) + 1
        if point["a"] > 8:
            raise dal.PointFailedError("too far")
        if point["a"] > 6 and calls[point["a"]] == 1:
            raise RuntimeError("the licence server was away")
        return {"y": bowl(point)}

    campaign.run(touchy, budget=6)
    status = campaign.status()
    far = sum(a > 8 for a in calls)
    assert far >= 1 and sum(status["failures"].values()) == far and status["labels"] == 6 - far
    assert all(n == (2 if 6 < a <= 8 else 1) for a, n in calls.items())


def test_an_exception_of_the_progress_ends_the_run_and_the_next_one_goes_on(problem_file, tmp_path):
    campaign = dal.Campaign(tmp_path / "c", problem=problem_file, initial=6, strategy="gsx")

    def hear(event):
        if event["event"] == "answered" and event["over"] == 2:
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        campaign.run(bowl, budget=6, progress=hear)
    assert 2 <= campaign.status()["labels"] < 6

    def interrupted(point):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        campaign.run(interrupted, budget=6)
    assert campaign.run(bowl, budget=6) == "budget"
    assert campaign.status()["labels"] == 6


def test_the_problem_files_own_program_answers_without_a_function(problem_file, tmp_path):
    table = tmp_path / "table.csv"
    a = np.linspace(0, 10, 9)
    pd.DataFrame({"a": a, "b": a / 10, "y": a**2}).to_csv(table, index=False)
    text = problem_file.read_text() + '[oracle.table]\nfile = "table.csv"\n'
    problem_file.write_text(text)
    campaign = dal.Campaign(tmp_path / "c", problem=problem_file, initial=4, strategy="gsx")
    assert campaign.run(budget=6) == "budget"
    assert campaign.status()["labels"] == 6
    with pytest.raises(dal.DalError):
        dal.Campaign(tmp_path / "c").run()


def test_mistakes_say_what_was_wrong(problem_file, tmp_path):
    with pytest.raises(dal.FolderError, match="there is no campaign here"):
        dal.Campaign(tmp_path / "none")
    campaign = dal.Campaign(tmp_path / "c", problem=problem_file, initial=6)
    with pytest.raises(dal.FolderError, match="begun here already"):
        dal.Campaign(tmp_path / "c", problem=problem_file)
    with pytest.raises(dal.InputError, match="edit"):
        dal.Campaign(tmp_path / "c", seed=3)
    with pytest.raises(dal.InputError, match="gsz"):
        dal.Campaign(tmp_path / "d", problem=problem_file, strategy="gsz")
    assert not (tmp_path / "d").exists()
    with pytest.raises(dal.FolderError, match="no such problem file"):
        dal.Campaign(tmp_path / "d", problem=tmp_path / "none.toml")
    with pytest.raises(dal.InputError, match="nothing was taken"):
        campaign.tell({"id": [77], "y": [1.0]})
    with pytest.raises(dal.InputError, match="no labels"):
        campaign.predict({"a": [1.0], "b": [0.0]})
    with pytest.raises(dal.InputError, match="workers=0"):
        campaign.run(bowl, budget=3, workers=0)
    shutil.rmtree(tmp_path / "c")
    with pytest.raises(dal.FolderError):
        campaign.status()
