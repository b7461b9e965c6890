"""Samples as batches of tensors, in an order that is a pure function of recipe, epoch and process.

Photographs are batched freely. Videos are read one at a time and in order, since each clip takes up the state of the
one before; several processes share them out by whole videos.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from sal_train.data import Augment, Clip, ClipSamples, Colour, Epoch, Motion, Sample, StillSamples
from sal_train.recipe import Phase, Recipe


@dataclass(frozen=True)
class Batch:
    """Clips of one length."""

    frames: Tensor
    """uint8 [B, T, H, W, 3]."""
    maps: Tensor
    """float32 [B, T, H, W]."""
    fixations: Tensor
    """bool [B, T, H, W]."""
    labelled: Tensor
    """bool [B, T]."""
    follows: bool
    """Whether the state goes on from the batch before."""

    def to(self, device: torch.device) -> Batch:
        """The same on a device."""
        return Batch(
            self.frames.to(device),
            self.maps.to(device),
            self.fixations.to(device),
            self.labelled.to(device),
            self.follows,
        )


class Batches:
    """Every epoch's batches of a recipe on one dataset."""

    def __init__(self, recipe: Recipe, clips: Sequence[Clip], workers: int = 1) -> None:
        self._recipe, self._clips, self._workers = recipe, clips, workers
        self._sources: dict[int, StillSamples | ClipSamples] = {}

    def order(self, epoch: int, rank: int = 0, world: int = 1) -> list[list[int]]:
        """Numbers of the samples of each batch; every process has equally many batches."""
        source = self._source(self._recipe.phase_of(epoch))
        if isinstance(source, ClipSamples):
            videos: dict[int, list[int]] = {}
            for index, passage in enumerate(source.plan(epoch)):
                videos.setdefault(passage.video, []).append(index)
            shares: list[list[list[int]]] = [[] for _ in range(world)]
            for place, indices in enumerate(videos.values()):
                shares[place % world] += [[index] for index in indices]
            return shares[rank][: min(map(len, shares))]
        size = self._recipe.batch
        count = len(source) // (size * world) * size or len(source) // world
        own = list(range(rank, len(source), world))[:count]
        return [own[start : start + size] for start in range(0, len(own), size)]

    def read(self, epoch: int, order: Sequence[Sequence[int]]) -> Iterator[Batch]:
        """Read batches in the given order, ahead in a process of their own if there are workers."""
        source = self._source(self._recipe.phase_of(epoch))
        loader: DataLoader[Batch] = DataLoader(
            Epoch(source, epoch),  # type: ignore[arg-type]
            batch_sampler=order,  # type: ignore[arg-type]
            collate_fn=collate,
            num_workers=self._workers,
            prefetch_factor=4 if self._workers else None,
        )
        return iter(loader)

    @property
    def left_out(self) -> list[str]:
        """Photographs whose map is empty or constant."""
        stills = [s for s in self._sources.values() if isinstance(s, StillSamples)]
        return list(stills[0].left_out) if stills else []

    def _source(self, phase: Phase) -> StillSamples | ClipSamples:
        if phase.length not in self._sources:
            data, seed = self._recipe.data, self._recipe.seed
            if data.kind == "video":
                augment = Augment(data.mirror, data.degrees) if data.mirror or data.degrees else None
                self._sources[phase.length] = ClipSamples(
                    self._clips, data.size, phase.length, augment=augment, seed=seed
                )
            else:
                motion = Motion(mirror=data.mirror, **data.motion.model_dump())
                colour = Colour(data.colour) if data.colour else None
                self._sources[phase.length] = StillSamples(
                    self._clips,
                    motion,
                    data.size,
                    phase.length,
                    cache=len(self._clips) <= _CACHED,
                    colour=colour,
                    seed=seed,
                )
        return self._sources[phase.length]


_CACHED = 2000
"""Up to so many photographs are kept in memory: 1.6 GB at 512x384."""


def collate(samples: Sequence[Sample]) -> Batch:
    """Stack samples of one length; a single one goes on from the sample before if it does not start its video."""
    return Batch(
        torch.from_numpy(np.stack([sample.frames for sample in samples])),
        torch.from_numpy(np.stack([sample.maps for sample in samples])),
        torch.from_numpy(np.stack([sample.fixations for sample in samples])),
        torch.from_numpy(np.stack([sample.labelled for sample in samples])),
        len(samples) == 1 and samples[0].start != 0,
    )
