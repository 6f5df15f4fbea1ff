"""The Python package against what its users pick today, and against the engine that it wraps, side by side in one run.

    python3 benches/peers/python/run.py --wheel WHEEL --train PATH_TO/train_timing --select PATH_TO/select_timing \\
        --out docs/results

Needs the standard library only: the wheel (`cargo xtask wheel`) goes into an environment with scikit-learn, the peers
into those of `../train` and `../select`; the two binaries are those of the benches package, built for release.
Contenders take turns, round after round. Writes `peers-python-KIND.md`, KIND being that of the processor. `--check`
does all of it at tiny sizes and writes nothing. Let the machine do nothing else meanwhile.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import types

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from shared import ROOT, environment, processor, table_files  # noqa: E402

WHEEL = "EnsembleRegressor"
SELECT = "dal.select"
SKLEARN = "ten MLPRegressor"


def script(folder: str) -> types.ModuleType:
    """The comparison of a sister folder, whose contenders and data are used here."""
    spec = importlib.util.spec_from_file_location(f"peers_{folder}", HERE.parent / folder / "run.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def own_environment(args: argparse.Namespace) -> pathlib.Path:
    """A Python with the pinned packages and the wheel."""
    python = environment(HERE, args.environments.absolute())
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--force-reinstall"]
    subprocess.run([*install, "--no-deps", str(args.wheel)], check=True)
    return python


def training(args: argparse.Namespace, python: pathlib.Path, scratch: pathlib.Path) -> list[str]:
    """Seconds of whole trainings: the wheel, the engine, PyTorch, with BatchNorm."""
    train = script("train")
    pythons = {"torch": environment(HERE.parent / "train/torch", args.environments.absolute())} if args.torch else {}
    peers = ["torch-sequential", "torch-batched", "torch-compiled"] if args.torch else []
    lines = [
        "| network | N | threads | epochs | EnsembleRegressor, s | engine, s | Python adds | at most "
        "| fastest PyTorch, s | PyTorch / ours |",
        "|---" * 10 + "|",
    ]
    words = types.SimpleNamespace(rust=args.train, lock_step=None, peers=peers, environments=args.environments)
    for network in ("sine", "hydro", "foil"):
        for points in args.points:
            folder = scratch / f"{network}_{points}"
            folder.mkdir()
            train.write_data(folder, network, points)
            for threads in (1, 2):
                everyone = train.contenders(words, pythons, network, points, threads, folder)
                common = ["--widths", ",".join(map(str, train.widths(network))), "--points", str(points)]
                common += ["--data", str(folder), "--weight-decay", str(train.NETWORKS[network][4])]
                command = [str(python), str(HERE / "train_worker.py"), *common, "--threads", str(threads)]
                cpus = sorted(os.sched_getaffinity(0))[:threads] if hasattr(os, "sched_getaffinity") else []
                everyone.append(train.Contender(WHEEL, [command], [{}], [set(cpus) or None], threads))
                try:
                    for contender in everyone:
                        contender.run(args.epochs)
                    for _ in range(args.rounds):
                        for contender in everyone:
                            contender.seconds.append(args.epochs * contender.run(args.epochs)[0])
                    medians = {one.name: statistics.median(one.seconds) for one in everyone}
                    # What the table of training leaves out of the engine's time, the making of buffers, counts here.
                    first = everyone[0].facts["first_epoch_seconds"] or 0.0
                    engine = medians.pop(train.OURS) * (1 - 1 / args.epochs) + first
                finally:
                    for contender in everyone:
                        contender.close()
                ours = medians.pop(WHEEL)
                best = min(medians.values(), default=None)
                lines.append(
                    f"| {network} | {points} | {threads} | {args.epochs} | {ours:.4g} | {engine:.4g} "
                    f"| {1e3 * (ours - engine):+.2f} ms | {1e3 * (0.05 * engine + 1e-3):.2f} ms | "
                    + ("– | – |" if best is None else f"{best:.4g} | {best / ours:.2f} |")
                )
    return lines


def beside_sklearn(args: argparse.Namespace, python: pathlib.Path) -> list[str]:
    """Both in one process, in turns, on the built-in problems' labels."""
    lines = [
        f"| network | N | threads | epochs | EnsembleRegressor, s | {SKLEARN}, s | scikit-learn / ours |",
        "|---" * 7 + "|",
    ]
    for threads in (1, 2):
        command = [str(python), str(HERE / "beside_sklearn.py"), "--threads", str(threads)]
        command += ["--epochs", str(args.epochs), "--rounds", str(args.rounds), "--points", *map(str, args.points)]
        lines += subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    return lines


