"""`select` and the query classes: the picks of `dal select`, and scikit-activeml's ways to say what may be picked."""

from __future__ import annotations

import inspect
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

import dal_regression as dal
from dal_regression import query

CARDS = {card["id"]: card for card in dal.strategies()}
CLASSES = {getattr(query, name)._method: getattr(query, name) for name in query.__all__}
NEEDS_TRAINING = [
    id
    for id, card in CARDS.items()
    if any(card["needs"].get(key) for key in ("dropout", "features", "loss_head", "tangent", "input_gradient"))
]
OWN_POINTS = ["sobol", "lhs"]
ON_TABLES = [id for id in CARDS if id not in (*NEEDS_TRAINING, *OWN_POINTS)]


def needs_committee(id: str) -> bool:
    return any(CARDS[id]["needs"][key] for key in ("mean", "uncertainty", "committee"))


def by_program(id: str, folder: Path, X, y, pool, members, n: int) -> list[int]:
    for name, values in (("x", X), ("y", y.reshape(-1, 1)), ("pool", pool)):
        np.save(folder / f"{name}.npy", values)
    np.save(folder / "members.npy", members)
    words = [sys.executable, "-m", "dal_regression", "select", id, "--pool", "pool.npy", "-n", str(n), "--seed", "3"]
    words += ["--labelled-x", "x.npy", "--labelled-y", "y.npy"]
    words += ["--members", "members.npy"] if needs_committee(id) else []
    said = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=True)
    return [int(line) for line in said.stdout.split()]


@pytest.mark.parametrize("id", ON_TABLES)
def test_picks_are_those_of_the_program(id, tmp_path, data):
    X, y, pool, members = data
    expected = by_program(id, tmp_path, X, y, pool, members, 7)
    assert len(expected) == 7
    given = members if needs_committee(id) else None
    assert dal.select(id, X, y, pool, given, n=7, seed=3).tolist() == expected
    method = CLASSES[id](random_state=3)
    words = {"committee": members} if needs_committee(id) else {}
    assert method.query(X, y, candidates=pool, batch_size=7, **words).tolist() == expected


def test_there_is_a_class_for_each_method_with_its_settings_and_defaults():
    assert set(CLASSES) == set(CARDS)
    for id, card in CARDS.items():
        names = list(inspect.signature(CLASSES[id]).parameters)
        assert names == [setting["key"] for setting in card["settings"]] + ["random_state"]


@pytest.mark.parametrize("id", NEEDS_TRAINING)
def test_methods_that_look_into_the_network_train_one(id, data):
    X, y, pool, _ = data
    regressor = dal.EnsembleRegressor(hidden=[16], members=3, epochs=150, learning_rate=1e-2, threads=1)
    method = CLASSES[id]()
    picked = method.query(X, y, regressor=regressor, candidates=pool, batch_size=3)
    assert len(set(picked.tolist())) == 3
    assert picked.tolist() == method.query(X, y, regressor=regressor, candidates=pool, batch_size=3).tolist()
    with pytest.raises(dal.NeedsModelError):
        dal.select(id, X, y, pool)


@pytest.mark.parametrize("id", OWN_POINTS)
def test_designs_say_where_they_belong(id, data):
    X, y, pool, _ = data
    with pytest.raises(dal.NeedsModelError, match="points of"):
        CLASSES[id]().query(X, y, candidates=pool)


def test_unlabelled_samples_are_nan_in_y(data):
    X, y, pool, _ = data
    all_X = np.vstack([X, pool])
    all_y = np.concatenate([y, np.full(len(pool), np.nan)])
    method = query.GreedySamplingX()
    picked, utilities = method.query(all_X, all_y, batch_size=4, return_utilities=True)
    assert (picked - len(X)).tolist() == dal.select("gsx", X, y, pool, n=4).tolist()
    assert utilities.shape == (4, len(all_X))
    assert np.isnan(utilities[:, : len(X)]).all()
    assert utilities[0].size - np.isnan(utilities[0]).sum() == len(pool)
    assert np.nanargmax(utilities[0]) == picked[0]
    some = np.array([40, 20, 30])
    assert set(method.query(all_X, all_y, candidates=some, batch_size=3).tolist()) == set(some.tolist())


def test_a_committee_may_be_an_object_or_estimators(data):
    X, y, pool, _ = data

    class Linear:
        def __init__(self, k):
            self.k = k

        def predict(self, X):
            return X[:, 0] ** self.k

    estimators = [Linear(k) for k in (1, 2, 3)]
    predictions = np.stack([one.predict(pool) for one in estimators])

    class Committee:
        def members(self, X):
            return np.stack([one.predict(X) for one in estimators])

    picks = [dal.select("qbc", X, y, pool, given, n=5).tolist() for given in (predictions, Committee(), estimators)]
    assert picks[0] == picks[1] == picks[2]


def test_several_outputs(data):
    X, y, pool, members = data
    two = np.column_stack([y, -y])
    both = np.concatenate([members, -members], axis=2)
    assert len(dal.select("gsy", X, two, pool, both, n=3)) == 3
    with pytest.raises(dal.InputError, match="2 outputs"):
        dal.select("gsy", X, two, pool, members, n=3)


