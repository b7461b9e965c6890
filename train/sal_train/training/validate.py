"""A quick look at the validation split while training: NSS and CC at the network's own size.

It shows whether a training goes well. Numbers to quote come from ``sal-eval``, at the fixations' own size.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from sal_runtime.arrays import Floats, Pixels
from sal_train import metrics
from sal_train.data import Clip, ClipSamples, Sample
from sal_train.models import RecurrentNetwork

LENGTH = 10
"""Frames of each video that are looked at."""


class Validation:
    """Some clips of a split, read once."""

    def __init__(self, clips: Sequence[Clip], size: tuple[int, int], most: int) -> None:
        """Keep the first frames of up to ``most`` videos or photographs, evenly chosen."""
        chosen = [
            clips[i] for i in np.unique(np.linspace(0, len(clips) - 1, min(most, len(clips))).round().astype(int))
        ]
        source = ClipSamples(chosen, size, LENGTH, shuffle=False)
        starts = [i for i, passage in enumerate(source.plan(0)) if passage.start == 0]
        self._samples: list[Sample] = [source.sample(0, index) for index in starts]

    def __call__(self, network: RecurrentNetwork) -> tuple[dict[str, float], list[tuple[Pixels, Floats, Floats]]]:
        """Mean NSS and CC over labelled frames, and rows for a picture: frame, target, prediction of four samples."""
        scores: dict[str, list[float]] = {"nss": [], "cc": []}
        rows: list[tuple[Pixels, Floats, Floats]] = []
        was_training = network.training
        network.eval()
        device = next(network.parameters()).device
        with torch.inference_mode():
            for sample in self._samples:
                maps = network.clip(torch.from_numpy(sample.frames)[None].to(device))[0][0].float().cpu().numpy()
                for place in np.flatnonzero(sample.labelled):
                    scores["cc"].append(metrics.cc(maps[place], sample.maps[place]))
                    if sample.fixations[place].any():
                        scores["nss"].append(metrics.nss(maps[place], sample.fixations[place]))
                rows.append((sample.frames[-1], sample.maps[-1], maps[-1]))
        network.train(was_training)
        means = {name: float(np.nanmean(values)) for name, values in scores.items() if values}
        return means, rows[:: max(1, len(rows) // 4)][:4]
