"""Trains an ensemble with one peer on command and says how long it took.

    python worker.py PEER --widths 1,20,20,1 --points 80 --data DIR --first 0 --members 10 --threads 1 ...

PEER is `torch-sequential`, `torch-batched`, `torch-compiled` or `jax`. Reads lines from standard input: `run E` trains
E epochs from the initial parameters and prints JSON with the seconds and every member's losses; `peak N` (torch only)
prints the rate of an N × N matrix product. Same network (hidden blocks Linear, BatchNorm, ReLU; a last Linear), full
batch, mean squared error, Adam with L2 decay in the gradient, rate times 0.8 at a plateau of the loss (patience 10,
relative threshold 1e-4) as ours.

Where a peer can do less it is allowed to: `torch-batched` decays one rate for all members by their mean loss, because a
fused optimiser takes one rate. Denormal numbers are flushed to zero.
"""

import argparse
import json
import os
import sys
import time

import numpy

parser = argparse.ArgumentParser()
parser.add_argument("peer")
parser.add_argument("--widths", required=True)
parser.add_argument("--points", type=int, required=True)
parser.add_argument("--data", required=True)
parser.add_argument("--first", type=int, default=0)
parser.add_argument("--members", type=int, default=10)
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--learning-rate", type=float, default=1e-3)
parser.add_argument("--weight-decay", type=float, default=0.0)
parser.add_argument(
    "--adm-head", action="store_true", help="the last width is that of the Linear in front of the convolutions of adm"
)
args = parser.parse_args()

WIDTHS = [int(w) for w in args.widths.split(",")]
N, M, LR, DECAY = args.points, args.members, args.learning_rate, args.weight_decay
FACTOR, PATIENCE, THRESHOLD = 0.8, 10, 1e-4
B1, B2, EPS = 0.9, 0.999, 1e-8
MOMENTUM, BN_EPS = 0.1, 1e-5
HIDDEN = len(WIDTHS) - 2
# The convolutions of adm: transposed or not, channels in and out, kernel, stride, padding.
HEAD = (
    [(True, 1, 4, 4, 2, 1), (True, 4, 4, 3, 1, 1), (True, 4, 4, 3, 1, 1), (False, 4, 1, 1, 1, 0)]
    if args.adm_head
    else []
)
OUTPUTS = 2 * WIDTHS[-1] if args.adm_head else WIDTHS[-1]


def read(name, *shape):
    return numpy.fromfile(os.path.join(args.data, name), "<f4").reshape(*shape)


X, Y = read("x.f32", N, WIDTHS[0]), read("y.f32", N, OUTPUTS)


def unpack():
    """Per layer a dictionary of arrays with a leading member axis, from the flat vectors of ours."""
    flat = read("params.f32", -1, sum(sizes()))[args.first : args.first + M]
    layers, at = [], 0
    for l, (n_in, n_out) in enumerate(zip(WIDTHS, WIDTHS[1:])):
        layer = {}
        names = [("w", n_in * n_out), ("b", n_out)] + ([("g", n_out), ("h", n_out)] if l < HIDDEN else [])
        for name, size in names:
            part = flat[:, at : at + size]
            layer[name] = (part.reshape(M, n_out, n_in) if name == "w" else part).copy()
            at += size
        layers.append(layer)
    for transposed, n_in, n_out, kernel, _, _ in HEAD:
        shape = (n_in, n_out, kernel) if transposed else (n_out, n_in, kernel)
        size = n_in * n_out * kernel
        layers.append(
            {"w": flat[:, at : at + size].reshape(M, *shape).copy(), "b": flat[:, at + size : at + size + n_out].copy()}
        )
        at += size + n_out
    return layers


def sizes():
    linear = [
        n_in * n_out + n_out * (3 if l < HIDDEN else 1) for l, (n_in, n_out) in enumerate(zip(WIDTHS, WIDTHS[1:]))
    ]
    return linear + [n_in * n_out * kernel + n_out for _, n_in, n_out, kernel, _, _ in HEAD]


INITIAL = unpack()


class Plateau:
    """The schedule of one rate."""

    def __init__(self):
        self.best, self.stalled, self.rate = float("inf"), 0, LR

    def see(self, loss):
        if loss < self.best * (1 - THRESHOLD):
            self.best, self.stalled = loss, 0
        else:
            self.stalled += 1
        if self.stalled > PATIENCE:
            self.stalled = 0
            if self.rate * (1 - FACTOR) > 1e-8:
                self.rate *= FACTOR
        return self.rate


