"""Trains small networks in PyTorch, in double precision, and writes what the reference engine must reproduce.

Run with PyTorch (2.13 or later) installed: python make.py > pytorch.json
"""

import json

import torch
from torch import nn


def network(n_inputs, n_outputs, hidden, batch_norm, head):
    layers, width = [], n_inputs
    for n in hidden:
        layers.append(nn.Linear(width, n))
        if batch_norm:
            layers.append(nn.BatchNorm1d(n))
        layers.append(nn.ReLU())
        width = n
    if head:
        layers += [nn.Linear(width, head["length"]), nn.Unflatten(1, (1, head["length"]))]
        for c in head["layers"]:
            kind = nn.Conv1d if c["kind"] == "plain" else nn.ConvTranspose1d
            layers.append(kind(c["n_in"], c["n_out"], c["kernel"], stride=c["stride"], padding=c["padding"]))
        layers.append(nn.Flatten())
    else:
        layers.append(nn.Linear(width, n_outputs))
    return nn.Sequential(*layers)


def flat(tensors):
    return [v for t in tensors for v in t.detach().flatten().tolist()]


def state(net):
    norms = [m for m in net if isinstance(m, nn.BatchNorm1d)]
    return {
        "params": flat(net.parameters()),
        "running_mean": flat(m.running_mean for m in norms),
        "running_var": flat(m.running_var for m in norms),
    }


def case(name, n_inputs, n_outputs, hidden, batch_norm, head, n, epochs, rate, decay, threshold=1e-4):
    torch.manual_seed(len(name))
    net = network(n_inputs, n_outputs, hidden, batch_norm, head).double()
    x = torch.rand(n, n_inputs, dtype=torch.float64) * 2 - 1
    y = torch.sin(3 * x.sum(1, keepdim=True) + torch.arange(n_outputs, dtype=torch.float64))
    optimiser = torch.optim.Adam(net.parameters(), lr=rate, weight_decay=decay)
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimiser, factor=0.8, patience=10, threshold=threshold, threshold_mode="rel"
    )
    before = state(net)
    losses, rates = [], []
    net.train()
    for _ in range(epochs):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.zero_grad()
        loss = nn.functional.mse_loss(net(x), y)
        loss.backward()
        optimiser.step()
        schedule.step(loss.item())
        losses.append(loss.item())
    spec = {
        "n_inputs": n_inputs,
        "n_outputs": n_outputs,
        "hidden": hidden,
        "batch_norm": {} if batch_norm else None,
        "head": {"convolution": head} if head else "linear",
    }
    training = {
        "epochs": epochs,
        "learning_rate": rate,
        "weight_decay": decay,
        "plateau": {"factor": 0.8, "patience": 10, "threshold": threshold},
    }
    return {
        "name": name,
        "network": spec,
        "training": training,
        "n": n,
        "x": flat([x]),
        "y": flat([y]),
        "before": before,
        "after": state(net),
        "losses": losses,
        "rates": rates,
    }


def conv(kind, n_in, n_out, kernel, stride, padding):
    return {"kind": kind, "n_in": n_in, "n_out": n_out, "kernel": kernel, "stride": stride, "padding": padding}


HEAD = {
    "length": 6,
    "layers": [
        conv("transposed", 1, 3, 4, 2, 1),
        conv("transposed", 3, 3, 3, 1, 1),
        conv("transposed", 3, 3, 3, 1, 1),
        conv("plain", 3, 1, 1, 1, 0),
    ],
}

print(
    json.dumps(
        {
            "torch": torch.__version__,
            "cases": [
                case("batch norm and decay", 2, 1, [7, 5, 6], True, None, 20, 40, 1e-2, 1e-3),
                case("a rate that falls at plateaus", 3, 2, [5, 4], True, None, 15, 80, 5e-2, 1e-4, threshold=0.2),
                case("no batch norm", 1, 1, [6, 6], False, None, 12, 40, 1e-2, 0.0),
                case("convolution head", 2, 12, [5, 4], True, HEAD, 10, 30, 1e-2, 1e-4),
            ],
        }
    )
)
