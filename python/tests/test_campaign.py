"""Campaigns: the same folder from Python and from the command line."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import subprocess
import sys
import textwrap
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
import pytest

import dal_regression as dal
from conftest import bowl, deadly

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
    assert campaign.status()["ended"]["rule"].startswith("target")


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


def test_none_is_no_answer_and_fails_no_point_for_good(problem_file, tmp_path):
    campaign = dal.Campaign(tmp_path / "c", problem=problem_file, initial=10, strategy="gsx")
    with pytest.raises(dal.OracleFailure, match="the function gave None, which is no answer"):
        campaign.run(lambda point: None, budget=10)
    assert campaign.status()["counts"]["failed"] == 0
    assert campaign.run(bowl, budget=10) == "budget" and campaign.status()["labels"] == 10


def test_nan_and_what_a_transform_cannot_take_are_failures_of_their_points(problem_file, tmp_path):
    problem_file.write_text(problem_file.read_text() + 'transform = "log"\n')
    campaign = dal.Campaign(tmp_path / "c", problem=problem_file, initial=4, strategy="gsx")
    answers = iter([0.0, float("nan"), 2.0, 3.0])
    assert campaign.run(lambda point: next(answers), budget=4) == "budget"
    status = campaign.status()
    assert status["failures"] == {"out-of-domain": 1, "non-finite": 1}
    assert status["labels"] == 2 and status["unusable"] == []


def test_a_process_that_dies_costs_its_own_point_alone(problem_file, tmp_path):
    campaign = dal.Campaign(tmp_path / "c", problem=problem_file, initial=8, strategy="gsx")
    assert campaign.run(deadly, budget=8, workers=3, kind="processes") == "budget"
    points = campaign.points()
    dead = points.a > 8
    assert dead.any() and (points.state[dead] == "failed").all() and (points.state[~dead] == "done").all()
    assert all("ProcessEndedError" in words for words in points.y[dead])
    rows = [row for word in sayings(tmp_path / "c") for row in word["what"].get("told", {}).get("rows", [])]
    assert {row["id"] for row in rows if "lost" in row["answer"]} == set(points.id[dead])


def test_a_function_that_no_process_can_be_given_is_refused_before_a_point_is_drawn(problem_file, tmp_path):
    campaign = dal.Campaign(tmp_path / "c", problem=problem_file, initial=6)
    with pytest.raises(dal.InputError, match="cannot be sent to another process"):
        campaign.run(lambda point: 0.0, budget=6, kind="processes")
    # As in a notebook: it is there by name, and in a fresh process it is not.
    script = """
        import sys
        import dal_regression as dal
        def simulate(point):
            return 0.0
        try:
            dal.Campaign(sys.argv[1]).run(simulate, budget=6, kind="processes")
        except dal.InputError as error:
            assert "a fresh process that is given the function dies" in str(error)
        else:
            raise AssertionError("it was taken")
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "c")], check=True)
    assert campaign.status()["rounds"] == 0


def test_a_broken_pool_of_the_functions_own_is_no_points_failure(problem_file, tmp_path):
    campaign = dal.Campaign(tmp_path / "c", problem=problem_file, initial=6, strategy="gsx")

    def gone(point):
        raise BrokenProcessPool("a child died")

    # Oftener than `attempts` allows failures.
    for _ in range(4):
        with pytest.raises(dal.OracleFailure, match="own pool of processes is broken"):
            campaign.run(gone, budget=6, workers=2)
    counts = campaign.status()["counts"]
    assert counts["failed"] == counts["lost"] == 0
    assert campaign.run(bowl, budget=6) == "budget" and campaign.status()["labels"] == 6


def test_tell_says_what_became_of_the_rows(problem_file, tmp_path, caplog):
    campaign = dal.Campaign(tmp_path / "c", problem=problem_file, initial=6, seed=1)
    points = campaign.ask(6)
    kinds = ["answers", "failed", "lost", "unwanted", "replaced", "adopted", "rounded", "repeated", "empty"]
    # Rounded values are those of the one point near them.
    heard = campaign.tell(points[["a", "b"]].round(7).assign(y=1.0))
    assert sorted(heard) == sorted(kinds)
    assert heard["answers"] == 6 and heard["rounded"] >= 1 and heard["adopted"] == 0
    first = int(points.id[0])
    assert campaign.tell({"id": [first], "y": [2.0]}, otherwise="correct")["replaced"] == 1
    # Another campaign's export is known by its values, which is a warning.
    other = dal.Campaign(tmp_path / "d", problem=problem_file, initial=6, seed=2)
    other.ask(6)
    with caplog.at_level("WARNING", logger="dal_regression"):
        assert other.tell(campaign.points())["adopted"] == 6
    assert "an export of another campaign" in caplog.text


