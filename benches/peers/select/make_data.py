"""Writes one seeded selection problem as lx.npy, ly.npy, px.npy, members.npy (with --columns pf.npy, lf.npy): what
every contender reads."""

import argparse
import pathlib

import numpy as np

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("folder", type=pathlib.Path)
parser.add_argument("--inputs", type=int, required=True)
parser.add_argument("--outputs", type=int, default=2)
parser.add_argument("--pool", type=int, required=True)
parser.add_argument("--labelled", type=int, default=1000)
parser.add_argument("--members", type=int, default=10)
parser.add_argument("--columns", type=int, default=0, help="columns of features of pool and labelled points; 0: none")
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()

rng = np.random.default_rng([args.seed, args.inputs, args.outputs, args.pool, args.labelled])
lx = rng.uniform(-1.0, 1.0, (args.labelled, args.inputs))
px = rng.uniform(-1.0, 1.0, (args.pool, args.inputs))
waves = rng.uniform(-3.0, 3.0, (args.inputs, args.outputs))
ly = np.sin(lx @ waves)
signal = np.sin(px @ waves)
spread = 0.1 * np.linalg.norm(px, axis=1)[:, None]
members = np.empty((args.members, args.pool, args.outputs))
for member in members:
    member[:] = signal + spread * rng.standard_normal(signal.shape)
args.folder.mkdir(parents=True, exist_ok=True)
for name, values in (("lx", lx), ("ly", ly), ("px", px), ("members", members)):
    np.save(args.folder / f"{name}.npy", values)
if args.columns:
    # Of a decaying spectrum, as gradients have; scaled as our strategies scale, so that both sides read the same
    # numbers.
    decay = (1.0 + np.arange(args.columns)) ** -0.5
    draw = lambda n: np.tanh(rng.standard_normal((n, args.columns))) * decay  # noqa: E731
    lf, pf = draw(args.labelled), draw(args.pool)
    size = np.sqrt(np.mean(np.sum(lf * lf, axis=1)))
    np.save(args.folder / "lf.npy", lf / size)
    np.save(args.folder / "pf.npy", pf / size)
