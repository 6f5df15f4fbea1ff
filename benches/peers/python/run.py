"""The Python package against what its users pick today, and against the engine that it wraps, side by side in one run.

    python3 benches/peers/python/run.py --wheel WHEEL --train PATH_TO/train_timing --select PATH_TO/select_timing \\
        --out docs/results

or `cargo xtask bench-peers python`, which builds all three. Needs the standard library only: the wheel (`cargo xtask
wheel`) goes into an environment with scikit-learn, the peers into those of `../train` and `../select`; the two binaries
are those of the benches package, built for release. Contenders take turns, round after round. Writes
`peers-python-KIND.md` and `.json`, KIND being that of the processor. Exit code 1 where picks differ; a missed bar is
reported, not an error. `--check` does all of it at tiny sizes, says of each peer whether it did, and writes nothing.
Let the machine do nothing else meanwhile.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import types
from typing import Any

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from shared import ROOT, Checks, environment, folded, kind, processor, table_files  # noqa: E402

WHEEL = "EnsembleRegressor"
SELECT, QUERY = "dal.select", "query"
# Python may add so much to what the engine takes: a share, and seconds.
SHARE, MORE = 0.05, 1e-3
# `query` is to be so many times faster than scikit-activeml's.
QUERY_BAR = 500.0
# A cell of trainings is repeated for so many seconds, or so often, even where `--rounds` is less.
ENOUGH, MOST_ROUNDS = 40.0, 25
PUBLISHED = ("sine", "hydro", "foil")
THREADS = (1, 2)


def script(folder: str) -> types.ModuleType:
    """The comparison of a sister folder, whose contenders and data are used here."""
    spec = importlib.util.spec_from_file_location(f"peers_{folder}", HERE.parent / folder / "run.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TRAIN, CHOICE = script("train"), script("select")


def own_environment(args: argparse.Namespace) -> pathlib.Path:
    """A Python with the pinned packages and the wheel."""
    python = environment(HERE, args.environments.absolute())
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--force-reinstall"]
    subprocess.run([*install, "--no-deps", str(args.wheel)], check=True)
    return python


def training(args: argparse.Namespace, python: pathlib.Path, scratch: pathlib.Path) -> list[dict[str, Any]]:
    """Seconds of whole trainings: the wheel, the engine and, where asked for, PyTorch, with BatchNorm."""
    peers = ["torch-sequential", "torch-batched", "torch-compiled"] if args.torch else []
    pythons = TRAIN.environments(args, peers)
    words = types.SimpleNamespace(rust=args.train, lock_step=None, peers=peers, environments=args.environments)
    cells = []
    for network in PUBLISHED:
        for points in args.points:
            folder = scratch / f"{network}_{points}"
            folder.mkdir()
            TRAIN.write_data(folder, network, points)
            for threads in THREADS:
                everyone = TRAIN.contenders(words, pythons, network, points, threads, folder)
                common = ["--widths", ",".join(map(str, TRAIN.widths(network))), "--points", str(points)]
                common += ["--data", str(folder), "--weight-decay", str(TRAIN.NETWORKS[network][4])]
                command = [str(python), str(HERE / "train_worker.py"), *common, "--threads", str(threads)]
                cpus = sorted(os.sched_getaffinity(0))[:threads] if hasattr(os, "sched_getaffinity") else []
                everyone.append(TRAIN.Contender(WHEEL, [command], [{}], [set(cpus) or None], threads))
                try:
                    for contender in everyone:
                        contender.run(args.epochs)
                    began, rounds, around = time.monotonic(), 0, []
                    # Short trainings more often: single ones differ by more than is looked for.
                    while rounds < args.rounds or (rounds < MOST_ROUNDS and time.monotonic() - began < ENOUGH):
                        rounds += 1
                        for contender in everyone:
                            contender.seconds.append(args.epochs * contender.run(args.epochs)[0])
                        around.append(everyone[-1].seconds[-1] - everyone[-1].engine_seconds)
                    # What the table of training leaves out of the engine's time, the making of buffers, counts here.
                    first = everyone[0].facts["first_epoch_seconds"] or 0.0
                    engine = everyone[0]
                    engine.seconds = [s * (1 - 1 / args.epochs) + first for s in engine.seconds]
                finally:
                    for contender in everyone:
                        contender.close()
                cell = {"network": network, "points": points, "threads": threads, "epochs": args.epochs}
                cells.append(cell | {"seconds": {one.name: one.seconds for one in everyone}, "around": around})
    return cells


def beside_sklearn(args: argparse.Namespace, python: pathlib.Path) -> list[dict[str, Any]]:
    """Both in one process, in turns, on the built-in problems' labels."""
    cells: list[dict[str, Any]] = []
    for threads in THREADS:
        command = [str(python), str(HERE / "beside_sklearn.py"), "--threads", str(threads)]
        command += ["--epochs", str(args.epochs), "--rounds", str(args.slow_rounds), "--points"]
        command += map(str, args.points)
        cells += json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    return cells