def test_mistakes_say_what_was_wrong(data):
    X, y, pool, members = data
    for words, message in [
        (dict(method="gsz", X_labelled=X, y=y, X_pool=pool), "gsx"),
        (dict(method="qbc", X_labelled=X, y=y, X_pool=pool), "members"),
        (dict(method="gsx", X_labelled=X, y=y[:-1], X_pool=pool), "12 rows"),
        (dict(method="gsx", X_labelled=X, y=y, X_pool=pool[:, 0]), "reshape"),
        (dict(method="gsx", X_labelled=X, y=y, X_pool=[["a"]]), "X_pool"),
        (dict(method="gsx", X_labelled=X, y=y, X_pool=pool, scalng="raw"), "no setting"),
        (dict(method="qbc-diversity", X_labelled=X, y=y, X_pool=pool, members=members, scaling="rwa"), "did you mean"),
        (dict(method="qbc", X_labelled=X, y=y, X_pool=pool, members=members[:, :-1]), "79"),
    ]:
        with pytest.raises(dal.InputError, match=message) as raised:
            dal.select(n=3, **words)
        assert isinstance(raised.value, ValueError) and isinstance(raised.value, dal.DalError)
    for words in (dict(n=-1), dict(n=3, seed=-1), dict(n=1.5), dict(n=3, seed=2**64)):
        with pytest.raises(dal.InputError, match="n=|seed="):
            dal.select("gsx", X, y, pool, **words)
    with pytest.raises(dal.InputError, match="random_state=-1"):
        query.GreedySamplingX(random_state=-1).query(X, y, candidates=pool)
    with pytest.raises(dal.InputError, match="settings"):
        dal.select("qbc-diversity", X, y, pool, members, n=3, scaling={"raw"})


def test_tensors_of_a_device_are_refused_by_name(data):
    X, y, pool, _ = data

    class OnDevice:
        device = "cuda:0"

        def __dlpack_device__(self):
            return (2, 0)

    with pytest.raises(dal.InputError, match="X_pool: lies on the device cuda:0"):
        dal.select("gsx", X, y, OnDevice())

    class OnHost:
        def __dlpack_device__(self):
            return (1, 0)

        def __dlpack__(self, **words):
            return pool.__dlpack__(**words)

    assert dal.select("gsx", X, y, OnHost(), n=3).tolist() == dal.select("gsx", X, y, pool, n=3).tolist()


def test_borrowed_arrays_are_left_alone(data):
    X, y, pool, members = (values.copy() for values in data)
    for values in (X, y, pool, members):
        values.flags.writeable = False
    strided = np.asfortranarray(pool)[::2]
    expected = dal.select("qbc", X, y, np.ascontiguousarray(strided), members[:, ::2], n=4).tolist()
    assert dal.select("qbc", X, y, strided, members[:, ::2], n=4).tolist() == expected


@pytest.mark.parametrize("given", ["nothing", "indices", "points"])
def test_a_query_is_called_and_answers_as_scikit_activemls(given, data):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pool_module = pytest.importorskip("skactiveml.pool")
    X, y, pool, _ = data
    all_X = np.vstack([X, pool])
    all_y = np.concatenate([y, np.full(len(pool), np.nan)])
    candidates = {"nothing": None, "indices": np.arange(20, 60), "points": pool[:30]}[given]
    words = {"candidates": candidates, "batch_size": 5, "return_utilities": True}
    ours, our_utilities = query.GreedySamplingX().query(all_X, all_y, **words)
    theirs, their_utilities = pool_module.GreedySamplingX(random_state=0).query(all_X, all_y, **words)
    assert ours.tolist() == theirs.tolist()
    assert our_utilities.shape == their_utilities.shape
    assert np.allclose(our_utilities[0], their_utilities[0], equal_nan=True)
    rows = np.arange(5)
    assert np.allclose(our_utilities[rows, ours], their_utilities[rows, ours])


# Picks one by one that would take an hour and more, then a few of the same pool.
LONG = """
import numpy as np

import dal_regression as dal

rng = np.random.default_rng(0)
pool, X = rng.uniform(-1, 1, (400_000, 4)), rng.uniform(-1, 1, (3, 4))
members = rng.normal(size=(2, len(pool)))
before = pool.copy(), members.copy()
try:
    print("selecting", flush=True)
    dal.select("qbc-diversity", X, np.zeros(3), pool, members, n=len(pool))
except KeyboardInterrupt:
    print("interrupted", flush=True)
assert np.array_equal(pool, before[0]) and np.array_equal(members, before[1])
print(*dal.select("qbc-diversity", X, np.zeros(3), pool[:9], members[:, :9], n=9))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent otherwise there")
def test_ctrl_c_ends_a_selection_and_leaves_everything_as_it_was():
    with subprocess.Popen([sys.executable, "-c", LONG], stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout.readline() == "selecting\n"
        # By then it picks; where a slow machine still prepares the selection, that is interrupted.
        time.sleep(0.5)
        running.send_signal(signal.SIGINT)
        said = running.stdout.read().splitlines()
        assert running.wait() == 0
    assert said[0] == "interrupted"
    assert sorted(said[1].split()) == [str(row) for row in range(9)]
