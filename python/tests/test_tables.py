"""Tables in and out, with pandas and without."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import dal_regression as dal
from dal_regression._plain import to_json
from dal_regression._tables import level, to_csv


def test_a_campaign_needs_no_pandas(problem_file, tmp_path):
    script = """
        import sys
        sys.modules["pandas"] = None
        import dal_regression as dal
        campaign = dal.Campaign(sys.argv[1], problem=sys.argv[2], initial=6, strategy="gsx")
        points = campaign.ask(6)
        assert type(points) is dict and len(points["id"]) == 6, points
        assert campaign.tell({"id": points["id"], "y": points["a"] + points["b"]})["answers"] == 6
        told = campaign.points()
        assert abs(told["y"] - told["a"] - told["b"]).max() < 1e-12
    """
    words = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "c"), str(problem_file)]
    subprocess.run(words, check=True)


def test_numbers_keep_all_their_digits_and_missing_ones_stay_missing():
    text = to_csv({"id": np.array([1, 2]), "y": [0.1 + 0.2, float("nan")], "why": ["a,b", None]}, "answers")
    assert text == 'id,y,why\n1,0.30000000000000004,"a,b"\n2,,\n'
    assert to_csv([{"a": 1.0}, {"b": True}], "answers") == "a,b\n1.0,\n,True\n"
    # A text among numbers does not make texts of these, nor one of NaN.
    assert to_csv({"y": [0.5, float("nan"), "error: no"]}, "answers") == "y\n0.5\n\"\"\nerror: no\n"
    assert to_csv([{"y": np.float32("nan"), "n": np.int64(3)}], "answers") == "y,n\n,3\n"
    for table, words in [
        ({"a": 3}, "the column a is 3"),
        ({"a": "abc"}, "the column a is 'abc'"),
        ({"a": np.ones((2, 1))}, "the column a holds no single values"),
        ([{"a": np.ones(1)}], "the column a holds no single values"),
        ({1: [2], "1": [3]}, "several columns are called 1"),
    ]:
        with pytest.raises(dal.InputError, match=words):
            to_csv(table, "answers")
    with pytest.raises(dal.InputError, match="differ in length: a 2, b 1"):
        to_csv({"a": [1, 2], "b": [1]}, "answers")
    with pytest.raises(dal.InputError, match="answers"):
        to_csv(3, "answers")


def test_names_of_levels_come_back_as_they_were_written():
    # What `dal export` writes for `=a`, `-1`, `'-1`, `'it`.
    assert [level(cell) for cell in ("'=a", "-1", "''-1", "'it")] == ["=a", "-1", "'-1", "'it"]


def test_settings_are_plain_values():
    given = {"n": np.int64(3), "x": np.float32(0.5), "is": np.bool_(True), "at": Path("a") / "b", "all": np.arange(2)}
    plain = {"n": 3, "x": 0.5, "is": True, "at": str(Path("a") / "b"), "all": [0, 1]}
    assert json.loads(to_json(given, "settings")) == plain
    for value in (float("nan"), {1}, b"x"):
        with pytest.raises(dal.InputError, match="^settings: "):
            to_json({"a": value}, "settings")