def torch_sequential():
    """Modules as a user writes them, one model after another."""
    import torch

    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)
    x, y = torch.from_numpy(X), torch.from_numpy(Y)

    def model(m):
        parts = []
        for l, layer in enumerate(INITIAL[: HIDDEN + 1]):
            linear = torch.nn.Linear(WIDTHS[l], WIDTHS[l + 1])
            with torch.no_grad():
                linear.weight.copy_(torch.from_numpy(layer["w"][m]))
                linear.bias.copy_(torch.from_numpy(layer["b"][m]))
            parts.append(linear)
            if l < HIDDEN:
                parts += [torch.nn.BatchNorm1d(WIDTHS[l + 1]), torch.nn.ReLU()]
        if HEAD:
            parts.append(torch.nn.Unflatten(1, (1, WIDTHS[-1])))
        for (transposed, n_in, n_out, kernel, stride, padding), layer in zip(HEAD, INITIAL[HIDDEN + 1 :]):
            kind = torch.nn.ConvTranspose1d if transposed else torch.nn.Conv1d
            convolution = kind(n_in, n_out, kernel, stride, padding)
            with torch.no_grad():
                convolution.weight.copy_(torch.from_numpy(layer["w"][m]))
                convolution.bias.copy_(torch.from_numpy(layer["b"][m]))
            parts.append(convolution)
        if HEAD:
            parts.append(torch.nn.Flatten())
        return torch.nn.Sequential(*parts)

    def run(epochs):
        models = [model(m) for m in range(M)]
        losses = []
        start = time.perf_counter()
        for net in models:
            net.train()
            optimiser = torch.optim.Adam(net.parameters(), lr=LR, weight_decay=DECAY)
            schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, factor=FACTOR, patience=PATIENCE)
            log = []
            for _ in range(epochs):
                optimiser.zero_grad()
                loss = torch.nn.functional.mse_loss(net(x), y)
                loss.backward()
                optimiser.step()
                value = loss.item()
                schedule.step(value)
                log.append(value)
            losses.append(log)
        return time.perf_counter() - start, losses

    return run


def torch_parts():
    """What the two batched peers share: tensors, and the losses of all members at once. Activations are (member,
    feature, point), which lets one batch_norm call treat every feature of every member as a channel."""
    import torch

    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)
    x = torch.from_numpy(X).t().contiguous().expand(M, -1, -1)
    y = torch.from_numpy(Y).t().contiguous().expand(M, -1, -1)

    def convolve(out, params):
        """Through the head, every member's channels as a group of their own: (member, feature, point) in and out."""
        if not HEAD:
            return out
        out = out.permute(2, 0, 1)
        for l, (transposed, n_in, n_out, kernel, stride, padding) in enumerate(HEAD):
            function = torch.nn.functional.conv_transpose1d if transposed else torch.nn.functional.conv1d
            weight, bias = params[2 * l], params[2 * l + 1]
            out = function(out, weight.reshape(-1, *weight.shape[2:]), bias.reshape(-1), stride, padding, groups=M)
        return out.permute(1, 2, 0)

    def fresh():
        params = []
        for l, layer in enumerate(INITIAL):
            if l > HIDDEN:
                params += [torch.from_numpy(layer["w"].copy()), torch.from_numpy(layer["b"].copy())]
                continue
            params.append(torch.from_numpy(layer["w"].copy()))
            params.append(torch.from_numpy(layer["b"].copy()).unsqueeze(2))
            if l < HIDDEN:
                params.append(torch.from_numpy(layer["g"].copy()).reshape(-1))
                params.append(torch.from_numpy(layer["h"].copy()).reshape(-1))
        running = []
        for l in range(HIDDEN):
            running.append(torch.zeros(M * WIDTHS[l + 1]))
            running.append(torch.ones(M * WIDTHS[l + 1]))
        return params, running

    return torch, x, y, fresh, convolve


