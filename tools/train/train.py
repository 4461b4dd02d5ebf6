"""Train ferry-tiny.

The run is split into stages of growing document length (``STAGES``). Samples
are generated on the fly by a worker process, sorted into length buckets and
packed into batches of a fixed number of tokens. Progress goes to the standard
output, checkpoints to OUT/last.pt.

On a CPU two processes with one thread each are about twice as fast as one
process with two threads, so the run is data-parallel: start it with torchrun.

Usage: torchrun --nproc-per-node 2 train.py --tokenizer DIR/tokenizer.json --out DIR [--tokens 40e6]
"""

from __future__ import annotations

import argparse
import math
import os
import random
import time
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import torch.nn.functional as F
from tokenizers import Tokenizer

from corpus import BASE, World, drill
from model import FerryModel, ModelConfig

BUCKETS = [64, 96, 128, 192, 256, 384, 512, 768, 1024, 1280]

# (share of the run at which the stage ends, {document characters: weight}, share of drills)
STAGES = [
    (0.07, {150: 3, 250: 1}, 0.40),
    (0.15, {150: 3, 300: 2, 500: 1}, 0.20),
    (0.30, {150: 2, 300: 2, 600: 2, 1000: 1}, 0.08),
    (0.45, {150: 1, 300: 1, 600: 2, 1200: 2, 2000: 1}, 0.04),
    (0.65, {150: 1, 300: 1, 600: 1, 1200: 2, 2200: 2, 3300: 1}, 0.02),
    (1.00, {150: 1, 300: 1, 600: 1, 1200: 1.5, 2200: 1.5, 3300: 1.5}, 0.0),
]


def stage_at(progress: float):
    """The stage for a share of the run."""
    for end, lengths, drills in STAGES:
        if progress < end:
            return lengths, drills
    return STAGES[-1][1:]


def encode(tokenizer: Tokenizer, sample) -> tuple[list[int], list[float]]:
    """Token ids of a sample and the weight of each token as a target."""
    enc = tokenizer.encode(sample.text, add_special_tokens=False)
    weights = [BASE] * len(enc.ids)
    marks, m = sample.marks, 0
    for i, (start, end) in enumerate(enc.offsets):
        while m < len(marks) and marks[m][1] <= start:
            m += 1
        if m < len(marks) and marks[m][0] < end:
            weights[i] = marks[m][2]
            if m + 1 < len(marks) and marks[m + 1][0] < end:
                weights[i] = max(weights[i], marks[m + 1][2])
    return enc.ids, weights


def produce(queue, progress, tokenizer_path: str, seed: int, batch_tokens: int, vocab: int):
    """Worker: fill buckets with samples and hand out full batches for ever."""
    os.nice(2)
    tokenizer = Tokenizer.from_file(tokenizer_path)
    world = World(seed)
    rng = random.Random(seed + 1)
    full: dict[int, list] = {b: [] for b in BUCKETS}
    while True:
        lengths, drills = stage_at(progress.value)
        chars = rng.choices(list(lengths), list(lengths.values()))[0]
        if rng.random() < drills:
            ids, weights = drill(rng, rng.choice([b for b in BUCKETS if b <= max(64, chars / 2.4)]), vocab)
        else:
            chars = int(chars * rng.uniform(0.7, 1.25))
            ids, weights = encode(tokenizer, world.sample(chars))
        bucket = next((b for b in BUCKETS if len(ids) <= b), None)
        if bucket is None:
            continue
        rows = full[bucket]
        rows.append((ids, weights))
        if len(rows) == batch_tokens // bucket:
            x = np.zeros((len(rows), bucket), dtype=np.int64)
            w = np.zeros((len(rows), bucket), dtype=np.float32)
            for i, (a, b) in enumerate(rows):
                x[i, :len(a)] = a
                w[i, :len(b)] = b
            full[bucket] = []
            queue.put((x, w))