def selection(args: argparse.Namespace, python: pathlib.Path, scratch: pathlib.Path) -> list[str]:
    """One proposal of 40 picks, one thread: the wheel, the engine, scikit-activeml, bmdal-reg."""
    select = script("select")
    folders = ("incremental_numpy", "skactiveml", *(["bmdal"] if args.torch else []))
    pythons = {name: environment(HERE.parent / "select" / name, args.environments.absolute()) for name in folders}
    peer = {name: [str(path), str(HERE.parent / "select" / name / "peer.py")] for name, path in pythons.items()}
    commands = {
        select.OURS: [str(args.select.absolute())],
        SELECT: [str(python), str(HERE / "select_worker.py")],
        select.SKACTIVEML: peer["skactiveml"],
        select.BMDAL: peer.get("bmdal"),
    }
    slow = {select.SKACTIVEML: (1, 1)}
    both = {select.OURS: (args.rounds, 5), SELECT: (args.rounds, 5)}
    with_bmdal = {select.BMDAL: (args.rounds, 3)} if args.torch else {}
    contests = [
        select.Contest(4, args.pool, "gsx", 2, both | slow | with_bmdal),
        select.Contest(4, args.pool, "gsxy", 1, both | slow),
        select.Contest(4, args.pool, "qbc-diversity", 2, both),
    ]
    data = scratch / "selection"
    make = [str(pythons["incremental_numpy"]), str(HERE.parent / "select/make_data.py"), str(data)]
    subprocess.run([*make, "--inputs", "4", "--pool", str(args.pool)], check=True)
    for turn in range(args.rounds):
        for contest in contests:
            for name, (rounds, _) in contest.entries.items():
                if turn < rounds:
                    select.call(commands, contest, name, data)
    lines = ["| rule | contender | median | × dal.select | Python adds | at most | same picks |", "|---" * 7 + "|"]
    for contest in contests:
        engine, ours = contest.median(select.OURS), contest.median(SELECT)
        for name in contest.entries:
            adds = ["", ""]
            if name == SELECT:
                adds = [f"{1e3 * (ours - engine):+.3f} ms", f"{1e3 * (0.05 * engine + 1e-3):.3f} ms"]
            same = "yes" if contest.picks[name] == contest.picks[select.OURS] else "NO"
            lines.append(
                f"| {contest.title()} | {name} | {select.duration(contest.median(name))} "
                f"| {contest.median(name) / ours:.4g} | {adds[0]} | {adds[1]} | {same} |"
            )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheel", type=pathlib.Path, required=True, help="the wheel that is measured")
    parser.add_argument("--train", type=pathlib.Path, required=True, help="the binary `train_timing`")
    parser.add_argument("--select", type=pathlib.Path, required=True, help="the binary `select_timing`")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "docs/results", help="folder of the table")
    parser.add_argument("--environments", type=pathlib.Path, default=ROOT / "target/python")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=500)
    parser.add_argument("--points", type=int, nargs="+", default=[80, 480])
    parser.add_argument("--pool", type=int, default=10_000)
    parser.add_argument("--no-torch", dest="torch", action="store_false", help="leave PyTorch and bmdal-reg out (5 GB)")
    parser.add_argument("--check", action="store_true", help="tiny sizes: does all of it run?")
    args = parser.parse_args()
    for path in (args.wheel, args.train, args.select):
        if not path.is_file():
            raise SystemExit(f"{path}: no such file; `cargo xtask wheel`, `cargo build --release -p dal-benches`")
    if args.check:
        args.rounds, args.epochs, args.points, args.pool = 1, 5, [40], 300
    before = os.getloadavg()[0]
    python = own_environment(args)
    with tempfile.TemporaryDirectory(prefix="python-peers-") as folder:
        scratch = pathlib.Path(folder)
        sections = [
            "## Training, beside scikit-learn",
            "",
            "Ten networks, full batch, Adam, no BatchNorm, equal network, epochs and labels.",
            "",
            *beside_sklearn(args, python),
            "",
            "## Training, beside the engine and PyTorch",
            "",
            "Ten networks with BatchNorm; whole trainings, buffers and all; with two threads PyTorch's better layout.",
            "",
            *training(args, python, scratch),
            "",
            "## Selection",
            "",
            "1000 labelled points, 40 picks, one thread; `ours` is the engine without Python.",
            "",
            *selection(args, python, scratch),
            "",
        ]
    text = [
        "# The Python package against peers",
        "",
        "Remade by `benches/peers/python/run.py`, medians over rounds in which contenders take turns.",
        "",
        f"{processor()}, {os.cpu_count()} cores; load average before and after {before:.2f}, {os.getloadavg()[0]:.2f}.",
        "",
        *sections,
    ]
    print("\n".join(text))
    if not args.check:
        args.out.mkdir(parents=True, exist_ok=True)
        table_files(args.out, "python")[0].write_text("\n".join(text))


if __name__ == "__main__":
    main()