def torch_batched():
    """One bmm per layer for all members, eager, fused Adam."""
    torch, x, y, fresh, convolve = torch_parts()

    def run(epochs):
        params, running = fresh()
        params = [p.requires_grad_() for p in params]
        optimiser = torch.optim.Adam(params, lr=LR, weight_decay=DECAY, fused=True)
        plateau, losses = Plateau(), []
        start = time.perf_counter()
        for _ in range(epochs):
            optimiser.zero_grad()
            a, at = x, 0
            for l in range(HIDDEN):
                w, b, g, h = params[at : at + 4]
                at += 4
                z = torch.baddbmm(b, w, a)
                z = torch.nn.functional.batch_norm(
                    z.view(1, -1, N), running[2 * l], running[2 * l + 1], g, h, True, MOMENTUM, BN_EPS
                )
                a = torch.relu(z).view(M, -1, N)
            out = convolve(torch.baddbmm(params[at + 1], params[at], a), params[at + 2 :])
            loss = (out - y).square().mean((1, 2))
            loss.sum().backward()
            optimiser.step()
            log = loss.detach()
            losses.append(log)
            rate = plateau.see(log.mean().item())
            optimiser.param_groups[0]["lr"] = rate
        seconds = time.perf_counter() - start
        return seconds, torch.stack(losses, 1).tolist()

    return run