def selection(args: argparse.Namespace, python: pathlib.Path, scratch: pathlib.Path) -> list[Any]:
    """One proposal of 40 picks, one thread: the engine, `dal.select`, `query`, scikit-activeml, where asked for
    bmdal-reg."""
    worker = [str(python), str(HERE / "select_worker.py")]
    peers = (CHOICE.SKACTIVEML, *([CHOICE.BMDAL] if args.torch else []))
    commands = {CHOICE.OURS: [str(args.select.absolute())], SELECT: [*worker, "select"], QUERY: [*worker, "query"]}
    commands |= {name: CHOICE.program(name, args.environments) for name in peers}
    ours = {CHOICE.OURS: (args.rounds, 15), SELECT: (args.rounds, 15), QUERY: (args.rounds, 15)}
    slow = {CHOICE.SKACTIVEML: (args.slow_rounds, 1)}
    bmdal = {CHOICE.BMDAL: (args.rounds, 3)} if args.torch else {}
    contests = [
        CHOICE.Contest(4, args.pool, "gsx", 2, ours | slow | bmdal),
        CHOICE.Contest(4, args.pool, "gsxy", 1, ours | slow),
        CHOICE.Contest(4, args.pool, "qbc-diversity", 2, ours),
    ]
    data = scratch / "selection"
    CHOICE.make_data(args.environments, data, 4, args.pool, 0)
    for turn in range(max(args.rounds, args.slow_rounds)):
        for contest in contests:
            for name, (rounds, _) in contest.entries.items():
                if turn < rounds:
                    # The package is used in processes that were not told how to allocate.
                    CHOICE.call(commands, contest, name, data, as_it_is=(CHOICE.OURS, SELECT, QUERY))
    return contests


def yes(holds: bool) -> str:
    return "yes" if holds else "no"


def adds(added: float, engine: float) -> list[str]:
    """What Python adds, what it may, and whether it does not."""
    most = SHARE * engine + MORE
    return [f"{1e3 * added:+.2f} ms", f"{1e3 * most:.2f} ms", yes(added <= most)]


def table(header: str, rows: list[list[str]]) -> list[str]:
    return [header, "|---" * header.count(" | ") + "|---|", *("| " + " | ".join(row) + " |" for row in rows)]


def sklearn_rows(cells: list[dict[str, Any]]) -> list[list[str]]:
    rows = []
    for cell in cells:
        medians = {name: statistics.median(seconds) for name, seconds in cell["seconds"].items()}
        ours = medians.pop(WHEEL)
        best = min(medians, key=lambda name: medians[name])
        where = [cell["network"], *(str(cell[key]) for key in ("points", "threads", "epochs"))]
        rows.append([*where, f"{ours:.4g}", f"{medians[best]:.4g}", best, f"{medians[best] / ours:.3g}"])
    return rows


def training_rows(cells: list[dict[str, Any]]) -> list[list[str]]:
    rows = []
    for cell in cells:
        medians = {name: statistics.median(seconds) for name, seconds in cell["seconds"].items()}
        ours, engine = medians.pop(WHEEL), medians.pop(TRAIN.OURS)
        around = statistics.median(cell["around"])
        # Of neighbours in time: the machine's own pace changes by more from round to round.
        beside = statistics.median(a - b for a, b in zip(cell["seconds"][WHEEL], cell["seconds"][TRAIN.OURS]))
        where = [cell["network"], *(str(cell[key]) for key in ("points", "threads", "epochs"))]
        best = min(medians.values(), default=None)
        torch = ["–", "–"] if best is None else [f"{best:.4g}", f"{best / ours:.2f}"]
        rows.append([*where, f"{ours:.4g}", f"{engine:.4g}", *adds(around, engine), f"{1e3 * beside:+.2f} ms", *torch])
    return rows


def selection_rows(contests: list[Any]) -> list[list[str]]:
    rows = []
    for contest in contests:
        engine, query = contest.median(CHOICE.OURS), contest.median(QUERY)
        for name in contest.entries:
            of_python = adds(contest.median(name) - engine, engine) if name in (SELECT, QUERY) else ["", "", ""]
            ratio = contest.median(name) / query
            bar = f"≥ {QUERY_BAR:g} {yes(ratio >= QUERY_BAR)}" if name == CHOICE.SKACTIVEML else ""
            same = "yes" if contest.picks[name] == contest.picks[CHOICE.OURS] else "NO"
            time = CHOICE.duration(contest.median(name))
            rows.append([contest.title(), name, time, f"{ratio:.4g}", bar, *of_python, same])
    return rows


