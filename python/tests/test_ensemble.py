"""`EnsembleRegressor`: scikit-learn's contract, what it learns, saving, stopping."""

from __future__ import annotations

import pickle
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings

import numpy as np
import pytest

import dal_regression as dal


def small(**words):
    return dal.EnsembleRegressor(**{"hidden": [16, 16], "members": 4, "epochs": 150, "learning_rate": 1e-2, **words})


@pytest.fixture(scope="module")
def learned():
    X = np.random.default_rng(0).uniform(-1, 1, (40, 2)) * [1, 100]
    y = 1000 + 50 * np.sin(2 * X[:, 0]) + X[:, 1]
    return X, y, small().fit(X, y)


def test_scikit_learns_checks():
    pytest.importorskip("sklearn")
    from sklearn.exceptions import SkipTestWarning
    from sklearn.utils.estimator_checks import check_estimator

    with warnings.catch_warnings():
        # Checks that the installed version has for other kinds of arrays alone are skipped with a warning.
        warnings.simplefilter("ignore", SkipTestWarning)
        check_estimator(dal.EnsembleRegressor())


def test_it_learns_in_the_units_of_the_answers(learned):
    X, y, model = learned
    mean, sd = model.predict(X, return_std=True)
    assert model.score(X, y) > 0.99
    assert mean.shape == sd.shape == (40,)
    members = model.members(X)
    assert members.shape == (4, 40) and model.members == 4
    assert np.allclose(members.mean(axis=0), mean) and np.allclose(members.std(axis=0), sd)


def test_several_outputs_each_in_its_units():
    X = np.linspace(-1, 1, 30).reshape(-1, 1)
    y = np.column_stack([1e6 + 1e3 * X[:, 0], 1e-3 * X[:, 0] ** 2])
    model = small().fit(X, y)
    assert model.predict(X).shape == (30, 2) and model.members(X).shape == (4, 30, 2)
    assert np.all(np.abs(model.predict(X) - y).max(axis=0) < 0.1 * y.std(axis=0))


def test_equal_seeds_give_equal_bits_on_any_number_of_threads(learned):
    X, y, model = learned
    for threads in (1, 2, 3):
        assert np.array_equal(small(threads=threads).fit(X, y).predict(X), model.predict(X))
    assert not np.array_equal(small(random_state=1).fit(X, y).predict(X), model.predict(X))


def test_the_network_suits_the_number_of_labels():
    rng = np.random.default_rng(1)
    X = rng.uniform(-1, 1, (60, 2))
    y = np.sin(3 * X[:, 0]) * X[:, 1]
    few = dal.EnsembleRegressor(members=2, epochs=150).fit(X[:20], y[:20])
    assert few.model_["hidden"] == [32, 32]
    chosen = dal.EnsembleRegressor(members=2, epochs=150).fit(X, y)
    assert chosen.model_["training"]["n_members"] == 2 and len(chosen.model_["hidden"]) >= 2


@pytest.mark.parametrize("on_collapse, again", [(None, "although they were trained anew "), ("keep", "")])
def test_networks_that_learn_nothing_are_told(learned, on_collapse, again, caplog):
    X, y, model = learned
    assert not model.collapsed_.any() and len(model.collapsed_) == 4
    # One epoch teaches nothing, however often.
    words = f"4 of 4 networks predict little more than the mean of y {again}\\(final loss"
    with pytest.warns(UserWarning, match=words), caplog.at_level("INFO", logger="dal_regression"):
        dead = small(epochs=1, on_collapse=on_collapse).fit(X, y)
    assert dead.collapsed_.all()
    assert re.fullmatch(r"4 networks trained in \S+ s" + (", 4 of them anew" if again else ""), caplog.messages[-1])
    with pytest.raises(dal.InputError, match='on_collapse=.*"restart" or "keep"'):
        small(on_collapse="raise").fit(X, y)


def test_saved_and_pickled_models_predict_the_same_bits(learned, tmp_path):
    X, y, model = learned
    path = tmp_path / "model.safetensors"
    model.save(path)
    for copy in (dal.EnsembleRegressor.load(path), pickle.loads(pickle.dumps(model))):
        assert np.array_equal(copy.predict(X), model.predict(X))
        assert copy.get_params() == model.get_params()
        assert copy.members == 4
    damaged = bytearray(path.read_bytes())
    damaged[-3] ^= 1
    path.write_bytes(bytes(damaged))
    with pytest.raises(dal.FolderError, match="model.safetensors"):
        dal.EnsembleRegressor.load(path)
    with pytest.raises(dal.FolderError, match="cannot be read"):
        dal.EnsembleRegressor.load(tmp_path / "none")


def test_it_is_a_committee(learned):
    X, y, model = learned
    pool = np.random.default_rng(2).uniform(-1, 1, (50, 2)) * [1, 100]
    picks = dal.select("qbc", X, y, pool, model, n=5)
    assert picks.tolist() == dal.select("qbc", X, y, pool, model.members(pool), n=5).tolist()
    assert picks[0] == model.predict(pool, return_std=True)[1].argmax()


def test_mistakes_say_what_was_wrong(learned):
    X, y, model = learned
    for words, message in [
        (dict(members=0), "members=0"),
        (dict(hidden=[8, 0]), "hidden"),
        (dict(learning_rate=-1.0), "learning_rate"),
        (dict(threads=0), "threads=0"),
        (dict(threads=-1), "threads=-1"),
        (dict(learning_rate=float("nan")), "the network"),
        (dict(random_state="x"), "random_state"),
    ]:
        with pytest.raises(dal.InputError, match=message):
            small(**words).fit(X, y)
    with pytest.raises(ValueError):
        model.predict(X[:, :1])
    with pytest.raises(ValueError):
        small().fit(np.where(X > 90, np.nan, X), y)


def test_ctrl_c_ends_a_training_and_leaves_the_model_as_it_was(learned):
    X, y, _ = learned
    model = small().fit(X, y)
    before = model.predict(X)
    pressed = []

    def press():
        pressed.append(time.monotonic())
        signal.raise_signal(signal.SIGINT)

    # Without a stop this trains for a quarter of an hour and more.
    model.set_params(epochs=10_000_000)
    timer = threading.Timer(0.5, press)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    timer.join()
    assert pressed and np.array_equal(model.predict(X), before)
    assert np.array_equal(model.set_params(epochs=150).fit(X, y).predict(X), before)


def test_it_works_without_scikit_learn_and_pandas():
    script = """
        import sys
        for name in ("sklearn", "pandas"):
            sys.modules[name] = None
        import numpy as np, dal_regression as dal, pickle
        X = np.linspace(-1, 1, 20).reshape(-1, 1)
        model = dal.EnsembleRegressor(hidden=[16], members=2, epochs=100, learning_rate=1e-2).fit(X, X[:, 0])
        assert model.score(X, X[:, 0]) > 0.9
        assert model.get_params()["members"] == 2 and model.set_params(members=3).members == 3
        assert np.array_equal(pickle.loads(pickle.dumps(model)).predict(X), model.predict(X))
        try:
            model.set_params(mebers=3)
        except dal.InputError as error:
            assert "members" in str(error)
        else:
            raise AssertionError("an unknown parameter was taken")
        try:
            dal.EnsembleRegressor().predict(X)
        except dal.InputError as error:
            assert "fit" in str(error)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True)
