"""Tables in and out, with pandas and without."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import numpy as np
import pytest

import dal_regression as dal
from dal_regression._tables import to_csv


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
    with pytest.raises(dal.InputError, match="differ in length: a 2, b 1"):
        to_csv({"a": [1, 2], "b": [1]}, "answers")
    with pytest.raises(dal.InputError, match="answers"):
        to_csv(3, "answers")
