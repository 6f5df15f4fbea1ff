"""Times our selection rules against what users run today, on the same data, in one run, one thread each.

    python3 benches/peers/select/run.py --rust PATH_TO/select_timing --out docs/results

Needs the standard library only; what the peers need is pinned in `*/requirements.txt` and installed into environments
of their own. Every repetition is a process of its own; contenders take turns, round after round, so that a slow minute
of the machine hits all of them. Writes `peers-selection-KIND.md` and `.json`, KIND being that of the processor.
`--check` builds every environment, lets each contender choose once from a small pool, says of each whether it chose as
ours does, and writes nothing. Exit code 1 where a contender fails or picks other points than ours; a missed bar is
reported, not an error, because a loaded machine can miss it.
"""

import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile

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
    processor,
    table_files,
)

OURS, DIFFERENCES, PRODUCTS = "ours", "NumPy, differences", "NumPy, matrix products"
SKACTIVEML, BMDAL = "scikit-activeml", "bmdal-reg"
# Where a contender's packages are pinned and its program lies.
FOLDERS = {
    DIFFERENCES: "incremental_numpy",
    PRODUCTS: "incremental_numpy",
    SKACTIVEML: "skactiveml",
    BMDAL: "bmdal",
}
# Whose packages a folder has beside its own.
BASES = {"bmdal": HERE.parent / "train" / "torch"}
STRATEGIES = ("gsx", "gsxy", "qbc-diversity")
PICKS = 40
# On features, beside bmdal-reg: strategy → what ours is called with. `lcmd-p` and `maxdist-p` are `lcmd-tp` and
# `maxdist-tp` with the posterior transform, which the other two always have.
ON_FEATURES = {
    "lcmd-tp": ("lcmd-tp",),
    "lcmd-p": ("bmdal", "--set", "transform=posterior"),
    "maxdist-tp": ("maxdist-tp",),
    "maxdist-p": ("bmdal", "--set", "selection=maxdist", "--set", "transform=posterior"),
    "maxdet-p": ("maxdet-p",),
    "bait-f-p": ("bait-f-p",),
}
COLUMNS = 512
# The least that ours has to be faster by.
FEATURE_BARS = {"lcmd-tp": 4.0, "maxdet-p": 1.0, "bait-f-p": 3.0}
# A pool whose features fill memory: ours alone, for its own.
LARGE = 100_000


class Contest:
    """One rule on one data set, and who takes part: contender → (rounds, repetitions within a round)."""

    def __init__(self, inputs, pool, strategy, outputs, entries, columns=0):
        self.columns = columns
        self.inputs, self.pool, self.strategy, self.outputs, self.entries = inputs, pool, strategy, outputs, entries
        self.seconds = {name: [] for name in entries}
        self.cpu_seconds = {name: [] for name in entries}
        self.picks, self.peak_bytes, self.versions = {}, {}, {}

    def title(self):
        if self.columns:
            return f"{self.strategy}, {self.columns} features, pool {self.pool:,}".replace(",000", " 000")
        outputs = f"{self.outputs} output{'s' if self.outputs > 1 else ''}"
        return f"{self.strategy}, {self.inputs} inputs, {outputs}, pool {self.pool:,}".replace(",", " ").replace(
            "  ", ", "
        )

    def median(self, name):
        return statistics.median(self.seconds[name])

    def cpu_median(self, name):
        return statistics.median(self.cpu_seconds[name])


def on_features(rounds):
    """Batch methods on given features."""
    entries = {OURS: (rounds, 3), BMDAL: (rounds, 1)}
    return [Contest(4, 10_000, strategy, 2, entries, COLUMNS) for strategy in ON_FEATURES]


def large(rounds):
    """The same on a pool whose features fill memory, ours alone."""
    return [Contest(4, LARGE, strategy, 2, {OURS: (rounds, 1)}, COLUMNS) for strategy in FEATURE_BARS]


def contests(rounds, slow_rounds, million, widths):
    """Everything that is timed. scikit-activeml's GSi takes one output, so that ours is also timed with one."""
    found = []
    fast = {OURS: (rounds, 5), DIFFERENCES: (rounds, 3), PRODUCTS: (rounds, 3)}
    for inputs in widths:
        slow = slow_rounds if inputs == 4 else 1
        for strategy in STRATEGIES:
            entries = dict(fast)
            if strategy == "gsx":
                entries |= {BMDAL: (rounds, 3), SKACTIVEML: (slow, 1)}
            found.append(Contest(inputs, 10_000, strategy, 2, entries))
        found.append(Contest(inputs, 10_000, "gsxy", 1, fast | {SKACTIVEML: (slow, 1)}))
    found += on_features(rounds)
    if million:
        for inputs in widths:
            for strategy in STRATEGIES:
                entries = {OURS: (rounds, 1), PRODUCTS: (min(rounds, 3), 1), DIFFERENCES: (1, 1)}
                if strategy == "gsx" and inputs == 4:
                    entries[BMDAL] = (1, 1)
                found.append(Contest(inputs, 1_000_000, strategy, 2, entries))
    return found


