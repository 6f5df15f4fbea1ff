"""Problems, stores, the program's entry point."""

from __future__ import annotations

import json
import pickle
import signal
import subprocess
import sys

import numpy as np
import pytest

import dal_regression as dal
from dal_regression import _core


SWEEP = """
name = "small"
seeds = 1
[protocol]
initial = 10
queries = 5
steps = 1
test_points = 50
pool_ratios = [4]
[training]
epochs = 5
members = 2
[[problem]]
id = "sine"
network = { hidden = [8] }
[[strategy]]
id = "random"
"""


@pytest.mark.parametrize("card", dal.problems(), ids=lambda card: card["id"])
def test_every_problem_labels_its_own_points(card):
    problem = dal.problem(card["id"])
    x = problem.sample(2)
    assert x.shape == (2, problem.n_columns) and np.abs(x).max() <= 1
    y = problem.label(x)
    assert y.shape == (2, len(problem.outputs)) and np.isfinite(y).all()
    values = problem.to_physical(x)
    assert np.allclose(problem.to_unit(values), x)
    names = [column["name"] for column in problem.inputs]
    assert np.allclose(problem.to_unit({name: [v[name] for v in values] for name in names}), x)


def test_mistakes_say_what_was_wrong(tmp_path):
    with pytest.raises(dal.InputError, match="sine"):
        dal.problem("sin")
    with pytest.raises(dal.FolderError, match="none.toml"):
        dal.problem(tmp_path / "none.toml")
    sine = dal.problem("sine")
    with pytest.raises(dal.InputError, match="unit box"):
        sine.label(np.full((1, sine.n_columns), 2.0))
    with pytest.raises(dal.InputError, match="lack"):
        sine.to_unit([{"nothing": 1.0}])
    for words in ({"n": -1}, {"n": 2, "seed": -1}):
        with pytest.raises(dal.InputError, match="=-1"):
            sine.sample(**words)
    with pytest.raises(dal.InputError, match="settings"):
        dal.problem("sine", noise=float("nan"))
    with pytest.raises(dal.InputError, match="settings"):
        _core.Problem("sine", "[")


def test_a_problem_may_be_sent_to_another_process():
    stack = dal.problem("stack")
    copy = pickle.loads(pickle.dumps(stack))
    assert copy.id == "stack" and np.array_equal(copy.label(copy.sample(2)), stack.label(stack.sample(2)))


def test_a_problem_file_without_an_oracle_says_so(problem_file):
    bowl = dal.problem(problem_file)
    assert bowl.id == "bowl" and bowl.card is None
    with pytest.raises(dal.OracleFailure, match="laboratory"):
        bowl.label(bowl.sample(1))


def test_a_store_becomes_tables(tmp_path, caplog):
    sweep = tmp_path / "sweep.toml"
    sweep.write_text(SWEEP)
    run = [sys.executable, "-m", "dal_regression", "bench", "run", str(sweep), "--store", str(tmp_path / "store")]
    done = subprocess.run(run, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with pytest.raises(dal.FolderError, match="there are") as raised:
        dal.read_store(tmp_path / "store", "nothing")
    assert "entries" in str(raised.value)
    entries = dal.read_store(tmp_path / "store")
    assert len(entries["mse"]) > 0
    # Truth is bool, and an empty text is a text.
    runs = dal.read_store(tmp_path / "store", "runs")
    assert runs["own"].dtype == bool and list(runs["own"]) == [False]
    assert list(runs["reason"]) == [""] and list(runs["problem_digest"]) == [""]
    for form in ("csv", "csv.gz"):
        tables = str(tmp_path / form)
        export = [*run[:3], "bench", "export", str(tmp_path / "store"), "--out", tables, "--format", form]
        assert subprocess.run(export, capture_output=True).returncode == 0
        assert list(dal.read_store(tables)["mse"]) == list(entries["mse"])
        with pytest.raises(dal.FolderError, match="no table 'steps'; there are: .*entries"):
            dal.read_store(tables, "steps")
    with pytest.raises(dal.FolderError, match="no folder"):
        dal.read_store(tmp_path / "none")
    # A cut table is no shorter one.
    table = tmp_path / "csv" / "entries.csv"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(dal.FolderError, match="other columns or rows"):
        dal.read_store(tmp_path / "csv")
    # What cannot be read of a store is left out, and told.
    for records in (tmp_path / "store" / "runs").glob("*/records.jsonl"):
        records.write_text("half")
    with caplog.at_level("WARNING", logger="dal_regression"):
        assert len(dal.read_store(tmp_path / "store")["mse"]) == 0
    assert "left out: " in caplog.text
    assert len(dal.read_store(tmp_path / "store", "damaged")["why"]) == 1


def test_texts_of_tables_come_back_as_they_were(tmp_path):
    kinds = {"run": "integer", "name": "text", "=x": "real", "ok": "boolean", "notes": "json"}
    columns = [{"name": name, "kind": kind} for name, kind in kinds.items()]
    (tmp_path / "schema.json").write_text(json.dumps({"tables": [{"file": "t.csv", "rows": 3, "columns": columns}]}))
    (tmp_path / "t.csv").write_text("run,name,'=x,ok,notes\n0,'=1+1,1,true,[1]\n1,,2.5,false,\n,''it,,true,5\n")
    table = dal.read_store(tmp_path, "t")
    assert list(table["name"]) == ["=1+1", "", "'it"] and list(table["ok"]) == [True, False, True]
    assert list(table["=x"])[:2] == [1.0, 2.5] and np.isnan([table["=x"][2], table["run"][2]]).all()
    assert list(table["notes"])[::2] == ["[1]", "5"]


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent otherwise there")
def test_the_program_answers_ctrl_c_as_the_rust_one_does(tmp_path):
    sweep = tmp_path / "sweep.toml"
    sweep.write_text(SWEEP.replace("epochs = 5", "epochs = 100000000"))
    words = [sys.executable, "-m", "dal_regression", "bench", "run", str(sweep), "--store", str(tmp_path / "store")]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as running:
        said = running.stderr.readline()
        assert b"2 trainings to do" in said
        # The first lets steps in progress finish, the second ends them.
        for word in (b"stopping after", b"ending"):
            running.send_signal(signal.SIGINT)
            while word not in said:
                said = running.stderr.readline()
                assert said
        assert running.wait() == 130


@pytest.mark.parametrize(
    "words, code", [(["--version"], 0), (["problems"], 0), (["nothing"], 2), (["select", "gsz"], 2)]
)
def test_the_programs_exit_codes(words, code):
    done = subprocess.run([sys.executable, "-m", "dal_regression", *words], capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    assert (done.stderr if code else done.stdout) != ""