@pytest.mark.parametrize("missing", [float("nan"), np.float32("nan"), None])
def test_what_is_missing_is_not_measured_yet(missing, problem_file, tmp_path):
    campaign = dal.Campaign(tmp_path / "c", problem=problem_file, initial=4)
    ids = campaign.ask(4).id.tolist()
    answers = [1.5, missing, "error: no convergence", missing]
    for table in ({"id": ids, "y": answers}, [{"id": id, "y": y} for id, y in zip(ids, answers)]):
        assert campaign.tell(table)["empty"] == 2
    counts = campaign.status()["counts"]
    assert counts["done"] == 1 and counts["failed"] == 1 and counts["asked"] == 2


def test_ask_says_which_points_are_held_out(problem_file, tmp_path):
    campaign = dal.Campaign(tmp_path / "c", problem=problem_file, initial=10, strategy="gsx", held_out=0.5)
    design = campaign.ask(10)
    assert "part" not in design
    campaign.tell(answered(design)[["id", "y"]])
    points = campaign.ask(8)
    assert points.columns[-1] == "part" and set(points.part) == {"", "held-out"}
    campaign.tell(answered(points)[["id", "y"]])
    everything = campaign.points().set_index("id")
    assert everything.part.loc[points.id].tolist() == points.part.tolist()
    status = campaign.status()
    assert status["held_out"] == (points.part == "held-out").sum() and status["audited"] == 0
    assert status["ended"] is None


def test_levels_stay_texts(problem_file, tmp_path):
    levels = '[[inputs]]\nname = "kind"\nlevels = ["1", "2", "=x"]\n[[outputs]]'
    problem_file.write_text(problem_file.read_text().replace("[[outputs]]", levels))
    campaign = dal.Campaign(tmp_path / "c", problem=problem_file, initial=12)
    points = campaign.ask(12)
    assert set(points.kind) == {"1", "2", "=x"}
    assert campaign.tell(answered(points)[["a", "b", "kind", "y"]])["adopted"] == 0
    assert campaign.points().kind.tolist() == points.kind.tolist()


def test_predictions_have_the_columns_of_the_program(problem_file, tmp_path):
    campaign = dal.Campaign(tmp_path / "c", problem=problem_file, initial=10, batch=40, strategy="power-qbc")
    campaign.run(bowl, budget=50)
    predicted = campaign.predict({"a": [1.0, 2.0], "b": [0.0, 0.5]})
    assert ((predicted.y_lower <= predicted.y) & (predicted.y <= predicted.y_upper)).all()
    (tmp_path / "x.csv").write_text("a,b\n1,0\n2,0.5\n")
    said = program("predict", "c", "--input", "x.csv", folder=tmp_path)
    assert said.splitlines()[0].split(",") == [*predicted.columns, "answers"]


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such timer there")
def test_points_of_an_ask_that_ctrl_c_ends_are_handed_out_by_the_next_call(problem_file, tmp_path):
    campaign = dal.Campaign(tmp_path / "c", problem=problem_file, initial=400)
    is_inside = []

    def press(*_):
        if is_inside:
            is_inside.clear()
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, press)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    try:
        with pytest.raises(KeyboardInterrupt):
            is_inside.append(True)
            campaign._core.ask(400, "lab", None, [], False)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert all(waiting["owner"] is None for waiting in campaign.status()["pending"])
    assert len(campaign.ask(400)) == 400 and campaign.status()["counts"]["asked"] == 400


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
    with pytest.raises(dal.FolderError, match="^say how many points to ask for in all") as raised:
        dal.Campaign(tmp_path / "c").run()
    assert "\n" not in str(raised.value)


def test_a_program_that_is_down_is_the_oracles_failure(problem_file, tmp_path):
    words = json.dumps([sys.executable, "-c", "raise SystemExit(3)"])
    problem_file.write_text(problem_file.read_text() + f"[oracle.command]\nprogram = {words}\ntime_limit = 60\n")
    campaign = dal.Campaign(tmp_path / "c", problem=problem_file, initial=10, strategy="gsx")
    with pytest.raises(dal.OracleFailure, match="^the last 10 calls failed"):
        campaign.run(budget=10)


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
    bad = [("workers", 0), ("budget", 0), ("budget", -1), ("batch", 0), ("no_gain", 0), ("target", float("nan"))]
    for name, value in bad:
        with pytest.raises(dal.InputError, match=name):
            campaign.run(bowl, **{"budget": 3, name: value})
        with pytest.raises(dal.DalError):
            campaign.run(**{"budget": 3, name: value})
    for words in ({"progress": print}, {"kind": "processes"}):
        with pytest.raises(dal.InputError, match="function"):
            campaign.run(budget=3, **words)
    for name, value in [("n", 0), ("n", -1), ("lease_hours", 0), ("lease_hours", float("inf")), ("lease_hours", "x")]:
        with pytest.raises(dal.InputError, match=f"^{name}="):
            campaign.ask(**{name: value})
    assert campaign.status()["rounds"] == 0
    shutil.rmtree(tmp_path / "c")
    with pytest.raises(dal.FolderError):
        campaign.status()