def page(sklearn: list[Any], trained: list[Any], contests: list[Any], load: list[float]) -> str:
    versions: dict[str, str] = {}
    for contest in contests:
        for of in contest.versions.values():
            versions |= of
    told = ", ".join(f"{name} {version}" for name, version in versions.items())
    return "\n".join(
        [
            "# The Python package against peers",
            "",
            f"Remade by `cargo xtask bench-peers python`; raw samples in `peers-python-{kind()}.json`.",
            "",
            f"{processor()}, {os.cpu_count()} cores; load average before and after {load[0]:.2f} and {load[1]:.2f}. "
            f"Medians over rounds in which contenders take turns. {told}.",
            "",
            "## Training, beside scikit-learn",
            "",
            "Whole trainings of ten networks, full batch, Adam, no BatchNorm, on equal network, epochs and labels; "
            "scikit-learn trains ten `MLPRegressor`, with two threads in its better layout.",
            "",
            *table(
                "| network | N | threads | epochs | EnsembleRegressor, s | scikit-learn, s | its layout "
                "| scikit-learn / ours |",
                sklearn_rows(sklearn),
            ),
            "",
            "## Training, beside the engine",
            "",
            f"Whole trainings of ten networks with BatchNorm, buffers and all. Python may add {SHARE:.0%} and "
            f"{1e3 * MORE:g} ms; what it adds is the time of a call without that of the engine inside it, the median "
            "over rounds. Beside the engine in a process of its own the machine's pace counts, too: the last column "
            "before PyTorch's has the median over rounds of the difference within a round. PyTorch takes part with "
            "`--torch`, in its better layout.",
            "",
            *table(
                "| network | N | threads | epochs | EnsembleRegressor, s | engine, s | Python adds | at most | holds "
                "| beside the engine | fastest PyTorch, s | PyTorch / ours |",
                training_rows(trained),
            ),
            "",
            "## Selection",
            "",
            "1000 labelled points, 40 picks, one thread; `ours` is the engine without Python, `query` is called as "
            "scikit-activeml's is.",
            "",
            *table(
                "| rule | contender | median | × query | bar | Python adds | at most | holds | same picks |",
                selection_rows(contests),
            ),
            "",
        ]
    )


def check(args: argparse.Namespace) -> int:
    """All of it at tiny sizes, peer by peer; nothing is written."""
    args.rounds, args.slow_rounds, args.epochs, args.points, args.pool = 1, 1, 5, [40], 300
    checks = Checks("python")
    with tempfile.TemporaryDirectory(prefix="python-peers-") as folder:
        scratch = pathlib.Path(folder)
        with checks.of("wheel"):
            own_environment(args)
        python = environment(HERE, args.environments.absolute())
        with checks.of("scikit-learn"):
            sklearn_rows(beside_sklearn(args, python))
        with checks.of("engine, trainings"):
            training_rows(training(args, python, scratch))
        with checks.of("engine, scikit-activeml, selections"):
            contests = selection(args, python, scratch)
            selection_rows(contests)
            complain(contests)
    return checks.exit_code()


def complain(contests: list[Any]) -> None:
    """An error where a contestant picks other points than the engine."""
    differ = [(c.title(), name) for c in contests for name in c.entries if c.picks[name] != c.picks[CHOICE.OURS]]
    if differ:
        raise SystemExit("; ".join(f"{title}: {name} picks other points" for title, name in differ))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheel", type=pathlib.Path, required=True, help="the wheel that is measured")
    parser.add_argument("--train", type=pathlib.Path, required=True, help="the binary `train_timing`")
    parser.add_argument("--select", type=pathlib.Path, required=True, help="the binary `select_timing`")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "docs/results", help="folder of the table")
    parser.add_argument("--environments", type=pathlib.Path, default=ROOT / "target/python")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--slow-rounds", type=int, default=3, help="rounds of scikit-learn and scikit-activeml")
    parser.add_argument("--epochs", type=int, default=500)
    parser.add_argument("--points", type=int, nargs="+", default=[80, 480])
    parser.add_argument("--pool", type=int, default=10_000)
    parser.add_argument("--torch", action="store_true", help="PyTorch and bmdal-reg, too: half an hour more")
    parser.add_argument("--check", action="store_true", help="tiny sizes: does all of it run?")
    args = parser.parse_args()
    for path in (args.wheel, args.train, args.select):
        if not path.is_file():
            raise SystemExit(f"{path}: no such file; `cargo xtask bench-peers python` builds it")
    if args.check:
        return check(args)
    load = [os.getloadavg()[0]]
    python = own_environment(args)
    with tempfile.TemporaryDirectory(prefix="python-peers-") as folder:
        contests = selection(args, python, pathlib.Path(folder))
        trained = training(args, python, pathlib.Path(folder))
        sklearn = beside_sklearn(args, python)
    load.append(os.getloadavg()[0])
    text = page(sklearn, trained, contests, load)
    raw = {
        "processor": processor(),
        "cores": os.cpu_count(),
        "load_before_after": load,
        "beside_sklearn": sklearn,
        "beside_engine": trained,
        "selection": [
            {"strategy": c.strategy, "outputs": c.outputs, "pool": c.pool, "seconds": c.seconds} for c in contests
        ],
    }
    args.out.mkdir(parents=True, exist_ok=True)
    written, samples = table_files(args.out, "python")
    written.write_text(folded(text))
    samples.write_text(json.dumps(raw, indent=1) + "\n")
    print(text)
    complain(contests)
    return 0


if __name__ == "__main__":
    sys.exit(main())
