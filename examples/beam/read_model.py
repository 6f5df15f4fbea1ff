"""Predicts with a file of `dal export --to safetensors`: python3 read_model.py MODEL < points.csv; needs NumPy alone."""

import csv
import json
import sys

import numpy as np

raw = open(sys.argv[1], "rb").read()
n = int.from_bytes(raw[:8], "little")
header = json.loads(raw[8 : 8 + n])
about = json.loads(header.pop("__metadata__")["dal"].split(" ", 1)[1])
data = raw[8 + n :]
tensor = {k: np.frombuffer(data[slice(*t["data_offsets"])], "<f4").reshape(t["shape"]) for k, t in header.items()}
inputs, outputs = (json.loads(about["provenance"]["notes"][key]) for key in ("inputs", "outputs"))

def columns(row):
    for i in inputs:
        if "levels" in i:
            yield from (1.0 if row[i["name"]] == level else -1.0 for level in i["levels"])
        else:
            f = np.log if i.get("scale") == "log" else float
            v, low, high = (f(float(x)) for x in (row[i["name"]], i["low"], i["high"]))
            yield 2 * (v - low) / (high - low) - 1

x = np.array([list(columns(row)) for row in csv.DictReader(sys.stdin)])
members = []
for m in range(about["n_members"]):
    z, p = x, lambda name: tensor[f"members.{m}.{name}"].astype(float)
    for layer in range(len(about["network"]["hidden"])):
        z = z @ p(f"hidden.{layer}.weight").T + p(f"hidden.{layer}.bias")
        if norm := about["network"]["batch_norm"]:
            z = (z - p(f"hidden.{layer}.running_mean")) / np.sqrt(p(f"hidden.{layer}.running_var") + norm["eps"])
            z = z * p(f"hidden.{layer}.gamma") + p(f"hidden.{layer}.beta")
        z = np.maximum(z, 0)
    members.append(z @ p("last.weight").T + p("last.bias"))
y = np.mean(members, axis=0) * [o["factor"] for o in outputs] + [o["offset"] for o in outputs]
for k, way in enumerate(o["transform"] for o in outputs):
    y[:, k] = y[:, k] if way == "none" else np.exp(y[:, k]) if way == "log" else way["asinh"] * np.sinh(y[:, k])
print(",".join(o["name"] for o in outputs), *[",".join(f"{v:.9g}" for v in row) for row in y], sep="\n")
