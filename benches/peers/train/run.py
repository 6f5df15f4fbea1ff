"""Times the training of ensembles against PyTorch and JAX, on the same networks, data and initial weights, in one run.

    python3 benches/peers/train/run.py --rust PATH_TO/train_timing --out docs/results

Needs the standard library only; what the peers need is pinned in `*/requirements.txt` and installed into environments
of their own. In each cell (network, points, threads) every contender is a process that stays; they take turns, round
after round. With two threads each peer runs both ways, as one process with two threads and as two processes of five
members, and its better way counts. Writes `peers-training-KIND.md` and `.json`, KIND being that of the processor. Exit
code 1 where losses disagree; a missed bar is reported, not an error. `--check` builds every environment, lets every
contender train a few epochs, says of each whether it did, and writes nothing.

With `--lock-step PATH_TO/lockstep_timing` the engine on libtorch takes part with twelve trials in lock step. Its times
are per trial, and it is compared with PyTorch's batched ensemble, one trial after another.

Two clocks are kept: the wall's, and the processor's (seconds a thread was running, the larger of two processes, half
the total of one process with two threads), which is the fairer one where the machine has other work.
"""

import argparse
import array
import contextlib
import json
import math
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from shared import KEEP_BUFFERS, ROOT, Checks, environment, folded, kind, processor, table_files  # noqa: E402

OURS = "ours"
# Ours on libtorch: so many trials at once, times per trial.
LOCK_STEP = "tch, lock step"
TRIALS = 12
PEERS = ("torch-sequential", "torch-batched", "torch-compiled", "jax")

# Inputs, depth, width, outputs, weight decay; then the bars: at least so many times faster than the fastest peer at
# each number of points, and the least share of the matrix-product peak from 480 points on.
NETWORKS = {
    "sine": (1, 9, 20, 1, 0.0, {80: 4.0, 480: 2.5, 2080: 2.2}, 0.40),
    "hydro": (6, 6, 50, 1, 1e-4, {80: 2.2, 480: 1.8, 2080: 1.7}, 0.50),
    "foil": (5, 4, 200, 1, 1e-4, {80: 1.3, 480: 1.25, 2080: 1.2}, 0.65),
    "robo": (4, 4, 500, 2, 1e-4, {80: 1.15, 480: 1.1, 2080: 1.1}, 0.75),
    "stack": (5, 9, 700, 201, 0.0, {80: 1.05, 480: 1.05, 2080: 1.05}, None),
    "adm": (14, 4, 1500, 1000, 0.0, {80: 1.05, 480: 1.05, 2080: 1.05}, None),
}
# Behind the last Linear of adm, one channel: channels in and out and kernel of its convolutions, which double the
# length.
ADM_HEAD = [(1, 4, 4), (4, 4, 3), (4, 4, 3), (4, 1, 1)]


def members(network):
    """How many members the benchmark trains."""
    return 5 if network == "adm" else 10


def widths(network):
    inputs, depth, width, outputs = NETWORKS[network][:4]
    return [inputs, *[width] * depth, outputs]


def write_data(folder, network, points):
    """Inputs, labels and PyTorch's default initial parameters, as little-endian f32."""
    stream = random.Random(f"{network} {points}")
    sizes = widths(network)
    x = [[stream.uniform(-1.0, 1.0) for _ in range(sizes[0])] for _ in range(points)]
    outputs = sizes[-1] * (2 if network == "adm" else 1)
    y = [math.sin(3.0 * sum(row) + 0.1 * k) for row in x for k in range(outputs)]
    parameters = array.array("f")
    for _ in range(members(network)):
        for layer, (n_in, n_out) in enumerate(zip(sizes, sizes[1:])):
            bound = 1.0 / math.sqrt(n_in)
            parameters.extend(stream.uniform(-bound, bound) for _ in range(n_in * n_out + n_out))
            if layer < len(sizes) - 2:
                parameters.extend([1.0] * n_out + [0.0] * n_out)
        for n_in, n_out, kernel in ADM_HEAD if network == "adm" else []:
            bound = 1.0 / math.sqrt(n_out * kernel)
            parameters.extend(stream.uniform(-bound, bound) for _ in range(n_in * n_out * kernel + n_out))
    for name, values in (
        ("x", array.array("f", (v for row in x for v in row))),
        ("y", array.array("f", y)),
        ("params", parameters),
    ):
        if sys.byteorder == "big":
            values.byteswap()
        (folder / f"{name}.f32").write_bytes(values.tobytes())


# What our side tells beside its times.
FACTS = ("flops", "peak_bytes", "state_bytes", "first_epoch_seconds")