def orthogonalise(g: torch.Tensor, steps: int = 5) -> torch.Tensor:
    """Newton-Schulz iteration of Muon on a stack of matrices."""
    x = g / (g.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    turned = x.shape[-2] > x.shape[-1]
    if turned:
        x = x.mT
    for _ in range(steps):
        a = x @ x.mT
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return x.mT if turned else x


class Muon(torch.optim.Optimizer):
    """Momentum with orthogonalised updates, for the matrices of the layers."""

    def __init__(self, params, lr=0.02, momentum=0.95, weight_decay=0.0):
        super().__init__(params, dict(lr=lr, momentum=momentum, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            shapes: dict[tuple, list] = {}
            for p in group["params"]:
                shapes.setdefault(tuple(p.shape), []).append(p)
            for shape, ps in shapes.items():
                updates = []
                for p in ps:
                    buf = self.state[p].setdefault("momentum", torch.zeros_like(p))
                    buf.lerp_(p.grad, 1 - group["momentum"])
                    updates.append(p.grad.lerp(buf, group["momentum"]))
                stack = orthogonalise(torch.stack(updates))
                scale = group["lr"] * max(1.0, shape[0] / shape[1]) ** 0.5
                for p, u in zip(ps, stack):
                    p.mul_(1 - group["lr"] * group["weight_decay"])
                    p.add_(u, alpha=-scale)


def schedule(progress: float, step: int) -> float:
    """Learning-rate factor: short warm-up, long plateau, linear cool-down."""
    warm = min(1.0, (step + 1) / 60)
    return warm * min(1.0, max(0.02, (1 - progress) / 0.45))


def main() -> None:
    ap = argparse.ArgumentParser()
    ap.add_argument("--tokenizer", required=True)
    ap.add_argument("--out", required=True)
    ap.add_argument("--tokens", type=float, default=40e6, help="length of the run in tokens")
    ap.add_argument("--minutes", type=float, default=0, help="end the run after this time instead")
    ap.add_argument("--batch-tokens", type=int, default=5120, help="tokens per process and step")
    ap.add_argument("--optimizer", choices=["muon", "adamw"], default="muon")
    ap.add_argument("--lr", type=float, default=0.0)
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--threads", type=int, default=1, help="threads per process")
    ap.add_argument("--compile", action="store_true")
    ap.add_argument("--resume", default="")
    ap.add_argument("--begin-at", type=float, default=0.0, help="progress at which to begin (with --resume)")
    ap.add_argument("--shape", default="", help="e.g. hidden_size=160,intermediate_size=448")
    args = ap.parse_args()

    rank, ranks = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    if ranks > 1:
        dist.init_process_group("gloo")
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    shape = {k: int(v) for k, v in (kv.split("=") for kv in args.shape.split(",") if kv)}
    cfg = ModelConfig(**shape)
    model = FerryModel(cfg)
    if args.resume:
        model.load_state_dict(torch.load(args.resume)["model"])
    if rank == 0:
        print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {ranks} processes", flush=True)
    hidden = torch.compile(model.hidden, dynamic=True) if args.compile else model.hidden

    matrices = [p for n, p in model.named_parameters() if p.dim() == 2 and "embed" not in n]
    rest = [p for n, p in model.named_parameters() if p.dim() != 2 or "embed" in n]
    if args.optimizer == "muon":
        opts = [Muon(matrices, lr=args.lr or 0.02), torch.optim.AdamW(rest, lr=3e-3, betas=(0.9, 0.95), weight_decay=0.0, fused=True)]
    else:
        opts = [torch.optim.AdamW([{"params": matrices, "weight_decay": 0.05}, {"params": rest, "weight_decay": 0.0}],
                                  lr=args.lr or 3e-3, betas=(0.9, 0.95), fused=True)]
    base_lrs = [[g["lr"] for g in o.param_groups] for o in opts]

    ctx = mp.get_context("fork")
    progress = ctx.Value("d", args.begin_at)
    queue = ctx.Queue(maxsize=6)
    worker = ctx.Process(target=produce, daemon=True,
                         args=(queue, progress, args.tokenizer, args.seed * 1000 + 17 + 100 * rank, args.batch_tokens, cfg.vocab_size))
    worker.start()
    pick = torch.Generator().manual_seed(args.seed + rank)

    started, saved, step, seen, elapsed = time.time(), time.time(), 0, 0, 0.0
    logs: dict[str, list] = {"answer": [], "value": [], "exact": []}
    while True:
        done = elapsed / 60 / args.minutes if args.minutes else seen / args.tokens
        done = args.begin_at + (1 - args.begin_at) * done
        if done >= 1:
            break
        progress.value = done
        factor = schedule(done, step)
        for opt, lrs in zip(opts, base_lrs):
            for group, lr in zip(opt.param_groups, lrs):
                group["lr"] = lr * factor
        x, w = (torch.from_numpy(a) for a in queue.get())
        y, w = x[:, 1:].reshape(-1), w[:, 1:].reshape(-1)
        # of the lightly weighted targets a sixth is enough
        light = (w > 0) & (w <= BASE)
        drop = light & (torch.rand(w.shape, generator=pick) > 1 / 6)
        w = torch.where(light, w * 6, w).masked_fill(drop, 0.0)
        at = w.nonzero().squeeze(1)
        logits = model.head(hidden(x)[:, :-1].reshape(-1, cfg.hidden_size)[at])
        loss_each = F.cross_entropy(logits, y[at], reduction="none")
        wt = w[at]
        loss = (loss_each * wt).sum() / wt.sum()
        for opt in opts:
            opt.zero_grad(set_to_none=True)
        loss.backward()
        elapsed = average(model, time.time() - started, ranks)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for opt in opts:
            opt.step()
        step += 1
        seen += x.numel() * ranks
        with torch.no_grad():
            heavy = wt >= 1.0
            logs["answer"].append(loss_each[heavy].mean().item() if heavy.any() else 0.0)
            value = wt > 1.0
            if value.any():
                logs["value"].append(loss_each[value].mean().item())
                logs["exact"].append((logits[value].argmax(-1) == y[at][value]).float().mean().item())
        if step % 50 == 0 and rank == 0:
            mean = {k: sum(v) / max(1, len(v)) for k, v in logs.items()}
            logs = {k: [] for k in logs}
            print(f"step {step} {100 * done:.1f}% {seen / 1e6:.2f}M tokens {elapsed:.0f}s {seen / (time.time() - started):.0f} tok/s "
                  f"answer {mean['answer']:.3f} value {mean['value']:.3f} hit {mean['exact']:.3f} lr x{factor:.2f}", flush=True)
        if time.time() - saved > 60 and rank == 0:
            saved = time.time()
            save(model, cfg, out / "last.pt", seen, done, elapsed)
    if rank == 0:
        save(model, cfg, out / "last.pt", seen, 1.0, elapsed)
        print(f"done: {step} steps, {seen / 1e6:.2f}M tokens, {time.time() - started:.0f}s", flush=True)
    worker.terminate()


def average(model, seconds: float, ranks: int) -> float:
    """Average the gradients over the processes, and their clocks with them."""
    if ranks == 1:
        return seconds
    grads = [p.grad for p in model.parameters()]
    flat = torch.cat([g.reshape(-1) for g in grads] + [torch.tensor([seconds])])
    dist.all_reduce(flat)
    flat /= ranks
    at = 0
    for g in grads:
        g.copy_(flat[at:at + g.numel()].view_as(g))
        at += g.numel()
    return flat[-1].item()


def save(model, cfg, path: Path, seen: int, done: float, seconds: float) -> None:
    """Write a checkpoint, replacing the old one at once."""
    tmp = path.with_suffix(".tmp")
    torch.save({"model": model.state_dict(), "config": cfg.to_dict(), "tokens": seen, "progress": done, "seconds": seconds}, tmp)
    tmp.replace(path)


if __name__ == "__main__":
    main()
