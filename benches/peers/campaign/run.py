"""Our campaigns beside what a user would pick instead: three problems as programs, 200 labels, the same test points.

    python3 benches/peers/campaign/run.py --dal target/release/dal --out docs/results

Needs the standard library only; what the peers need is pinned in `*/requirements*.txt` and installed into environments
of their own. Every run is a process of its own on one processor, in a folder of its own. Each result is kept in
`--runs` as one JSON file and not computed again, so that an interrupted call can be repeated; runs go seed by seed.
Writes `peers-campaign-KIND.md` and `.json` from what there is of this processor. `--check` lets each tool ask for 20
labels of `robo`, says of each whether it answered, and writes nothing. Exit code 1 where a run fails.
"""

import argparse
import csv
import json
import math
import os
import pathlib
import platform
import queue
import re
import shutil
import statistics
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from shared import (  # noqa: E402
    KEEP_BUFFERS,
    ONE_THREAD,
    ROOT,
    Checks,
    environment,
    folded,
    kind,
    pins,
    processor,
    table_files,
)

BUDGET, TEST_POINTS, TEST_SEED = 200, 2000, 20261127
BEAM = ROOT / "examples" / "beam"
# Problem → its problem file, its outputs, whether they are learned as logarithms.
PROBLEMS = {
    "beam": (BEAM / "beam.toml", ("deflection", "stress"), True),
    "robo": (HERE / "ours" / "robo.toml", ("y0", "y1"), False),
    "hydro": (HERE / "ours" / "hydro.toml", ("y0",), False),
}
OURS = "dal campaign"
# Tool → folder, script (of a Python tool: one for each problem), further arguments.
TOOLS = {
    OURS: ("ours", "campaign.sh", ()),
    "dal, Latin hypercube": ("ours", "hypercube.sh", ()),
    "egobox": ("egobox", None, ()),
    "scikit-activeml": ("skactiveml", None, ()),
    "scikit-activeml, noise": ("skactiveml", None, ("noise",)),
    "BayBE": ("baybe", None, ()),
}
# Where a tool's packages are pinned, if not in its own folder; and whose packages a folder has beside its own.
PACKAGES = {"skactiveml": HERE.parent / "select" / "skactiveml"}
BASES = {"baybe": HERE.parent / "train" / "torch"}
# Two-sided 95 % quantiles of Student's t, for 1, 2, … degrees of freedom.
STUDENT = (
    12.706,
    4.303,
    3.182,
    2.776,
    2.571,
    2.447,
    2.365,
    2.306,
    2.262,
    2.228,
    2.201,
    2.179,
    2.160,
    2.145,
    2.131,
    2.120,
)


def user_files(tool, problem):
    """What the user of a tool writes for a problem: the program first, what it needs beside it after."""
    folder, script, _ = TOOLS[tool]
    if script:
        return [HERE / folder / script, PROBLEMS[problem][0]]
    return [HERE / folder / f"{problem}.py", HERE / "ask.py"]


def user_lines(tool, problem):
    """Lines that are not blank."""
    return sum(1 for path in user_files(tool, problem) for line in path.read_text().splitlines() if line.strip())