class Contender:
    """One or two processes that train on command."""

    def __init__(self, name, commands, environments, cpus, threads):
        self.name, self.threads, self.epochs = name, threads, None
        self.seconds, self.processor, self.losses = [], [], None
        self.facts = dict.fromkeys(FACTS)
        # Of the latest training: the engine's share, where it is called through Python.
        self.engine_seconds = None
        self.processes = [
            subprocess.Popen(
                command,
                env={**os.environ, **environment},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                preexec_fn=(lambda cpu=cpu: os.sched_setaffinity(0, cpu)) if cpu else None,
            )
            for command, environment, cpu in zip(commands, environments, cpus)
        ]

    def ask(self, line):
        for process in self.processes:
            # One that has ended is told by its empty answer.
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(line + "\n")
                process.stdin.flush()
        answers = [process.stdout.readline() for process in self.processes]
        if not all(answers):
            codes = [str(process.wait()) for process, answer in zip(self.processes, answers) if not answer]
            raise RuntimeError(f"{self.name} ended early with exit code {', '.join(codes)}; its own words stand above")
        return [json.loads(answer) for answer in answers]

    def run(self, epochs):
        """Seconds per epoch, on the wall and on the processor."""
        answers = self.ask(f"run {epochs}")
        self.losses = [member for answer in answers for member in answer["losses"]]
        for field in FACTS:
            self.facts[field] = answers[0].get(field, self.facts[field])
        self.engine_seconds = answers[0].get("engine_seconds")
        seconds = max(answer["seconds"] for answer in answers)
        # A single process of a peer counts all its threads, ours the busiest.
        share = self.threads if self.name not in (OURS, LOCK_STEP) and len(answers) == 1 else 1
        processor = max((answer["processor_seconds"] or answer["seconds"]) for answer in answers) / share
        return seconds / epochs, processor / epochs

    def close(self):
        for process in self.processes:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            process.wait()