def torch_compiled():
    """Forward, backward, Adam and plateau of all members as one compiled function."""
    torch, x, y, fresh, convolve = torch_parts()

    def loss_of(params, running):
        a, at, moved = x, 0, []
        for l in range(HIDDEN):
            w, b, g, h = params[at : at + 4]
            at += 4
            z = torch.baddbmm(b, w, a)
            flat = z.view(M * WIDTHS[l + 1], N)
            variance, mean = torch.var_mean(flat, 1, correction=0)
            unbiased = variance.detach() * (N / (N - 1))
            moved.append(running[2 * l] * (1 - MOMENTUM) + mean.detach() * MOMENTUM)
            moved.append(running[2 * l + 1] * (1 - MOMENTUM) + unbiased * MOMENTUM)
            gain = g * torch.rsqrt(variance + BN_EPS)
            flat = (flat - mean[:, None]) * gain[:, None] + h[:, None]
            a = torch.relu(flat).view(M, -1, N)
        out = convolve(torch.baddbmm(params[at + 1], params[at], a), params[at + 2 :])
        loss = (out - y).square().mean((1, 2))
        return loss.sum(), (loss, moved)

    def step(params, first, second, running, t, rate, best, stalled):
        gradients, (loss, moved) = torch.func.grad(loss_of, has_aux=True)(params, running)
        for old, new in zip(running, moved):
            old.copy_(new)
        t.add_(1)
        c1, c2 = 1 - B1**t, (1 - B2**t).sqrt()
        step_size = rate / c1
        for p, m, v, g in zip(params, first, second, gradients):
            g = g + DECAY * p
            m.mul_(B1).add_(g, alpha=1 - B1)
            v.mul_(B2).addcmul_(g, g, value=1 - B2)
            s = step_size.view(M, *[1] * (p.dim() - 1)) if p.dim() > 1 else step_size.repeat_interleave(p.shape[0] // M)
            p.sub_(s * m / (v.sqrt() / c2 + EPS))
        better = loss < best * (1 - THRESHOLD)
        best.copy_(torch.where(better, loss, best))
        count = torch.where(better, 0, stalled + 1)
        due = count > PATIENCE
        rate.copy_(torch.where(due & (rate * (1 - FACTOR) > 1e-8), rate * FACTOR, rate))
        stalled.copy_(torch.where(due, 0, count))
        return loss

    compiled = torch.compile(step, dynamic=False)

    def run(epochs):
        params, running = fresh()
        first, second = [torch.zeros_like(p) for p in params], [torch.zeros_like(p) for p in params]
        t, rate = torch.zeros(()), torch.full((M,), LR)
        best, stalled = torch.full((M,), float("inf")), torch.zeros(M, dtype=torch.int64)
        losses = []
        with torch.no_grad():
            start = time.perf_counter()
            for _ in range(epochs):
                losses.append(compiled(params, first, second, running, t, rate, best, stalled))
            seconds = time.perf_counter() - start
        return seconds, torch.stack(losses, 1).tolist()

    return run


def jax_vmap():
    """One member's epoch, vmapped over members, looped and compiled by XLA."""
    import jax
    import jax.numpy as jnp

    x, y = jnp.asarray(X), jnp.asarray(Y)

    def loss_of(params, running):
        a, moved = x, []
        for l, layer in enumerate(params[: HIDDEN + 1]):
            z = a @ layer["w"].T + layer["b"]
            if l == HIDDEN:
                break
            mean, variance = z.mean(0), z.var(0)
            old_mean, old_variance = running[l]
            moved.append(
                (
                    old_mean * (1 - MOMENTUM) + mean * MOMENTUM,
                    old_variance * (1 - MOMENTUM) + variance * (N / (N - 1)) * MOMENTUM,
                )
            )
            a = jax.nn.relu((z - mean) * (layer["g"] * jax.lax.rsqrt(variance + BN_EPS)) + layer["h"])
        return jnp.square(convolve(z, params[HIDDEN + 1 :]) - y).mean(), moved

    def convolve(z, params):
        if not HEAD:
            return z
        z = z[:, None, :]
        for (transposed, _, _, kernel, stride, padding), layer in zip(HEAD, params):
            # A transposed convolution is a plain one of the stretched input with the kernel turned round.
            w = jnp.flip(layer["w"], 2).swapaxes(0, 1) if transposed else layer["w"]
            pad = kernel - 1 - padding if transposed else padding
            step, stretch = ((1,), (stride,)) if transposed else ((stride,), (1,))
            z = jax.lax.conv_general_dilated(z, w, step, [(pad, pad)], lhs_dilation=stretch) + layer["b"][:, None]
        return z.reshape(z.shape[0], -1)

    def epoch(state, _):
        params, first, second, running, t, rate, best, stalled = state
        (loss, running), gradients = jax.value_and_grad(loss_of, has_aux=True)(params, running)
        t = t + 1
        c1, c2 = 1 - B1**t, jnp.sqrt(1 - B2**t)
        tree = jax.tree_util.tree_map
        gradients = tree(lambda g, p: g + DECAY * p, gradients, params)
        first = tree(lambda m, g: B1 * m + (1 - B1) * g, first, gradients)
        second = tree(lambda v, g: B2 * v + (1 - B2) * g * g, second, gradients)
        params = tree(lambda p, m, v: p - rate / c1 * m / (jnp.sqrt(v) / c2 + EPS), params, first, second)
        better = loss < best * (1 - THRESHOLD)
        best = jnp.where(better, loss, best)
        stalled = jnp.where(better, 0, stalled + 1)
        due = stalled > PATIENCE
        rate = jnp.where(due & (rate * (1 - FACTOR) > 1e-8), rate * FACTOR, rate)
        stalled = jnp.where(due, 0, stalled)
        return (params, first, second, running, t, rate, best, stalled), loss

    compiled = {}

    def run(epochs):
        params = [{k: jnp.asarray(v) for k, v in layer.items()} for layer in INITIAL]
        zeros = jax.tree_util.tree_map(jnp.zeros_like, params)
        running = [(jnp.zeros((M, w)), jnp.ones((M, w))) for w in WIDTHS[1:-1]]
        state = (params, zeros, zeros, running, jnp.zeros(M), jnp.full(M, LR), jnp.full(M, jnp.inf), jnp.zeros(M, int))
        if epochs not in compiled:

            def train(state):
                return jax.lax.scan(jax.vmap(epoch, in_axes=(0, None)), state, None, length=epochs)

            compiled[epochs] = jax.jit(train).lower(state).compile()
        state = jax.block_until_ready(state)
        start = time.perf_counter()
        _, losses = jax.block_until_ready(compiled[epochs](state))
        return time.perf_counter() - start, numpy.asarray(losses).T.tolist()

    return run


def matrix_peak(n):
    """The best rate of PyTorch's product of two n × n matrices (MKL's) within half a second."""
    import torch

    a, b = torch.rand(n, n), torch.rand(n, n)
    best, begin = 0.0, time.perf_counter()
    while time.perf_counter() - begin < 0.5:
        before = time.process_time()
        torch.mm(a, b)
        best = max(best, 2.0 * n**3 / (time.process_time() - before))
    return best * args.threads


PEERS = {
    "torch-sequential": torch_sequential,
    "torch-batched": torch_batched,
    "torch-compiled": torch_compiled,
    "jax": jax_vmap,
}
run = PEERS[args.peer]()
for line in sys.stdin:
    command, number = line.split()
    if command == "peak":
        print(json.dumps({"flops_per_second": matrix_peak(int(number))}), flush=True)
        continue
    before = time.process_time()
    seconds, losses = run(int(number))
    # Setting up is in it, a few milliseconds; the clock on the wall is read inside.
    print(
        json.dumps({"seconds": seconds, "processor_seconds": time.process_time() - before, "losses": losses}),
        flush=True,
    )