def read_table(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def cell(text):
    try:
        return float(text)
    except (TypeError, ValueError):
        return math.nan


class Bench:
    """Where everything is: the tools on the path, the test points with their labels, the results."""

    def __init__(self, dal, runs, environments, check):
        self.dal, self.runs, self.check = dal, runs, check
        self.bin, self.results, self.work = runs / "bin", runs / "results", runs / "work"
        for folder in (self.bin, self.results, self.work):
            folder.mkdir(parents=True, exist_ok=True)
        for name, path in (("dal", dal), ("python3", pathlib.Path(sys.executable).resolve())):
            link = self.bin / name
            link.unlink(missing_ok=True)
            link.symlink_to(path)
        # The programs that answer and the users' `ask.py` are found beside the caller.
        self.surroundings = {
            **os.environ,
            **ONE_THREAD,
            "PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(HERE),
        }
        self.environments = environments
        self.pythons = {}

    def python(self, folder):
        if folder not in self.pythons:
            packages = PACKAGES.get(folder, HERE / folder)
            self.pythons[folder] = environment(packages, self.environments, BASES.get(folder))
        return self.pythons[folder]

    def lay_out(self, folder, problem):
        """A folder as a user's: the problem file and, of the beam, its program."""
        folder.mkdir(parents=True)
        shutil.copy(PROBLEMS[problem][0], folder / "problem.toml")
        if problem == "beam":
            shutil.copy(BEAM / "beam.py", folder)

    def test_points(self, problem):
        """The same points for all tools and seeds: their table, and their labels by the problem's own program."""
        folder = self.runs / "points" / problem
        if not (folder / "done").exists():
            shutil.rmtree(folder, ignore_errors=True)
            self.lay_out(folder, problem)
            with open(folder / "points.csv", "w") as points:
                design = [
                    "dal",
                    "design",
                    "problem.toml",
                    "-n",
                    str(TEST_POINTS),
                    "--method",
                    "uniform",
                    "--seed",
                    str(TEST_SEED),
                ]
                subprocess.run(design, cwd=folder, env=self.surroundings, stdout=points, check=True)
            label = ["dal", "label", "problem.toml", "--input", "points.csv", "--out", "truth.csv"]
            # Exit code 1: some of the beams fail.
            done = subprocess.run(label, cwd=folder, env=self.surroundings, capture_output=True, text=True)
            if done.returncode not in (0, 1):
                raise SystemExit(f"{problem}: the test points have no labels: {done.stderr}")
            (folder / "done").touch()
        return folder / "points.csv", read_table(folder / "truth.csv")

    def result_path(self, tool, problem, seed):
        return self.results / f"{problem}_{re.sub('[^a-z]+', '-', tool.lower())}_{seed}.json"

    def run(self, tool, problem, seed, slot):
        """One run; what it left is the result, or the error that it ended with."""
        folder, script, more = TOOLS[tool]
        place = self.work / self.result_path(tool, problem, seed).stem
        shutil.rmtree(place, ignore_errors=True)
        self.lay_out(place, problem)
        program = user_files(tool, problem)[0]
        if self.check:
            text = re.sub(r"\b200\b", "20", program.read_text()).replace("range(20)", "range(2)")
            program = place / f"check{program.suffix}"
            program.write_text(text)
        points, truth = self.test_points(problem)
        command = ["bash" if script else str(self.python(folder)), str(program), str(seed), str(points), *more]
        processors = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        one = {processors[slot % len(processors)]} if processors else None
        with open(place / "log", "w") as log:
            began = time.monotonic()
            child = subprocess.Popen(
                command,
                cwd=place,
                # Without this the large arrays of its posteriors take longer to get from the kernel than to fill.
                env={**self.surroundings, **(KEEP_BUFFERS if tool == "BayBE" else {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=(lambda: os.sched_setaffinity(0, one)) if one else None,
            )
            _, status, used = os.wait4(child.pid, 0)
            wall = time.monotonic() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            raise RuntimeError(f"exit code {child.returncode}; see {place / 'log'}")
        if not (place / "predictions.csv").exists() or not (predictions := read_table(place / "predictions.csv")):
            raise RuntimeError(f"no predictions; see {place / 'log'}")
        if script == "campaign.sh":
            export = ["dal", "export", "campaign", "--to", "csv", "--out", "labels.csv"]
            subprocess.run(export, cwd=place, env=self.surroundings, check=True, capture_output=True)
        labels = read_table(place / ("answers.csv" if script == "hypercube.sh" else "labels.csv"))
        outputs = PROBLEMS[problem][1]
        failed = sum(1 for row in labels if any(math.isnan(cell(row[name])) for name in outputs))
        if len(labels) != BUDGET and not self.check:
            raise RuntimeError(f"{len(labels)} labels instead of {BUDGET}")
        return {
            "tool": tool,
            "problem": problem,
            "seed": seed,
            "errors": errors(problem, predictions, truth),
            "labels": len(labels),
            "failed": failed,
            "wall_seconds": wall,
            "cpu_seconds": used.ru_utime + used.ru_stime,
            "load": os.getloadavg()[0],
            "processor": processor(),
        }


def errors(problem, predictions, truth):
    """Of each output the root mean squared error over the standard deviation, on the test points that have labels: in
    the output's unit and, where it is learned as a logarithm, of the logarithms."""
    if len(predictions) != len(truth):
        raise RuntimeError(f"{len(predictions)} predictions for {len(truth)} points")
    _, outputs, logarithms = PROBLEMS[problem]
    found = {}
    for name in outputs:
        pairs = [(cell(row[name]), cell(said[name])) for row, said in zip(truth, predictions)]
        pairs = [pair for pair in pairs if not math.isnan(pair[0])]
        for scale, as_shown in (("", float), ("ln ", math.log))[: 2 if logarithms else 1]:
            shown = [(as_shown(a), as_shown(b)) for a, b in pairs]
            spread = statistics.pstdev(a for a, _ in shown)
            if any(math.isnan(b) for _, b in shown):
                raise RuntimeError(f"predictions of {name} that are no numbers")
            found[scale + name] = math.sqrt(statistics.fmean((a - b) ** 2 for a, b in shown)) / spread
    return found


def interval(logarithms):
    """The geometric mean, and its 95 % interval by Student's t on the logarithms."""
    middle = statistics.fmean(logarithms)
    if len(logarithms) < 2:
        return math.exp(middle), None
    half = (
        STUDENT[min(len(logarithms) - 1, len(STUDENT)) - 1] * statistics.stdev(logarithms) / math.sqrt(len(logarithms))
    )
    return math.exp(middle), (math.exp(middle - half), math.exp(middle + half))


def shown(value, limits, digits):
    return f"{value:.{digits}g}" + (f" ({limits[0]:.{digits}g} … {limits[1]:.{digits}g})" if limits else "")


def table(results, problem):
    """Of one problem: a line for each output and tool."""
    of = {tool: {r["seed"]: r for r in results if r["problem"] == problem and r["tool"] == tool} for tool in TOOLS}
    names = [name for runs in of.values() for run in runs.values() for name in run["errors"]]
    lines = ["| output | tool | error | × ours | seeds |", "|---|---|---|---|---|"]
    for name in dict.fromkeys(names):
        title = name
        for tool, runs in of.items():
            if not runs:
                continue
            error = shown(*interval([math.log(run["errors"][name]) for run in runs.values()]), 3)
            both = [seed for seed in runs if seed in of[OURS]]
            ratio = ""
            if tool != OURS and both:
                ratio = shown(
                    *interval([math.log(runs[s]["errors"][name] / of[OURS][s]["errors"][name]) for s in both]), 3
                )
            lines.append(f"| {title} | {tool} | {error} | {ratio} | {len(runs)} |")
            title = ""
    lines += [
        "",
        "| tool | labels that failed | processor time | wall time | lines the user wrote |",
        "|---|---|---|---|---|",
    ]
    for tool, runs in of.items():
        if runs:
            median = {
                key: statistics.median(run[key] for run in runs.values())
                for key in ("failed", "cpu_seconds", "wall_seconds")
            }
            lines.append(
                f"| {tool} | {median['failed']:g} | {median['cpu_seconds']:.3g} s | {median['wall_seconds']:.3g} s "
                f"| {user_lines(tool, problem)} |"
            )
    return lines


def write(out, results, dal):
    """The page and the raw results; what is said about them stands in `notes.md`."""
    version = subprocess.run([dal, "--version"], capture_output=True, text=True).stdout.strip()
    folders = dict.fromkeys(TOOLS[run["tool"]][0] for run in results)
    places = [place for f in folders for place in (PACKAGES.get(f, HERE / f), BASES.get(f)) if place]
    pinned = [
        line.replace("==", " ")
        for place in places
        for path in pins(place)
        for line in path.read_text().splitlines()
        if line.split("==")[0] in ("egobox", "scikit-activeml", "scikit-learn", "baybe", "botorch", "gpytorch", "torch")
    ]
    versions = list(dict.fromkeys([version, *pinned]))
    loads = [run["load"] for run in results]
    machine = {
        "processor": processor(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "load": [min(loads), max(loads)],
    }
    notes = (HERE / "notes.md").read_text().strip().splitlines()
    text = [
        "# Campaigns against peers",
        "",
        f"Remade by `cargo xtask bench-peers campaign`; raw samples in `peers-campaign-{kind()}.json`.",
        "",
        *notes,
        "",
        f"{machine['processor']}, {machine['cores']} cores, {machine['system']}; load average at the runs' ends "
        f"{min(loads):.1f} to {max(loads):.1f}. {', '.join(versions)}.",
    ]
    for problem in PROBLEMS:
        if any(run["problem"] == problem for run in results):
            text += ["", f"## `{problem}`", "", *table(results, problem)]
    out.mkdir(parents=True, exist_ok=True)
    page, samples = table_files(out, "campaign")
    page.write_text(folded("\n".join(text)))
    lines = {f"{tool}: {problem}": user_lines(tool, problem) for tool in TOOLS for problem in PROBLEMS}
    raw = {"machine": machine, "versions": versions, "test_points": TEST_POINTS, "lines": lines, "runs": results}
    samples.write_text(json.dumps(raw, indent=1) + "\n")
    print("\n".join(text))


def check(args):
    """Every tool asks for 20 labels of `robo` and predicts; nothing is kept."""
    checks = Checks("campaign")
    runs = args.runs.absolute() / "check"
    shutil.rmtree(runs, ignore_errors=True)
    bench = Bench(args.dal.absolute(), runs, args.environments.absolute(), True)
    for tool in args.tools:
        with checks.of(tool):
            bench.run(tool, "robo", 1, 0)
    return checks.exit_code()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dal", type=pathlib.Path, required=True, help="the binary `dal`")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder for peers-campaign-KIND.md and .json")
    parser.add_argument(
        "--runs", type=pathlib.Path, default=ROOT / "target" / "peers-campaign", help="where results are kept"
    )
    parser.add_argument("--environments", type=pathlib.Path, default=ROOT / "target" / "python")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument(
        "--tools", nargs="+", choices=list(TOOLS), default=list(TOOLS), metavar="TOOL", help=", ".join(TOOLS)
    )
    parser.add_argument("--problems", nargs="+", choices=list(PROBLEMS), default=list(PROBLEMS))
    parser.add_argument("--jobs", type=int, default=1, help="runs at one time, each on one processor")
    parser.add_argument(
        "--table", action="store_true", help="run nothing: write the tables of the results that are there"
    )
    parser.add_argument(
        "--check", action="store_true", help="only see that every environment builds and every tool answers"
    )
    args = parser.parse_args()
    if not args.dal.is_file():
        raise SystemExit(f"{args.dal}: no such binary; build it with cargo build --release -p dal-cli")
    if args.check:
        return check(args)
    bench = Bench(args.dal.absolute(), args.runs.absolute(), args.environments.absolute(), False)
    jobs = queue.Queue()
    wanted = [
        (tool, problem, seed) for seed in range(1, args.seeds + 1) for problem in args.problems for tool in args.tools
    ]
    for job in wanted if not args.table else []:
        if not bench.result_path(*job).exists():
            jobs.put(job)
    # Before the clocks run, and by one thread.
    for folder in {TOOLS[tool][0] for tool, _, _ in jobs.queue} - {"ours"}:
        bench.python(folder)
    for problem in {problem for _, problem, _ in jobs.queue}:
        bench.test_points(problem)
    failures = []

    def work(slot):
        while True:
            try:
                job = jobs.get_nowait()
            except queue.Empty:
                return
            try:
                result = bench.run(*job, slot)
            except (RuntimeError, OSError, subprocess.SubprocessError, KeyError, ValueError) as error:
                failures.append(f"{job}: {error}")
                print(failures[-1], file=sys.stderr, flush=True)
                continue
            path = bench.result_path(*job)
            path.with_suffix(".new").write_text(json.dumps(result, indent=1) + "\n")
            path.with_suffix(".new").replace(path)
            print(
                f"{job}: {result['errors']}, {result['cpu_seconds']:.1f} s; {jobs.qsize()} left",
                file=sys.stderr,
                flush=True,
            )

    workers = [threading.Thread(target=work, args=(slot,)) for slot in range(args.jobs)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    paths = [
        bench.result_path(tool, problem, seed)
        for seed in range(1, args.seeds + 1)
        for problem in PROBLEMS
        for tool in TOOLS
    ]
    results = [json.loads(path.read_text()) for path in paths if path.exists()]
    # Times of two kinds of processor make no table; runs of before they said so are taken for this one's.
    results = [run for run in results if run.get("processor", processor()) == processor()]
    if results:
        write(args.out, results, args.dal)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
