"""What the bundle of `cargo xtask gpu-bundle` checks and times on a machine (docs/gpu.md); `gpu-check.sh` starts it.

    sh gpu-check.sh check                       at most two minutes: conformance, a sweep beside the processor's, more
                                                memory than there is
    sh gpu-check.sh time                        at most four: bandwidth, matrix peak, milliseconds per epoch and trial,
                                                PyTorch's beside them
    sh gpu-check.sh evidence --seconds 3000     robo, damp and stack, from a store that goes on where it was

Every result is written to `results/gpu-PART.json` as it comes. A step that passed or was measured is not repeated for
the same bundle and device, so that a call that was cut short is simply made again; `--again` repeats. `--device cpu
--tiny` tries everything on the processor at sizes that mean nothing. Needs the standard library only; PyTorch is
imported by the peers alone.

Exit code 0: all that was asked for is there and holds; 1: something failed; 3: time was up before all had been begun.
"""

import argparse
import ctypes
import datetime
import glob
import hashlib
import importlib.util
import json
import math
import os
import pathlib
import platform
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
# Inputs, depth, width, outputs, weight decay of the published networks.
NETWORKS = {
    "sine": (1, 9, 20, 1, 0.0),
    "hydro": (6, 6, 50, 1, 1e-4),
    "foil": (5, 4, 200, 1, 1e-4),
    "robo": (4, 4, 500, 2, 1e-4),
    "stack": (5, 9, 700, 201, 0.0),
}
# What is timed: network, points, trials, precision, and whether PyTorch's graph runs beside it.
TIMED = [
    ("hydro", 480, 128, "f32", True),
    ("robo", 480, 128, "f32", True),
    ("robo", 480, 128, "tf32", True),
    ("stack", 480, 16, "tf32", True),
    ("sine", 480, 512, "f32", False),
    ("hydro", 480, 1, "f32", False),
    ("robo", 2080, 128, "tf32", False),
    ("foil", 480, 128, "f32", False),
]
# Passes over activations in an epoch, and over parameters without and with weight decay, read off the engine's code
# (docs/gpu.md).
PASSES = {"activations": 24, "parameters": (17, 20)}
# Entry 0 after ten epochs: too few for rounding to grow far, so models are nearly equal. The bound of
# crates/dal-bench/tests/tch.rs.
ENTRY_0 = 1e-2
SECONDS = {"check": 120.0, "time": 240.0, "evidence": math.inf}


class Failed(Exception):
    """A step that ran and did not hold; the results say why."""


class TimeUp(Exception):
    """Nothing more is begun."""


def library_folders():
    """PyTorch's libraries and those of NVIDIA's packages beside it, without importing anything."""
    found = importlib.util.find_spec("torch")
    if found is None or not found.origin:
        raise SystemExit(f"gpu-check: {sys.executable} has no PyTorch")
    torch = pathlib.Path(found.origin).parent
    wanted = manifest()["libtorch"]
    version = next(
        (l.split("'")[1] for l in (torch / "version.py").read_text().splitlines() if l.startswith("__version__")), ""
    )
    if version.split("+")[0] != wanted:
        raise SystemExit(f"gpu-check: this is PyTorch {version}; the bundle needs {wanted} exactly")
    sites = {str(torch.parent)} | {p for p in sys.path if p}
    nvidia = sorted(path for site in sites for path in glob.glob(os.path.join(site, "nvidia", "*", "lib")))
    return [str(torch / "lib"), *nvidia], version


def manifest():
    """The `# key value` lines in front of the digests, and the digest of it all."""
    text = (HERE / "MANIFEST").read_bytes()
    values = dict(line[2:].split(" ", 1) for line in text.decode().splitlines() if line.startswith("# "))
    return {**values, "sha256": hashlib.sha256(text).hexdigest()}


LIBC = ctypes.CDLL(None)


def ends_with_this(address_space=None):
    """For a child before it starts: the kernel kills it when this process is gone, however that ended, so that it holds
    no store and no device against the next call; and it gets no more than so many bytes of address space."""
    LIBC.prctl(1, signal.SIGKILL)
    if address_space:
        resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space))


def output_of(command):
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def last_line(text):
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "no output")


def machine(args):
    """Device, driver and versions."""
    query = [
        "nvidia-smi",
        "--query-gpu=name,driver_version,memory.total,compute_cap,clocks.max.sm,power.limit",
        "--format=csv,noheader",
    ]
    gpus = output_of(query)
    return {
        "device": args.device,
        "gpus": gpus.splitlines() if gpus else [],
        "gpu_columns": query[1].split("=")[1].split(","),
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": platform.release(),
        "python": platform.python_version(),
        "torch": args.torch_version,
        "bundle": manifest(),
        "tiny": args.tiny,
    }


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


