"""Samples as batches of tensors, in an order that is a pure function of recipe, epoch and process.

Photographs are batched freely. Videos are read one at a time and in order, since each clip takes up the state of the
one before; several processes share them out by whole videos.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from sal_runtime.errors import DataError, SalError
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
            for indices in videos.values():
                min(shares, key=len).extend([index] for index in indices)
            if not all(shares):
                raise DataError(f"{len(videos)} videos cannot be shared by {world} processes; take fewer --devices")
            # All have equally many steps: a shorter share begins its videos once more.
            longest = max(map(len, shares))
            return (shares[rank] * (longest // len(shares[rank]) + 1))[:longest]
        size = self._recipe.batch
        count = len(source) // (size * world) * size or len(source) // world
        own = list(range(rank, len(source), world))[:count]
        return [own[start : start + size] for start in range(0, len(own), size)]

    def read(self, epoch: int, order: Sequence[Sequence[int]]) -> Iterator[Batch]:
        """Read batches in the given order, ahead in a process of their own if there are workers."""
        source = self._source(self._recipe.phase_of(epoch))
        loader: DataLoader[Batch | SalError] = DataLoader(
            _Readable(Epoch(source, epoch)),  # type: ignore[arg-type]
            batch_sampler=order,  # type: ignore[arg-type]
            collate_fn=_collate_or_error,
            num_workers=self._workers,
            prefetch_factor=4 if self._workers else None,
        )
        for found in loader:
            if isinstance(found, SalError):
                raise found
            yield found

    def identity(self) -> str:
        """A hash of what is trained on: the names and lengths of the clips."""
        told = json.dumps([(clip.name, clip.frames) for clip in self._clips])
        return hashlib.sha256(told.encode()).hexdigest()[:16]

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


class _Readable:
    """An epoch whose errors are values: raised in a worker process, they would arrive wrapped in its traceback."""

    def __init__(self, epoch: Epoch) -> None:
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._epoch)

    def __getitem__(self, index: int) -> Sample | SalError:
        try:
            return self._epoch[index]
        except SalError as exc:
            return exc


def _collate_or_error(found: Sequence[Sample | SalError]) -> Batch | SalError:
    samples = [sample for sample in found if isinstance(sample, Sample)]
    return collate(samples) if len(samples) == len(found) else next(f for f in found if isinstance(f, SalError))


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