def call(commands, contest, name, data, as_it_is=(OURS,)):
    """One round of one contender in a process of its own; all but those `as_it_is` keep their buffers."""
    repetitions = contest.entries[name][1]
    # A large pool is met cold by everyone: what a first proposal left in the heap would hide the memory of the second.
    cold = name == SKACTIVEML or contest.pool >= LARGE
    command = [
        *commands[name],
        *("--data", str(data), "--outputs", str(contest.outputs), "--strategy"),
        *(ON_FEATURES[contest.strategy] if contest.columns and name == OURS else (contest.strategy,)),
        *(("--features",) if contest.columns and name == OURS else ()),
        *("--picks", str(PICKS), "--repetitions", str(repetitions), "--warm-up", "0" if cold else "1"),
    ]
    if name in (DIFFERENCES, PRODUCTS):
        command += ["--variant", "differences" if name == DIFFERENCES else "products"]
    surroundings = {**os.environ, **ONE_THREAD, **({} if name in as_it_is else KEEP_BUFFERS)}
    done = subprocess.run(command, env=surroundings, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{contest.title()}: {name} failed with exit code {done.returncode}")
    answer = json.loads(done.stdout.splitlines()[-1])
    contest.seconds[name] += answer["seconds"]
    # Where the system keeps no such account, the clock has to do.
    pairs = zip(answer["cpu_seconds"], answer["seconds"])
    contest.cpu_seconds[name] += [clock if cpu is None else cpu for cpu, clock in pairs]
    contest.versions[name] = answer["versions"]
    # The first round only: later ones repeat it.
    contest.peak_bytes.setdefault(name, answer["peak_bytes"])
    if contest.picks.setdefault(name, answer["picks"]) != answer["picks"]:
        raise SystemExit(f"{contest.title()}: {name} picks differently when asked again")


# What a table is of.
ABOUT = {
    "selection": f"1000 labelled points, {PICKS} picks, 10 members, double precision. A time is one whole proposal in a process "
    "that has its data in memory, mean and variance over members included. scikit-activeml's GSi takes one output, so that "
    "`gsxy` is timed with one as well. NumPy appears twice: labelled points one after another by differences, or all at once "
    "through matrix products. ",
    "features": f"1000 labelled points, {PICKS} picks, double precision on both sides. Features are made up: the k-th of {COLUMNS} "
    "is tanh of a normal number over √k, scaled alike. A time is transform and selection in a process that has them in memory; "
    "memory has ours' own copy of them in it. ",
}


def duration(seconds):
    if seconds < 1.0:
        return f"{1000.0 * seconds:.3g} ms"
    return f"{seconds:.3g} s"


def megabytes(size):
    return "–" if size is None else f"{size / 1e6:.0f}"


def table(all_contests):
    lines = [
        "| rule and data | contender | median | fastest | × ours | CPU time | × ours | runs | MB beyond the data | same picks |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for contest in all_contests:
        title = contest.title()
        for name in contest.entries:
            seconds = contest.seconds[name]
            ratio = f"{contest.median(name) / contest.median(OURS):.4g}"
            cpu_ratio = f"{contest.cpu_median(name) / contest.cpu_median(OURS):.4g}"
            same = "" if name == OURS else ("yes" if contest.picks[name] == contest.picks[OURS] else "NO")
            lines.append(
                f"| {title} | {name} | {duration(contest.median(name))} | {duration(min(seconds))} | {ratio} "
                f"| {duration(contest.cpu_median(name))} | {cpu_ratio} | {len(seconds)} "
                f"| {megabytes(contest.peak_bytes[name])} | {same} |"
            )
            title = ""
    return lines


def bars(all_contests):
    """Each bar with what was measured by the clock and in CPU time, and whether it holds; 4 inputs only, the rest is
    reported."""
    found = []

    def bar(what, shown, value, holds):
        clock, cpu = value
        found.append((what, shown(clock), shown(cpu), holds(clock), holds(cpu)))

    def times(ratio):
        return f"{ratio:.4g} ×"

    def ratio(contest, name):
        return contest.median(name) / contest.median(OURS), contest.cpu_median(name) / contest.cpu_median(OURS)

    for contest in (c for c in all_contests if c.inputs == 4):
        ours, title = (contest.median(OURS), contest.cpu_median(OURS)), contest.title()
        if contest.columns:
            least = FEATURE_BARS.get(contest.strategy)
            if least and BMDAL in contest.entries:
                bar(
                    f"{title}: {least:g} × faster than bmdal-reg",
                    times,
                    ratio(contest, BMDAL),
                    lambda r, least=least: r >= least,
                )
            peak = contest.peak_bytes[OURS]
            features = 8.0 * (contest.pool + 1000) * contest.columns
            if peak is not None and contest.pool == LARGE:
                whole = peak + features
                bar(
                    f"{title}: under 1.5 GB with the features as they were read",
                    lambda p: f"{megabytes(p)} MB",
                    (whole, whole),
                    lambda p: p < 1.5e9,
                )
            elif peak is not None:
                limit = 250e6 + features
                beyond = (peak, peak)
                # The features themselves are answered anew in every proposal.
                bar(
                    f"{title}: under 250 MB beyond the features",
                    lambda p: f"{megabytes(p)} MB",
                    beyond,
                    lambda p, m=limit: p < m,
                )
            continue
        if contest.outputs == 2 and contest.pool == 10_000:
            bar(f"{title}: under 30 ms", duration, ours, lambda s: s < 0.030)
            for name in (DIFFERENCES, PRODUCTS):
                bar(f"{title}: 5 × faster than {name}", times, ratio(contest, name), lambda r: r >= 5.0)
        if contest.pool == 1_000_000:
            bar(f"{title}: under 2 s", duration, ours, lambda s: s < 2.0)
            peak = contest.peak_bytes[OURS]
            if peak is not None:
                bar(
                    f"{title}: under 300 MB beyond the data",
                    lambda p: f"{megabytes(p)} MB",
                    (peak, peak),
                    lambda p: p < 300e6,
                )
        if SKACTIVEML in contest.entries:
            bar(f"{title}: 500 × faster than scikit-activeml", times, ratio(contest, SKACTIVEML), lambda r: r >= 500.0)
    return found


def write(out, all_contests, load, subject):
    versions = {}
    for contest in all_contests:
        for name, of in contest.versions.items():
            versions.setdefault(name, of)
    machine = {
        "processor": processor(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "load_before_after": load,
    }
    raw = {
        "machine": machine,
        "versions": versions,
        "labelled": 1000,
        "members": 10,
        "picks": PICKS,
        "contests": [
            {
                "strategy": c.strategy,
                "inputs": c.inputs,
                "outputs": c.outputs,
                "pool": c.pool,
                "features": c.columns,
                "contenders": {
                    name: {
                        "seconds": c.seconds[name],
                        "cpu_seconds": c.cpu_seconds[name],
                        "peak_bytes_beyond_data": c.peak_bytes[name],
                        "same_picks": c.picks[name] == c.picks[OURS],
                    }
                    for name in c.entries
                },
            }
            for c in all_contests
        ],
        "bars": [
            {"bar": what, "measured": clock, "measured_cpu": cpu, "holds": holds, "holds_in_cpu_time": holds_cpu}
            for what, clock, cpu, holds, holds_cpu in bars(all_contests)
        ],
    }
    package_list = "; ".join(
        f"{name}: " + ", ".join(f"{k} {v}" for k, v in of.items()) for name, of in versions.items()
    )
    text = [
        "# Selection against peers",
        "",
        f"Remade by `cargo xtask bench-peers selection{' -- --features' if subject == 'features' else ''}`; raw samples in "
        f"`peers-{subject}-{kind()}.json`.",
        "",
        f"{machine['processor']}, {machine['cores']} cores, {machine['system']}; load average before and after "
        f"{load[0]:.2f} and {load[1]:.2f}. One thread each. {package_list}.",
        "",
        *([ABOUT["features"], ""] if subject == "selection" else []),
        ABOUT[subject] + "Contenders take turns; medians over all runs. CPU time is the median of the process's own; where the "
        "clock shows much more, the machine was busy with something else.",
        "",
        *table(all_contests),
        "",
        "| bar | by the clock | holds | in CPU time | holds |",
        "|---|---|---|---|---|",
        *(
            f"| {what} | {clock} | {'yes' if holds else 'no'} | {cpu} | {'yes' if holds_cpu else 'no'} |"
            for what, clock, cpu, holds, holds_cpu in bars(all_contests)
        ),
        "",
    ]
    out.mkdir(parents=True, exist_ok=True)
    page, samples = table_files(out, subject)
    page.write_text(folded("\n".join(text)))
    samples.write_text(json.dumps(raw, indent=1) + "\n")
    print("\n".join(text))


def python_of(folder, environments):
    """The Python of a folder's packages."""
    return environment(HERE / folder, environments.absolute(), BASES.get(folder))


def program(name, environments):
    """What a contender other than ours is called by."""
    return [str(python_of(FOLDERS[name], environments)), str(HERE / FOLDERS[name] / "peer.py")]


def make_data(environments, folder, inputs, pool, columns):
    """What all contenders of a contest read."""
    make = [str(python_of("incremental_numpy", environments)), str(HERE / "make_data.py"), str(folder)]
    sizes = ["--inputs", str(inputs), "--pool", str(pool), "--columns", str(columns)]
    subprocess.run([*make, *sizes], check=True)


def check(args):
    """Every contender chooses once from a small pool; nothing is timed or written."""
    checks = Checks("selection")
    with tempfile.TemporaryDirectory(prefix="select-peers-") as scratch:
        data = pathlib.Path(scratch) / "data"
        with checks.of("data, by NumPy"):
            make_data(args.environments, data, 4, 500, 32)
        for name in FOLDERS:
            with checks.of(name):
                commands = {OURS: [str(args.rust.absolute())], name: program(name, args.environments)}
                small = [Contest(4, 500, "gsx", 2, {OURS: (1, 1), name: (1, 1)})]
                if name == BMDAL:
                    small += [Contest(4, 500, rule, 2, {OURS: (1, 1), name: (1, 1)}, 32) for rule in ON_FEATURES]
                for contest in small:
                    call(commands, contest, OURS, data)
                    call(commands, contest, name, data)
                    if contest.picks[name] != contest.picks[OURS]:
                        raise SystemExit(f"{contest.title()}: picks other points than ours")
    return checks.exit_code()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--rust", type=pathlib.Path, required=True, help="the binary `select_timing` of the benches package"
    )
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder for peers-selection-KIND.md and .json")
    parser.add_argument("--environments", type=pathlib.Path, default=ROOT / "target" / "python")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--slow-rounds", type=int, default=3, help="rounds of scikit-activeml, tens of seconds each")
    parser.add_argument(
        "--inputs", type=int, nargs="+", default=[4, 14], help="numbers of inputs; the bars are about 4"
    )
    parser.add_argument(
        "--features", action="store_true", help="batch methods on features alone: peers-features-KIND.md and .json"
    )
    parser.add_argument("--no-million", action="store_true", help="leave pools of 1 000 000 out")
    parser.add_argument(
        "--check", action="store_true", help="only see that every environment builds and chooses as ours does"
    )
    args = parser.parse_args()
    if not args.rust.is_file():
        raise SystemExit(
            f"{args.rust}: no such binary; build it with cargo build --release -p dal-benches --bin select_timing"
        )

    if args.check:
        return check(args)
    if args.features:
        all_contests = on_features(args.rounds) + large(1)
    else:
        all_contests = contests(args.rounds, args.slow_rounds, not args.no_million, args.inputs)
    others = {name for contest in all_contests for name in contest.entries} - {OURS}
    commands = {OURS: [str(args.rust.absolute())]} | {name: program(name, args.environments) for name in others}
    with tempfile.TemporaryDirectory(prefix="select-peers-") as scratch:
        data = {}
        for contest in all_contests:
            key = (contest.inputs, contest.pool, contest.columns)
            if key not in data:
                data[key] = pathlib.Path(scratch) / f"{key[0]}_{key[1]}_{key[2]}"
                make_data(args.environments, data[key], *key)
        before = os.getloadavg()[0]
        for turn in range(max(rounds for contest in all_contests for rounds, _ in contest.entries.values())):
            for contest in all_contests:
                for name, (rounds, _) in contest.entries.items():
                    if turn < rounds:
                        call(commands, contest, name, data[contest.inputs, contest.pool, contest.columns])
            print(f"round {turn + 1} done", file=sys.stderr, flush=True)
        load = (before, os.getloadavg()[0])
    write(args.out, all_contests, load, "features" if args.features else "selection")
    differing = [
        f"{c.title()}: {name} picks other points"
        for c in all_contests
        for name in c.entries
        if c.picks[name] != c.picks[OURS]
    ]
    print("\n".join(differing), file=sys.stderr)
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