class Part:
    """A part's results on disk, and the clock that it runs against."""

    def __init__(self, name, args, deadline):
        self.name, self.args, self.deadline = name, args, deadline
        self.path = args.results / f"gpu-{name}.json"
        here = machine(args)
        self.content = {"part": name, "machine": here, "steps": {}}
        if self.path.exists():
            old = json.loads(self.path.read_text())
            same = all(old["machine"].get(k) == here[k] for k in ("device", "gpus", "bundle", "tiny"))
            if same:
                self.content["steps"] = old["steps"]
            else:
                self.path.rename(self.path.with_suffix(f".{int(self.path.stat().st_mtime)}.json"))

    def left(self):
        return self.deadline - time.monotonic()

    def save(self):
        fresh = self.path.with_suffix(".part")
        fresh.write_text(json.dumps(self.content, indent=1) + "\n")
        fresh.replace(self.path)

    def step(self, name, work, least=5.0):
        """Runs a step unless it is there; keeps its result whatever it was. False where it failed."""
        old = self.content["steps"].get(name)
        if old and old["state"] == "done" and not self.args.again:
            print(f"{self.name} {name}: there already", flush=True)
            return True
        if self.left() < least:
            raise TimeUp(name)
        print(f"{self.name} {name} …", flush=True)
        start = time.monotonic()
        result = {"at": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")}
        try:
            result |= {"state": "done", **work()}
        except Failed as error:
            text, *more = error.args
            result |= {"state": "failed", "why": text, **(more[0] if more else {})}
        except TimeUp as error:
            result |= {"state": "cut short", "why": str(error)}
        result["seconds"] = round(time.monotonic() - start, 3)
        self.content["steps"][name] = result
        self.save()
        print(f"{self.name} {name}: {result['state']} {result.get('why', '')} ({result['seconds']:.1f} s)", flush=True)
        if result["state"] == "cut short":
            raise TimeUp(name)
        return result["state"] == "done"

    def run(self, command, grace=0.0, **kwargs):
        """A program's output. At the deadline less `grace` it is interrupted, which `dal` takes as a request to stop at
        its next checkpoint; at the deadline once more, then killed."""
        log = self.args.results / "logs" / f"{self.name}-{pathlib.Path(command[0]).name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        process = subprocess.Popen(
            [str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=HERE, errors="replace",
            preexec_fn=ends_with_this, **kwargs
        )  # fmt: skip
        interrupted = False
        try:
            for seconds, number in (
                (self.left() - grace, signal.SIGINT),
                (max(grace, 1.0), signal.SIGINT),
                (5.0, signal.SIGKILL),
                (None, None),
            ):
                try:
                    output, _ = process.communicate(
                        timeout=None if seconds is None or seconds == math.inf else max(0.0, seconds)
                    )
                    break
                except subprocess.TimeoutExpired:
                    interrupted = True
                    process.send_signal(number)
        except BaseException:
            process.kill()
            raise
        with log.open("a") as file:
            file.write(f"$ {' '.join(map(str, command))}\n{output}\n")
        if interrupted:
            raise TimeUp("time was up")
        return process.returncode, output

    def must(self, command, **kwargs):
        code, output = self.run(command, **kwargs)
        if code != 0:
            why = f"exit code {code}: {last_line(output)}"
            raise Failed(why, {"command": [str(c) for c in command], "output": output[-2000:]})
        return output


# ── check ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def check(part, args):
    good = part.step("programs", lambda: {"dal": part.must([HERE / "dal", "--version"]).strip()})
    for name, work in (("conformance", conformance), ("sweep", sweep), ("agreement", agreement), ("memory", memory)):
        good &= part.step(name, lambda work=work: work(part, args))
    return good


def conformance(part, args):
    """The suite against f64, and that it covered the device."""
    covered = None
    if args.device != "cpu":
        part.must([HERE / "conformance", "--ignored", "--exact", "tch::tests::conformance_covers_a_cuda_device"])
        covered = "cuda:0"
    output = part.must([HERE / "conformance", "conformance::", "--test-threads", "4"])
    result = next((line for line in output.splitlines() if line.startswith("test result:")), "")
    tests = [line.split()[1] for line in output.splitlines() if line.startswith("test ") and line.endswith("... ok")]
    if not tests or "ok." not in result:
        raise Failed("no test ran", {"output": output[-2000:]})
    return {"covered": covered, "tests": tests, "result": result}


def bench(part, args, sweep, store, engine, device, grace=0.0):
    command = [HERE / "dal", "bench", "run", sweep, "--store", store, "--engine", engine]
    if engine == "tch":
        command += ["--device", device, "--precision", "f32"]
    part.must(command, grace=grace)


def errors(store):
    """MSE of every entry by run, the run's folder without its digest."""
    found = {}
    for file in sorted(store.glob("runs/*/records.jsonl")):
        records = [json.loads(line) for line in file.read_text().splitlines()]
        found[file.parent.name.rsplit("-", 1)[0]] = [
            record["mse"] for record in sorted(records, key=lambda r: r["entry"])
        ]
    return found


def variant(args, name, *changes):
    """A sweep file, with fewer and shorter trainings where sizes are to mean nothing."""
    text = (HERE / "sweeps" / f"{name}.toml").read_text()
    if not args.tiny:
        return HERE / "sweeps" / f"{name}.toml"
    for old, new in changes:
        if old not in text:
            raise Failed(f"{name}.toml holds no {old}")
        text = text.replace(old, new)
    path = args.results / f"{name}-tiny.toml"
    path.write_text(text)
    return path


def both_engines(part, args, sweep, name):
    stores = {}
    # Of this bundle alone: runs of another one would be found finished and say nothing of this one.
    digest = manifest()["sha256"][:12]
    for engine in ("tch", "cpu"):
        device = args.device.replace(":", "") if engine == "tch" else "cpu"
        stores[engine] = args.results / "check" / digest / f"{name}{'-tiny' if args.tiny else ''}-{engine}-{device}"
        if args.again:
            shutil.rmtree(stores[engine], ignore_errors=True)
        bench(part, args, sweep, stores[engine], engine, args.device)
    ours, theirs = errors(stores["tch"]), errors(stores["cpu"])
    if not ours or ours.keys() != theirs.keys():
        raise Failed("the stores hold different runs", {"runs": [len(ours), len(theirs)]})
    return ours, theirs


def sweep(part, args):
    """Every problem and method once; after ten epochs both engines are close."""
    ours, theirs = both_engines(part, args, HERE / "sweeps" / "smoke.toml", "smoke")
    gaps = {run: abs(ours[run][0] / theirs[run][0] - 1) for run in ours}
    worst = max(gaps, key=gaps.get)
    result = {
        "runs": len(gaps),
        "largest_gap": gaps[worst],
        "run": worst,
        "bound": ENTRY_0,
        "against": "the engine cpu",
    }
    if not gaps[worst] <= ENTRY_0:
        raise Failed("entry 0 is beyond the bound", result)
    return result


def agreement(part, args):
    """Full trainings differ as chance has it: no bias beyond three standard errors."""
    changes = [("seeds = 10", "seeds = 4"), ("epochs = 300", "epochs = 60"), ("steps = 4", "steps = 2")]
    ours, theirs = both_engines(part, args, variant(args, "gpu-agreement", *changes), "agreement")
    logs = [statistics.mean(math.log(a / b) for a, b in zip(ours[run], theirs[run], strict=True)) for run in ours]
    mean, error = statistics.mean(logs), statistics.stdev(logs) / math.sqrt(len(logs))
    result = {"runs": len(logs), "mean_log_ratio": mean, "standard_error": error, "log_ratios": dict(zip(ours, logs))}
    if not abs(mean) <= 3 * error:
        raise Failed("the mean log ratio is beyond three standard errors", result)
    return result


class Timing:
    """The timing program, which answers line by line."""

    def __init__(self, part, network, points, trials, precision, members, limit=None):
        inputs, depth, width, outputs, decay = NETWORKS[network]
        widths = ",".join(map(str, [inputs, *[width] * depth, outputs]))
        command = [HERE / "timing", "--widths", widths, "--points", points, "--trials", trials, "--members", members]
        command += ["--weight-decay", decay, "--device", part.args.device, "--precision", precision]
        self.part = part
        self.log = open(part.args.results / "logs" / f"{part.name}-timing.log", "a")
        self.process = subprocess.Popen(
            [str(c) for c in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True, cwd=HERE,
            preexec_fn=lambda: ends_with_this(limit),
        )  # fmt: skip

    def ask(self, line):
        if self.part.left() < 1:
            raise TimeUp("time was up")
        # A program that takes longer than is left is ended with the part.
        left = self.part.left()
        if left != math.inf:
            signal.signal(signal.SIGALRM, self.late)
            signal.setitimer(signal.ITIMER_REAL, left)
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        if not answer:
            raise Failed(
                f"the timing program ended at `{line}`", {"log": pathlib.Path(self.log.name).read_text()[-2000:]}
            )
        return json.loads(answer)

    @staticmethod
    def late(*_):
        raise TimeUp("time was up")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.log.close()


def memory(part, args):
    """Twice what the device holds is asked for; the engine halves, and the result is that of halves."""
    (args.results / "logs").mkdir(parents=True, exist_ok=True)
    limit = None
    if args.device == "cpu":
        # The whole machine's memory would end other programs: a bound of the process stands for it.
        limit = available = (2 if args.tiny else 4) << 30
    else:
        index = args.device.split(":")[1]
        text = output_of(["nvidia-smi", f"--id={index}", "--query-gpu=memory.total", "--format=csv,noheader,nounits"])
        if not text:
            raise Failed("nvidia-smi does not say how much memory the device has")
        available = int(float(text)) << 20
    # Many points and few parameters: next to nothing on the host.
    points, members = 20_000, 16
    with Timing(part, "sine", points, 1, "f32", members, limit) as timing:
        size = timing.ask("size")
        trials = math.ceil(2 * available / size["bytes_per_member"] / members / 2) * 2
        answer = timing.ask(f"halve {trials} 1")
    result = {"bytes_available": available, "points": points, **answer}
    if answer["bytes_asked"] < 2 * available:
        raise Failed("less than twice the memory was asked for", result)
    if not answer["equal"]:
        raise Failed("the result is that of no halving", result)
    return result


# ── time ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def timings(part, args):
    (args.results / "logs").mkdir(parents=True, exist_ok=True)
    good = part.step("peaks", lambda: peaks(part, args))
    for network, points, trials, precision, with_graph in TIMED:
        name = f"{network} {points} x {trials} {precision}"
        good &= part.step(name, lambda: lock_step(part, args, network, points, trials, precision))
        if with_graph:
            good &= part.step(f"{name}, PyTorch", lambda: graph(part, args, network, points, precision))
    return good


def peer(part, args, *rest):
    command = [sys.executable, HERE / "torch_graphs.py", *rest, "--device", args.device]
    code, output = part.run(command)
    if code != 0:
        why = f"PyTorch's script ended with an error: {last_line(output)}"
        raise Failed(why, {"exit_code": code, "output": output[-2000:]})
    return json.loads(output.splitlines()[-1])


def peaks(part, args):
    return peer(part, args, "peaks", "--seconds", "1" if args.tiny else "10")


def graph(part, args, network, points, precision):
    inputs, depth, width, outputs, decay = NETWORKS[network]
    on_cpu = args.device == "cpu"
    sizes = [
        "--widths",
        ",".join(map(str, [inputs, *[width] * depth, outputs])),
        "--points",
        str(40 if args.tiny else points),
    ]
    sizes += [
        "--precision",
        "f32" if on_cpu else precision,
        "--weight-decay",
        str(decay),
        "--members",
        str(2 if args.tiny else 10),
    ]
    sizes += ["--seconds", "1" if args.tiny else "4"]
    return peer(part, args, "ensemble", *sizes)


def lock_step(part, args, network, points, trials, precision):
    """Milliseconds per epoch and trial: a long run less a short one, so that buffers and transfers are not in it."""
    members = 10
    if args.tiny:
        points, trials, members = 40, min(trials, 2), 2
    if args.device == "cpu":
        precision = "f32"
    reached = part.content["steps"].get("peaks", {})
    with Timing(part, network, points, trials, precision, members) as timing:
        size = timing.ask("size")
        flops = members * size["flops"]
        passes = PASSES["parameters"][NETWORKS[network][-1] > 0]
        moved = members * 4 * (PASSES["activations"] * points * size["hidden_units"] + passes * size["parameters"])
        timing.ask("warm")
        runs = {2: timing.ask("run 2")}
        if reached.get("state") == "done":
            by_flops = flops / reached["flops_per_second"].get(precision, math.nan) * 1e3
            by_bytes = moved / reached["bytes_per_second"] * 1e3
            guess = 2e-3 * max(by_flops, by_bytes) * trials
        else:
            # Setting up is in both, so that only their difference tells.
            runs[6] = timing.ask("run 6")
            guess = (runs[6]["seconds"] - runs[2]["seconds"]) * trials / 4
        epochs = 2 + max(5, min(2000, int((0.3 if args.tiny else 4.0) / max(guess, 1e-4))))
        runs[epochs] = timing.ask(f"run {epochs}")
    milliseconds = (runs[epochs]["seconds"] - runs[2]["seconds"]) / (epochs - 2) * 1e3
    if not milliseconds > 0:
        raise Failed(
            f"{epochs} epochs took no longer than 2: the machine is busy",
            {"runs": {e: run["seconds"] for e, run in runs.items()}},
        )
    result = {
        "network": network, "points": points, "trials": trials, "members": members, "precision": precision, "epochs": epochs,
        "milliseconds_per_epoch_and_trial": milliseconds,
        "runs": [{"epochs": e, "seconds_per_trial": run["seconds"]} for e, run in runs.items()],
        "flops_per_epoch_and_trial": flops, "modelled_bytes_per_epoch_and_trial": moved, "loss": runs[epochs]["losses"][0][-1],
    }  # fmt: skip
    if reached.get("state") == "done":
        result |= {
            "by_flops": by_flops,
            "by_modelled_bytes": by_bytes,
            "times_the_larger": milliseconds / max(by_flops, by_bytes),
        }
    return result


# ── evidence ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def evidence(part, args):
    """Sweeps that go on where they were; each counts as done when all of its runs are."""
    good = True
    tiny = [
        ("seeds = 10", "seeds = 1"),
        ("steps = 20", "steps = 1"),
        ("[protocol]", "[training]\nepochs = 2\nmembers = 2\n\n[protocol]"),
    ]
    for problem in ("robo", "damp", "stack"):
        store = args.results / "evidence" / problem

        def work(problem=problem, store=store):
            try:
                bench(part, args, variant(args, f"evidence-{problem}", *tiny), store, "tch", args.device, grace=60.0)
            except TimeUp as error:
                part.content[problem] = progress(store)
                raise TimeUp(str(error)) from None
            return progress(store)

        good &= part.step(problem, work)
    return good


def progress(store):
    """Runs and entries that the store holds, and the seconds that a group's step took, by number of labels."""
    runs, entries, steps = 0, 0, {}
    for folder in store.glob("runs/*"):
        runs += (folder / "footer.json").exists()
        records = folder / "records.jsonl"
        entries += len(records.read_text().splitlines()) if records.exists() else 0
        spec = json.loads((folder / "spec.json").read_text())["spec"]["protocol"]
        for line in (folder / "timing.jsonl").read_text().splitlines() if (folder / "timing.jsonl").exists() else []:
            timing = json.loads(line)
            n = spec["initial"] + timing["entry"] * spec["queries"]
            if n in (80, 480, 880):
                steps.setdefault(n, []).append((timing["training"], timing["sampling"], timing["trained_together"]))
    medians = {
        n: {
            k: statistics.median(column)
            for k, column in zip(("training_seconds_per_trial", "sampling_seconds", "trained_together"), zip(*rows))
        }
        for n, rows in sorted(steps.items())
    }
    return {"finished_runs": runs, "entries": entries, "medians_by_labels": medians}


def main():
    parser = argparse.ArgumentParser(
        prog="sh gpu-check.sh [--python PYTHON]",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("parts", nargs="+", choices=["libraries", "check", "time", "evidence"], metavar="PART")
    parser.add_argument("--device", default="cuda:0", help="cuda:0 or cpu [default: cuda:0]")
    parser.add_argument("--tiny", action="store_true", help="sizes that mean nothing, to try everything out")
    parser.add_argument(
        "--seconds", type=float, help="for each part, instead of its own (check 120, time 240, evidence without end)"
    )
    parser.add_argument(
        "--results", type=pathlib.Path, default=HERE / "results", help="where results and stores are kept"
    )
    parser.add_argument("--again", action="store_true", help="repeat what is there")
    args = parser.parse_args()
    folders, args.torch_version = library_folders()
    if args.parts == ["libraries"]:
        print(":".join(folders))
        return 0
    if args.device not in ("cpu", "cuda:0"):
        raise SystemExit("gpu-check: --device is cuda:0 or cpu; CUDA_VISIBLE_DEVICES says which device is the first")
    # A job that is ended ends what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    args.results = args.results.absolute()
    args.results.mkdir(parents=True, exist_ok=True)
    good, late = True, False
    for name in args.parts:
        part = Part(name, args, time.monotonic() + (args.seconds or SECONDS[name]))
        try:
            good &= {"check": check, "time": timings, "evidence": evidence}[name](part, args)
        except TimeUp as error:
            late = True
            print(f"{name}: time is up at {error}; the same call goes on there", flush=True)
    return 1 if not good else 3 if late else 0


if __name__ == "__main__":
    sys.exit(main())
