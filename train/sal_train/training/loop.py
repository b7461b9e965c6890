"""The loop: truncated back-propagation through time, the state carried from clip to clip and detached between them."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from sal_runtime.errors import TrainingError
from sal_train.adversarial import CONTENT, Discriminator, adversarial_loss, discriminator_loss
from sal_train.checkpoint import save_checkpoint
from sal_train.losses import LossWeights, clip_loss
from sal_train.models import RecurrentNetwork
from sal_train.recipe import Recipe
from sal_train.training.average import blend_into
from sal_train.training.batches import Batch, Batches
from sal_train.training.optimiser import build_optimizer, set_rate, trainable
from sal_train.training.records import Records
from sal_train.training.state import Progress, load_state, save_state
from sal_train.training.validate import Validation


@dataclass(frozen=True)
class LoopOptions:
    """What is not part of a recipe: where and how long."""

    out: Path
    """Folder of the run."""
    save_every: int = 500
    """Steps between two kept states; the end of an epoch keeps one as well."""
    max_steps: int | None = None
    """Stop after so many steps in all."""
    resume: bool = True
    """Whether a state in ``out`` is gone on from."""


@dataclass(frozen=True)
class StepReport:
    """Told after every step."""

    progress: Progress
    total: int
    """Steps of the whole training."""
    loss: float


class Training:
    """One recipe on one dataset."""

    def __init__(
        self,
        recipe: Recipe,
        network: RecurrentNetwork,
        batches: Batches,
        validation: Validation | None,
        fabric: Fabric,
        options: LoopOptions,
    ) -> None:
        self._recipe, self._batches, self._validation = recipe, batches, validation
        self._fabric, self._options = fabric, options
        self._network = network
        self._model, self._optimizer = fabric.setup(network, build_optimizer(network, recipe))
        self._average = copy.deepcopy(network).eval() if recipe.average is not None else None
        self._critic: Any = None
        if recipe.loss.adversarial:
            critic = Discriminator(*recipe.data.size)
            rate = torch.optim.Adagrad(critic.parameters(), lr=3e-4, weight_decay=1e-4)  # SalGAN, section 4.1
            self._critic, self._critic_optimizer = fabric.setup(critic, rate)
        self._states: tuple[Tensor, ...] = ()
        self._progress = Progress()
        self._weights = LossWeights(recipe.loss.bce, recipe.loss.kl, recipe.loss.cc, recipe.loss.nss)
        world = fabric.world_size
        self._order = [self._batches.order(e, fabric.global_rank, world) for e in range(recipe.epochs)]
        self.total = sum(map(len, self._order))
        self.history: list[dict[str, float]] = []
        self.unlabelled = 0
        """Frames that were left out of the loss, because their map is empty or constant."""

    def run(
        self,
        on_step: Callable[[StepReport], None] = lambda report: None,
        on_epoch: Callable[[int, dict[str, float]], None] = lambda epoch, scores: None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> Path:
        """Train to the end, or until ``stopped()``; the state and the weights so far are kept either way.

        Returns:
            the checkpoint.

        Raises:
            TrainingError: the loss is no longer finite, or the kept state does not fit.
            DataError: a file of the dataset cannot be read.
        """
        found = load_state(self._options.out, self._identity()) if self._options.resume else None
        if found is not None:
            self._restore(*found)
            if self._progress.epoch >= self._recipe.epochs:
                return self._options.out / f"{self._recipe.config}.safetensors"
        main = self._fabric.is_global_zero
        records = Records(self._options.out, self._progress.step if found else None) if main else None
        try:
            while self._progress.epoch < self._recipe.epochs and not self._enough() and not stopped():
                self._epoch(records, on_step, stopped)
                if self._progress.batch == len(self._order[self._progress.epoch]):
                    self._progress = Progress(self._progress.step, self._progress.epoch + 1, 0)
                    self._close_epoch(records, on_epoch)
            self._save()
            return self._save_weights()
        finally:
            if records is not None:
                records.close()

    @property
    def result(self) -> RecurrentNetwork:
        """The network that is kept: the average, where one is made."""
        return self._average if self._average is not None else self._network

    @property
    def step(self) -> int:
        """Steps done so far, those of a resumed run included."""
        return self._progress.step

    def _identity(self) -> dict[str, Any]:
        """What a resumed run must have in common with the one before."""
        return {
            **self._recipe.model_dump(),
            "width": self._network.config.width,
            "clips": self._batches.identity(),
            "devices": self._fabric.world_size,
        }

    def _enough(self) -> bool:
        return self._options.max_steps is not None and self._progress.step >= self._options.max_steps

    def _epoch(
        self, records: Records | None, on_step: Callable[[StepReport], None], stopped: Callable[[], bool]
    ) -> None:
        progress = self._progress
        self._model.train()
        for batch in self._batches.read(progress.epoch, self._order[progress.epoch][progress.batch :]):
            began = time.perf_counter()
            told = self._step(batch.to(self._fabric.device))
            self.unlabelled += int((~batch.labelled).sum())
            progress.step += 1
            progress.batch += 1
            if records is not None:
                row = {"step": progress.step, "epoch": progress.epoch, **told}
                for name, parameter in self._network.named_parameters():
                    if name.endswith("raw_alpha"):
                        row["alpha"] = parameter.sigmoid().item()
                records.row("losses", {**row, "seconds": round(time.perf_counter() - began, 4)})
            on_step(StepReport(progress, self.total, told["loss"]))
            ended = progress.batch == len(self._order[progress.epoch])  # then the epoch's own state is kept
            if progress.step % self._options.save_every == 0 and not ended:
                self._save()
            if self._enough() or self._agreed(stopped()):
                return

    def _agreed(self, stop: bool) -> bool:
        """The first process's wish: several that stopped at different steps would wait for each other for ever."""
        return bool(self._fabric.broadcast(stop)) if self._fabric.world_size > 1 else stop

    def _step(self, batch: Batch) -> dict[str, float]:
        """One optimiser step; returns the loss, its parts and the factor on the learning rate."""
        recipe, progress = self._recipe, self._progress
        # Dropout draws from torch's generator: set from the place, so that a resumed run draws the same.
        place = progress.step * self._fabric.world_size + self._fabric.global_rank
        torch.manual_seed((recipe.seed * 1_000_003 + place) % 2**63)
        factor = set_rate(self._optimizer, recipe.optimizer, progress.step / self.total)
        states = self._states if batch.follows else ()
        maps, *after = self._model(batch.frames, *states)
        self._states = tuple(state.detach() for state in after)
        loss = clip_loss(maps, batch.maps, batch.fixations, batch.labelled, self._weights, recipe.loss.reduction)
        told = {"loss": loss.item(), "rate": factor}
        if self._critic is not None:
            loss, told["critic"] = self._adversarial(batch, maps, loss)
        value = loss.item()
        if not math.isfinite(value):
            raise TrainingError(
                f"the loss is no longer finite at step {progress.step + 1}; lower --lr, or bound optimizer.clip_norm"
            )
        if not loss.requires_grad:
            return told  # only alpha is trained and every frame was a first one; or it was the critic's turn
        self._optimizer.zero_grad(set_to_none=True)
        self._fabric.backward(loss)
        if recipe.optimizer.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(trainable(self._network), recipe.optimizer.clip_norm)
        self._optimizer.step()
        if self._average is not None and recipe.average is not None:
            blend_into(self._average, self._network, recipe.average, progress.step)
        return told

    def _adversarial(self, batch: Batch, maps: Tensor, content: Tensor) -> tuple[Tensor, float]:
        """SalGAN's turns: an odd step trains the critic, an even one the network on its verdict and the content.

        Returns:
            the network's loss, without a gradient when it is the critic's turn; and the loss that involves the critic.
        """
        chosen = batch.labelled.flatten()
        if not bool(chosen.any()):
            return content, 0.0
        frames, made, real = (x.flatten(0, 1)[chosen] for x in (batch.frames, maps, batch.maps))
        if self._progress.step % 2:
            loss = discriminator_loss(self._critic, frames, made, real)
            self._critic_optimizer.zero_grad(set_to_none=True)
            self._fabric.backward(loss)
            self._critic_optimizer.step()
            return content.detach(), loss.item()
        verdict = adversarial_loss(self._critic, frames, made)
        return CONTENT * content + verdict, verdict.item()

    def _close_epoch(self, records: Records | None, on_epoch: Callable[[int, dict[str, float]], None]) -> None:
        scores: dict[str, float] = {}
        if self._validation is not None and self._fabric.is_global_zero:
            scores, rows = self._validation(self.result)
            if records is not None:
                records.row("metrics", {"step": self._progress.step, "epoch": self._progress.epoch, **scores})
                records.picture(self._progress.epoch, self._progress.step, rows)
        self.history.append(scores)
        on_epoch(self._progress.epoch, scores)
        self._save()
        self._save_weights()

    def _save(self) -> None:
        between = self._progress.batch != 0
        if not self._fabric.is_global_zero or (between and self._fabric.world_size > 1):
            return  # in the middle of an epoch each process has a recurrent state of its own
        parts: dict[str, Any] = {
            "network": self._network.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "states": list(self._states),
        }
        if self._average is not None:
            parts["average"] = self._average.state_dict()
        if self._critic is not None:
            parts["critic"] = self._critic.state_dict()
            parts["critic_optimizer"] = self._critic_optimizer.state_dict()
        save_state(self._options.out, self._progress, parts, self._identity())

    def _restore(self, progress: Progress, parts: dict[str, Any]) -> None:
        try:
            self._network.load_state_dict(parts["network"])
            self._optimizer.load_state_dict(parts["optimizer"])
            if self._average is not None:
                self._average.load_state_dict(parts["average"])
            if self._critic is not None:
                self._critic.load_state_dict(parts["critic"])
                self._critic_optimizer.load_state_dict(parts["critic_optimizer"])
        except (KeyError, RuntimeError, ValueError) as exc:
            raise TrainingError(f"{self._options.out}: its state does not fit this network ({exc})") from exc
        self._states = tuple(state.to(self._fabric.device) for state in parts["states"])
        self._progress = progress

    def _save_weights(self) -> Path:
        path = self._options.out / f"{self._recipe.config}.safetensors"
        if self._fabric.is_global_zero:
            notes = {"recipe": self._recipe.model_dump(), "step": self._progress.step, "epoch": self._progress.epoch}
            notes["epochs"] = self._recipe.epochs
            if self.history and self.history[-1]:
                notes["validation"] = self.history[-1]
            save_checkpoint(self.result, path, notes, exist_ok=True)
        return path
