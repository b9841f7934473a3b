"""Train the demo detector: ``python -m training.train --cache .cache/scenes.npz --out .cache/demo_scenes.pt``."""

from __future__ import annotations

import argparse
import copy
import math
import time
from pathlib import Path
from random import Random

import torch
from torch import Tensor, nn

from training.assign import Targets, loss_of
from training.dataset import CLEAR, Sample, build, load, varied
from training.labels import HEIGHT, UNSEEN_SEED, WIDTH
from training.net import Detector, cells_of

BATCH = 16
PEAK_RATE = 2.5e-3
WARM_STEPS = 100


def main() -> None:
    """Render (once), train, keep the averaged weights; stops at ``--minutes`` at the latest."""
    options = _options()
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    if not options.cache.exists():
        build(options.cache, range(options.scenes), options.frames)
    samples = load(options.cache)
    print(f"{len(samples)} frames, {sum(len(s.rows) for s in samples)} objects", flush=True)
    net = Detector().to(memory_format=torch.channels_last)  # a third faster on this kind of processor
    if options.start:
        net.load_state_dict(torch.load(options.start, weights_only=True))
    print(f"{sum(p.numel() for p in net.parameters())} parameters", flush=True)
    average = _train(net, samples, options)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    torch.save(average.state_dict(), options.out)


def batch_of(samples: list[Sample], rng: Random) -> tuple[Tensor, list[Targets]]:
    """Return a varied batch: pictures (B, 3, H, W) 0–255 and their targets."""
    chosen = [varied(rng.choice(samples), rng) for _ in range(BATCH)]
    images = torch.stack([torch.from_numpy(sample.image).permute(2, 0, 1) for sample in chosen]).float()
    return images.contiguous(memory_format=torch.channels_last), [targets_of(sample) for sample in chosen]


def targets_of(sample: Sample) -> Targets:
    """Return what is learned of a sample and what is left open."""
    rows = torch.from_numpy(sample.rows)
    clear = rows[:, 5] >= CLEAR
    return Targets(rows[clear, 1:5], rows[clear, 0].long(), rows[~clear, 1:5])


def rate_at(share: float, step: int) -> float:
    """Warm up, then follow a cosine to a hundredth of the peak. ``share`` is the part of the training done, 0–1."""
    warm = min(1.0, (step + 1) / WARM_STEPS)
    return PEAK_RATE * warm * (0.01 + 0.99 * (0.5 + 0.5 * math.cos(math.pi * share)))


def _train(net: Detector, samples: list[Sample], options: argparse.Namespace) -> Detector:
    rng = Random(options.seed)
    cells, strides = cells_of(WIDTH, HEIGHT)
    optimizer = torch.optim.AdamW(net.parameters(), lr=PEAK_RATE, weight_decay=0.02)
    average: Detector = copy.deepcopy(net)
    average.eval()
    began, shown = time.monotonic(), 0.0
    for step in range(options.steps):
        share = max(step / options.steps, (time.monotonic() - began) / (options.minutes * 60))
        if share >= 1.0:
            break
        for group in optimizer.param_groups:
            group["lr"] = rate_at(share, step)
        images, targets = batch_of(samples, rng)
        loss = loss_of(net.train()(images), cells, strides, targets)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 10.0)
        optimizer.step()
        _blend(average, net, min(0.998, (step + 1) / (step + 20)))
        shown += loss.item()
        if step % 50 == 49:
            spent = time.monotonic() - began
            print(f"step {step + 1}: loss {shown / 50:.3f}, {spent / (step + 1):.2f} s a step", flush=True)
            shown = 0.0
            torch.save(average.state_dict(), options.out.with_suffix(".partial.pt"))
    return average


def _blend(average: nn.Module, net: nn.Module, keep: float) -> None:
    """Blend into a running average of weights and statistics."""
    with torch.no_grad():
        current = net.state_dict()
        for name, value in average.state_dict().items():
            if value.dtype.is_floating_point:
                value.mul_(keep).add_(current[name], alpha=1 - keep)
            else:
                value.copy_(current[name])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=Path(".cache/scenes.npz"))
    parser.add_argument("--out", type=Path, default=Path(".cache/demo_scenes.pt"))
    parser.add_argument("--start", type=Path, help="weights to go on from")
    parser.add_argument("--scenes", type=int, default=1000, help=f"seeds 0 … N-1, below {UNSEEN_SEED}")
    parser.add_argument("--frames", type=int, default=9, help="frames per scene")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--minutes", type=float, default=25.0)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
