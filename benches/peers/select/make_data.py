"""Writes one seeded selection problem as lx.npy, ly.npy, px.npy, members.npy: what every contender reads."""

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
