"""What every Python peer shares: reading the data, timing one call, its peak memory, and the line of JSON that it
prints."""

import argparse
import json
import pathlib
import platform
import time

import numpy as np


def arguments(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--data", type=pathlib.Path, required=True, help="folder with lx.npy, ly.npy, px.npy, members.npy"
    )
    parser.add_argument("--strategy", required=True)
    parser.add_argument("--variant", default="")
    parser.add_argument("--outputs", type=int, required=True, help="how many of the outputs to use")
    parser.add_argument("--picks", type=int, default=40)
    parser.add_argument("--repetitions", type=int, default=1)
    parser.add_argument("--warm-up", type=int, default=1)
    return parser.parse_args()


def load(args):
    """lx (l, d), ly (l, k), px (n, d), members (m, n, k), all in double precision and C order."""
    lx, ly, px, members = (np.load(args.data / f"{name}.npy") for name in ("lx", "ly", "px", "members"))
    k = args.outputs
    return lx, np.ascontiguousarray(ly[:, :k]), px, np.ascontiguousarray(members[:, :, :k])


def load_features(args):
    """lf (l, p) and pf (n, p): features of labelled and pool points."""
    return tuple(np.load(args.data / f"{name}.npy") for name in ("lf", "pf"))


def status(field):
    """A size in bytes from the kernel's account of this process; None where there is no such account."""
    try:
        for line in pathlib.Path("/proc/self/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None


def reset_peak():
    try:
        pathlib.Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass


def report(args, select, packages):
    """Calls `select()` (which returns the picks) and prints seconds (of the clock and of this process), picks and the
    peak of memory beyond the data."""
    for _ in range(args.warm_up):
        select()
    reset_peak()
    before = status("VmRSS")
    seconds, cpu_seconds, picks = [], [], None
    for _ in range(args.repetitions):
        start, cpu_start = time.perf_counter(), time.process_time()
        picks = select()
        seconds.append(time.perf_counter() - start)
        cpu_seconds.append(time.process_time() - cpu_start)
    peak = status("VmHWM")
    extra = None if peak is None or before is None else max(0, peak - before)
    versions = {"python": platform.python_version(), "numpy": np.__version__, **packages}
    answer = {"seconds": seconds, "cpu_seconds": cpu_seconds, "picks": [int(p) for p in picks], "peak_bytes": extra}
    print(json.dumps(answer | {"versions": versions}))
