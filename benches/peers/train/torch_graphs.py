"""PyTorch's batched ensemble with one epoch captured as a CUDA graph, and what the device reaches: peers of the engine
`tch` on a GPU.

    python torch_graphs.py ensemble --widths 6,50,50,50,50,50,50,1 --points 480 --device cuda:0
    python torch_graphs.py peaks --device cuda:0

`ensemble` is the peer `torch-batched` of `worker.py` (one baddbmm per layer for all members, one batch_norm over all
members' features, fused Adam, one rate that the mean loss decays) with everything on the device, the plateau too, so
that an epoch can be captured and replayed; on the CPU it runs eagerly. Members of `--trials` ensembles train in one
batch. `peaks` measures the rate of a large matrix product in f32 and TF32 and the bandwidth of a copy. Both print one
line of JSON. PyTorch is all they need.
"""

import argparse
import json
import math
import time

import torch

FACTOR, PATIENCE, THRESHOLD = 0.8, 10, 1e-4
MOMENTUM, BN_EPS = 0.1, 1e-5


def wait(device):
    """Until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class Ensemble:
    """All members of all trials as one batch; activations are (member, feature, point)."""

    def __init__(self, args, device):
        self.widths, self.n = [int(w) for w in args.widths.split(",")], args.points
        self.members = args.members * args.trials
        stream = torch.Generator().manual_seed(1)

        def uniform(bound, *shape):
            return ((2 * torch.rand(*shape, generator=stream) - 1) * bound).to(device)

        x = uniform(1.0, self.widths[0], self.n)
        outputs = torch.arange(self.widths[-1], device=device, dtype=torch.float32)[:, None]
        self.x = x.expand(self.members, -1, -1)
        self.y = torch.sin(3 * x.sum(0, keepdim=True) + 0.1 * outputs).expand(self.members, -1, -1)
        self.params, self.running = [], []
        self.hidden = len(self.widths) - 2
        for layer, (n_in, n_out) in enumerate(zip(self.widths, self.widths[1:])):
            bound = 1 / math.sqrt(n_in)
            self.params += [uniform(bound, self.members, n_out, n_in), uniform(bound, self.members, n_out, 1)]
            if layer < self.hidden:
                features = self.members * n_out
                self.params += [torch.ones(features, device=device), torch.zeros(features, device=device)]
                self.running += [torch.zeros(features, device=device), torch.ones(features, device=device)]
        for tensor in self.params:
            tensor.requires_grad_()
        self.rate = torch.tensor(args.learning_rate, device=device)
        self.best = torch.tensor(float("inf"), device=device)
        self.stalled = torch.tensor(0, device=device)
        self.loss = torch.tensor(0.0, device=device)
        self.optimiser = torch.optim.Adam(
            self.params, lr=self.rate, weight_decay=args.weight_decay, fused=True, capturable=device.type == "cuda"
        )

    def epoch(self):
        self.optimiser.zero_grad(set_to_none=True)
        a, at = self.x, 0
        for layer in range(self.hidden):
            w, b, g, h = self.params[at : at + 4]
            at += 4
            z = torch.baddbmm(b, w, a).view(1, -1, self.n)
            mean, variance = self.running[2 * layer : 2 * layer + 2]
            z = torch.nn.functional.batch_norm(z, mean, variance, g, h, True, MOMENTUM, BN_EPS)
            a = torch.relu(z).view(self.members, -1, self.n)
        losses = (torch.baddbmm(self.params[at + 1], self.params[at], a) - self.y).square().mean((1, 2))
        losses.sum().backward()
        self.optimiser.step()
        with torch.no_grad():
            loss = losses.detach().mean()
            self.loss.copy_(loss)
            better = loss < self.best * (1 - THRESHOLD)
            self.best.copy_(torch.where(better, loss, self.best))
            count = torch.where(better, torch.zeros_like(self.stalled), self.stalled + 1)
            due = count > PATIENCE
            self.rate.copy_(torch.where(due & (self.rate * (1 - FACTOR) > 1e-8), self.rate * FACTOR, self.rate))
            self.stalled.copy_(torch.where(due, torch.zeros_like(count), count))


def captured(ensemble):
    """An epoch as a graph, after a few on a side stream, which capture asks for."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARM):
            ensemble.epoch()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        ensemble.epoch()
    return graph.replay


# Epochs before anything is timed, and those whose loss is compared with the eager one's.
WARM, COMPARED = 3, 10


def ensemble(args, device):
    eager = Ensemble(args, device)
    for _ in range(WARM + COMPARED):
        eager.epoch()
    expected = eager.loss.item()
    del eager
    own = Ensemble(args, device)
    if device.type == "cuda":
        epoch = captured(own)
    else:
        epoch = own.epoch
        for _ in range(WARM):
            epoch()
    for _ in range(COMPARED):
        epoch()
    found = own.loss.item()
    wait(device)
    start = time.perf_counter()
    epoch()
    wait(device)
    epochs = max(3, min(500, int(args.seconds / args.rounds / (time.perf_counter() - start))))
    samples = []
    for _ in range(args.rounds):
        wait(device)
        start = time.perf_counter()
        for _ in range(epochs):
            epoch()
        wait(device)
        samples.append((time.perf_counter() - start) / epochs / args.trials * 1e3)
    return {
        "milliseconds_per_epoch_and_trial": samples,
        "epochs": epochs,
        "graph": device.type == "cuda",
        "trials": args.trials,
        "members": args.members,
        "precision": args.precision,
        "loss": found,
        "loss_of_the_eager_epochs": expected,
        "loss_gap": abs(found - expected) / abs(expected),
    }


def best_rate(device, work, amount, seconds):
    """`amount` over the shortest of the times that `work` takes within so many seconds."""
    work()
    wait(device)
    shortest, begin = math.inf, time.perf_counter()
    while time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        for _ in range(4):
            work()
        wait(device)
        shortest = min(shortest, (time.perf_counter() - start) / 4)
    return amount / shortest


def peaks(args, device):
    on_cuda = device.type == "cuda"
    n = 8192 if on_cuda else 512
    a, b, c = (torch.rand(n, n, device=device) for _ in range(3))
    share = args.seconds / (3 if on_cuda else 2)
    flops = {}
    for precision in ("f32", "tf32") if on_cuda else ("f32",):
        torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
        flops[precision] = best_rate(device, lambda: torch.mm(a, b, out=c), 2 * n**3, share)
    size = 1 << (28 if on_cuda else 24)
    source, target = torch.rand(size, device=device), torch.empty(size, device=device)
    bandwidth = best_rate(device, lambda: target.copy_(source), 2 * 4 * size, share)
    return {"flops_per_second": flops, "matrix": n, "bytes_per_second": bandwidth, "copied": 4 * size}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["ensemble", "peaks"])
    parser.add_argument("--widths", help="inputs, hidden layers, outputs")
    parser.add_argument("--points", type=int, default=480)
    parser.add_argument("--members", type=int, default=10)
    parser.add_argument("--trials", type=int, default=1)
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--precision", choices=["f32", "tf32"], default="f32")
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--weight-decay", type=float, default=0.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0)
    args = parser.parse_args()
    device = torch.device(args.device)
    torch.backends.cuda.matmul.allow_tf32 = args.precision == "tf32"
    torch.set_flush_denormal(True)
    result = {"ensemble": ensemble, "peaks": peaks}[args.what](args, device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    print(json.dumps({**result, "device": name, "torch": torch.__version__}))


if __name__ == "__main__":
    main()