def contenders(args, pythons, network, points, threads, folder):
    """Starts everyone who takes part in a cell."""
    cpus = sorted(os.sched_getaffinity(0))[:2] if hasattr(os, "sched_getaffinity") else []
    first, both = ({cpus[0]}, set(cpus)) if cpus else (None, None)
    decay = NETWORKS[network][4]
    common = ["--widths", ",".join(map(str, widths(network))), "--points", str(points), "--data", str(folder)]
    common += ["--weight-decay", str(decay)]
    if network == "adm":
        common.append("--adm-head")
    count = members(network)
    all_members = ["--members", str(count)]

    def surroundings(n):
        jax = "--xla_cpu_multi_thread_eigen=" + ("true" if n > 1 else "false") + f" intra_op_parallelism_threads={n}"
        cache = str(args.environments.absolute() / "inductor")
        return {
            **KEEP_BUFFERS,
            "OMP_NUM_THREADS": str(n),
            "MKL_NUM_THREADS": str(n),
            "XLA_FLAGS": jax,
            "TORCHINDUCTOR_CACHE_DIR": cache,
        }

    started = [
        Contender(
            OURS,
            [[str(args.rust.absolute()), *common, *all_members, "--threads", str(threads)]],
            [{}],
            [both if threads == 2 else first],
            threads,
        )
    ]
    if args.lock_step and network != "adm":
        command = [
            str(args.lock_step.absolute()),
            *common,
            *all_members,
            "--threads",
            str(threads),
            "--trials",
            str(TRIALS),
        ]
        started.append(Contender(LOCK_STEP, [command], [surroundings(1)], [both if threads == 2 else first], threads))
    for peer in args.peers:
        python = str(pythons["jax" if peer == "jax" else "torch"])
        command = [python, str(HERE / "worker.py"), peer, *common]
        if threads == 1:
            started.append(Contender(peer, [[*command, *all_members, "--threads", "1"]], [surroundings(1)], [first], 1))
        else:
            started.append(
                Contender(
                    f"{peer}, one process", [[*command, *all_members, "--threads", "2"]], [surroundings(2)], [both], 2
                )
            )
            parts = [(0, (count + 1) // 2), ((count + 1) // 2, count // 2)]
            halves = [[*command, "--threads", "1", "--first", str(at), "--members", str(size)] for at, size in parts]
            pins = [{cpus[0]}, {cpus[-1]}] if cpus else [None, None]
            started.append(Contender(f"{peer}, two processes", halves, [surroundings(1)] * 2, pins, 2))
    return started


def disagreement(ours, theirs):
    """How far a peer's losses of the first and third epoch are from ours, relatively: the member farthest off, and of
    the third the median, since after two steps of Adam a rounding may have tipped a unit of one member."""
    first, third = ([abs(a[e] - b[e]) / abs(a[e]) for a, b in zip(ours, theirs, strict=True)] for e in (0, 2))
    gaps = [max(first), statistics.median(third)]
    return gaps, gaps[0] > 1e-4 or gaps[1] > 3e-2


def measure(args, pythons, network, points, threads, scratch):
    """One cell: everyone's seconds per epoch, round by round."""
    folder = scratch / f"{network}_{points}"
    if not folder.exists():
        folder.mkdir()
        write_data(folder, network, points)
    cell = {"network": network, "points": points, "threads": threads, "contenders": {}, "disagree": []}
    everyone = contenders(args, pythons, network, points, threads, folder)
    try:
        ours_losses = None
        for contender in list(everyone):
            try:
                contender.run(3)
                if contender.name == OURS:
                    ours_losses = contender.losses
                else:
                    gaps, bad = disagreement(ours_losses, contender.losses)
                    contender.gaps = gaps
                    if bad:
                        cell["disagree"].append(f"{contender.name}: {gaps}")
                # The second run of a short length is free of compilation.
                _, processor = contender.run(3)
            except RuntimeError as error:
                cell["disagree"].append(str(error))
                everyone.remove(contender)
                continue
            # Making buffers is part of the lock step's time: enough epochs, or seconds, that it does not count.
            least = max(3, min(20, math.ceil(20.0 / processor))) if contender.name == LOCK_STEP else 3
            trials = 4 if contender.name == LOCK_STEP else 1
            contender.epochs = max(least, min(500, int(args.seconds / processor / trials)))
            if contender.epochs != 3:
                contender.run(contender.epochs)
        for _ in range(args.rounds):
            for contender in everyone:
                wall, processor = contender.run(contender.epochs)
                contender.seconds.append(wall)
                contender.processor.append(processor)
        cell |= everyone[0].facts
        for contender in everyone:
            cell["contenders"][contender.name] = {
                "epochs": contender.epochs,
                "seconds_per_epoch": contender.seconds,
                "processor_seconds_per_epoch": contender.processor,
                "loss_gaps": getattr(contender, "gaps", None),
            }
    finally:
        for contender in everyone:
            contender.close()
    return cell


def milliseconds(seconds):
    return "–" if seconds is None else f"{seconds * 1e3:.3g}"


def median(cell, name, clock):
    return statistics.median(cell["contenders"][name][clock])


def fastest(cell, clock):
    """The fastest peer of a cell and its median."""
    return min((median(cell, name, clock), name) for name in cell["contenders"] if name not in (OURS, LOCK_STEP))


def report(args, cells, peaks, load):
    """Markdown of all cells."""
    text = [
        "# Training against peers",
        "",
        f"Remade by `cargo xtask bench-peers training`; raw samples in `peers-training-{kind()}.json`.",
        "",
        f"{processor()}, {os.cpu_count()} cores; load average before and after {load[0]:.2f} and {load[1]:.2f}. Ten members (adm five), "
        f"BatchNorm, full-batch Adam, plateau schedule; milliseconds per epoch, medians over the rounds. Measured peaks of "
        + ", ".join(
            f"{t} thread{'s' if t > 1 else ''}: matrix product {p['matrix'] * 1e-9:.0f}, multiply-adds {p['fma'] * 1e-9:.0f} Gflop/s"
            for t, p in peaks.items()
        )
        + ". Share: flops of our matrix products alone over the matrix-product peak. With two threads each peer's better layout "
        "counts (one process of two threads, or two processes of half the members).",
    ]
    if args.note:
        text += ["", f"**How it was taken.** {args.note}"]
    for clock, title in (("processor_seconds_per_epoch", "Processor time"), ("seconds_per_epoch", "Wall clock")):
        text += [
            "",
            f"## {title}",
            "",
            "| network | N | threads | ours | "
            + " | ".join(PEERS)
            + " | fastest peer / ours | bar | share of peak | bar |",
            "|---" * (8 + len(PEERS)) + "|",
        ]
        for cell in cells:
            bars, share_bar = NETWORKS[cell["network"]][5:]
            ours = median(cell, OURS, clock)
            columns = []
            for peer in PEERS:
                times = [median(cell, name, clock) for name in cell["contenders"] if name.split(",")[0] == peer]
                columns.append(f"{min(times) * 1e3:.3g}" if times else "–")
            best, _ = fastest(cell, clock)
            bar = bars[cell["points"]]
            share = cell["flops"] / ours / peaks[cell["threads"]]["matrix"]
            verdict = (
                ""
                if share_bar is None or cell["points"] < 480
                else f"≥ {share_bar:.0%} {'yes' if share >= share_bar else 'no'}"
            )
            text.append(
                f"| {cell['network']} | {cell['points']} | {cell['threads']} | {ours * 1e3:.3g} | "
                + " | ".join(columns)
                + f" | {best / ours:.2f} | ≥ {bar} {'yes' if best / ours >= bar else 'no'} | {share:.0%} | {verdict} |"
            )
    text += [
        "",
        "## Memory and start of ours",
        "",
        "Peak of the whole process, beside what the weights of all members and the moments, data and "
        "activations of those in training take; the bar is 50 MB and three times that. Peers' times above do not count the "
        "making of buffers, nor do ours where the last column has a figure: that is a whole training of a single epoch, buffers and "
        "all.",
        "",
        "| network | N | threads | peak, MB | weights to activations, MB | bar, MB | one epoch from scratch, ms |",
        "|---" * 7 + "|",
    ]
    for cell in cells:
        if cell.get("peak_bytes"):
            peak_mb, state_mb = cell["peak_bytes"] * 1e-6, cell["state_bytes"] * 1e-6
            bar = 50 + 3 * state_mb
            text.append(
                f"| {cell['network']} | {cell['points']} | {cell['threads']} | {peak_mb:.1f} | {state_mb:.1f} "
                f"| {bar:.0f} {'yes' if peak_mb <= bar else 'no'} | {milliseconds(cell.get('first_epoch_seconds'))} |"
            )
    together = [cell for cell in cells if LOCK_STEP in cell["contenders"]]
    if together:
        text += [
            "",
            "## Lock step",
            "",
            f"The engine on libtorch, {TRIALS} trials at once, against PyTorch's batched ensemble one trial after another (with two "
            "threads in its better layout): milliseconds per epoch and trial, processor time, then wall clock. The bar is 2 at 80 "
            "points of sine and hydro, 1 elsewhere.",
            "",
            "| network | N | threads | lock step | torch-batched | ratio | lock step, wall | torch-batched, wall | ratio | bar |",
            "|---" * 10 + "|",
        ]
    for cell in together:
        row, bar = [], 2 if cell["points"] == 80 and cell["network"] in ("sine", "hydro") else 1
        for clock in ("processor_seconds_per_epoch", "seconds_per_epoch"):
            times = [median(cell, name, clock) for name in cell["contenders"] if name.split(",")[0] == "torch-batched"]
            if times:
                ours, best = median(cell, LOCK_STEP, clock), min(times)
                row += [f"{ours * 1e3:.3g}", f"{best * 1e3:.3g}", f"{best / ours:.2f}"]
        if row:
            verdict = "yes" if float(row[2]) >= bar else "no"
            text.append(
                f"| {cell['network']} | {cell['points']} | {cell['threads']} | "
                + " | ".join(row)
                + f" | ≥ {bar} {verdict} |"
            )
    complaints = [
        f"- {c['network']}, N = {c['points']}, {c['threads']} threads: {text}" for c in cells for text in c["disagree"]
    ]
    text += [
        "",
        "Losses of the first and third epoch agree in every cell." if not complaints else "Disagreements:",
        *complaints,
        "",
    ]
    return "\n".join(text)


def peak(args, pythons, threads, scratch):
    """Matrix-product and multiply-add peaks of so many threads."""
    folder = scratch / "peak"
    if not folder.exists():
        folder.mkdir()
        write_data(folder, "sine", 80)
    common = [
        "--widths",
        ",".join(map(str, widths("sine"))),
        "--points",
        "80",
        "--data",
        str(folder),
        "--threads",
        str(threads),
    ]
    torch = [str(pythons["torch"]), str(HERE / "worker.py"), "torch-batched", *common]
    rates = {}
    for name, command, line in (("matrix", torch, "peak 1536"), ("fma", [str(args.rust.absolute()), *common], "peak")):
        contender = Contender(
            name, [command], [{"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}], [None], threads
        )
        rates[name] = contender.ask(line)[0]["flops_per_second"] * (threads if name == "fma" else 1)
        contender.close()
    return rates


def check(args):
    """Every contender trains a few epochs of a small network; nothing is timed or written."""
    checks = Checks("training")
    names = [OURS, *([LOCK_STEP] if args.lock_step else []), *args.peers]
    with tempfile.TemporaryDirectory(prefix="train-peers-") as scratch:
        folder = pathlib.Path(scratch)
        write_data(folder, "hydro", 80)
        for name in names:
            with checks.of(name):
                train_a_little(args, name, folder)
    return checks.exit_code()


def train_a_little(args, name, folder):
    """One epoch and three, beside ours; an error where losses disagree."""
    peers = [name] if name in PEERS else []
    lock_step = args.lock_step if name == LOCK_STEP else None
    words = argparse.Namespace(**{**vars(args), "peers": peers, "lock_step": lock_step})
    everyone = contenders(words, environments(args, peers), "hydro", 80, 1, folder)
    try:
        for contender in everyone:
            contender.run(1)
            contender.run(3)
        # Every run begins anew, so that losses can be compared.
        gaps, bad = disagreement(everyone[0].losses, everyone[-1].losses)
        if bad:
            raise RuntimeError(f"losses of epochs 1 and 3 differ from ours by {gaps[0]:.1e} and {gaps[1]:.1e}")
    finally:
        for contender in everyone:
            contender.close()


def environments(args, peers):
    """The Pythons of these peers, by the folder that pins their packages."""
    folders = sorted({"jax" if peer == "jax" else "torch" for peer in peers})
    return {name: environment(HERE / name, args.environments.absolute()) for name in folders}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--rust", type=pathlib.Path, required=True, help="the binary `train_timing` of the benches package"
    )
    parser.add_argument(
        "--lock-step", type=pathlib.Path, help="the binary `lockstep_timing` (feature `tch`), to take part"
    )
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder for peers-training-KIND.md and .json")
    parser.add_argument("--environments", type=pathlib.Path, default=ROOT / "target" / "python")
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--points", default="80,480,2080")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--peers", default=",".join(PEERS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--append", action="store_true", help="keep the other cells of an earlier run's .json")
    parser.add_argument("--note", help="how the table was taken, if there is something to say; kept with --append")
    parser.add_argument("--seconds", type=float, default=1.0, help="aim for one contender's turn")
    parser.add_argument(
        "--check", action="store_true", help="only see that every environment builds and trains as ours does"
    )
    args = parser.parse_args()
    args.peers = args.peers.split(",")
    if not args.rust.is_file():
        raise SystemExit(
            f"{args.rust}: no such binary; build it with cargo build --release -p dal-benches --bin train_timing"
        )
    if args.check:
        return check(args)
    # PyTorch measures the peak of matrix products, whichever peers take part.
    pythons = environments(args, [*args.peers, "torch-batched"])
    threads = [int(t) for t in args.threads.split(",")]
    before, cells = os.getloadavg()[0], []
    args.out.mkdir(parents=True, exist_ok=True)
    page, earlier = table_files(args.out, "training")
    old_peaks = {}
    if args.append and earlier.exists():
        old = json.loads(earlier.read_text())
        cells, old_peaks, before = (
            old["cells"],
            {int(t): p for t, p in old["peaks"].items()},
            old["load_before_after"][0],
        )
        args.note = args.note or old.get("note")
    with tempfile.TemporaryDirectory(prefix="train-peers-") as scratch:
        scratch = pathlib.Path(scratch)
        peaks = old_peaks | {t: peak(args, pythons, t, scratch) for t in threads if t not in old_peaks}
        order = list(NETWORKS)
        for network in args.networks.split(","):
            for points in map(int, args.points.split(",")):
                for t in threads:
                    cells = [c for c in cells if (c["network"], c["points"], c["threads"]) != (network, points, t)]
                    cell = measure(args, pythons, network, points, t, scratch)
                    cells = sorted([*cells, cell], key=lambda c: (order.index(c["network"]), c["points"], c["threads"]))
                    # Written after every cell, so that a long run that is stopped leaves what it has.
                    load = (before, os.getloadavg()[0])
                    text = report(args, cells, peaks, load)
                    page.write_text(folded(text))
                    raw = {
                        "processor": processor(),
                        "cores": os.cpu_count(),
                        "load_before_after": load,
                        "peaks": peaks,
                        "cells": cells,
                        "note": args.note,
                    }
                    earlier.write_text(json.dumps(raw, indent=1) + "\n")
                    best, name = (
                        fastest(cell, "processor_seconds_per_epoch")
                        if len(cell["contenders"]) > 1
                        else (math.nan, "none")
                    )
                    ours = median(cell, OURS, "processor_seconds_per_epoch")
                    print(
                        f"{network}, N = {points}, {t} threads: ours {ours * 1e3:.3g} ms, {name} {best * 1e3:.3g} ms",
                        file=sys.stderr,
                        flush=True,
                    )
    print(text)
    return 1 if any(cell["disagree"] for cell in cells) else 0


if __name__ == "__main__":
    sys.exit(main())
