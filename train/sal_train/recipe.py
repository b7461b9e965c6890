"""A training as a file: which configuration, on what, and how. Recipes ship with the package and are checked when read.

A recipe may be ``based_on`` another and then says only what differs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from sal_runtime.errors import InputError
from sal_train.models import CONFIGS

FOLDER = Path(__file__).parent / "recipes"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Phase(_Part):
    """A stretch of training on clips of one length."""

    epochs: int = Field(gt=0)
    """Times through the data."""
    length: int = Field(gt=0)
    """Frames of a clip, through which errors are propagated back in time; 1 makes every frame a first frame."""


class MotionRecipe(_Part):
    """How a camera moves over photographs; see ``sal_train.data.Motion``."""

    fps: float = Field(default=30.0, gt=0)
    view: tuple[float, float] = (0.6, 1.0)
    pan: float = 0.4
    zoom: float = 0.3
    degrees: float = 3.0
    turn: float = 6.0


class DataRecipe(_Part):
    """What is trained on."""

    name: str
    """The dataset that is meant, for people."""
    kind: Literal["video", "stills"] = "video"
    """Videos are read in order with the state carried from clip to clip; stills become clips of their own."""
    size: tuple[int, int] = (192, 256)
    """Height and width of a frame."""
    mirror: float = Field(0.5, ge=0, le=1)
    """Probability of mirroring."""
    degrees: float = Field(10.0, ge=0, le=90)
    """Largest rotation of a video; the paper names none."""
    motion: MotionRecipe = Field(default_factory=MotionRecipe)
    """Of stills."""
    colour: float = Field(0.0, ge=0)
    """Strength of random changes of brightness, contrast and colour."""


class OptimizerRecipe(_Part):
    """Adam and its rates."""

    name: Literal["adam", "adamw"] = "adam"
    lr: float = Field(gt=0)
    alpha_lr: float = Field(0.1, gt=0)
    """For a learnt alpha, which has a group of its own and no decay (section 5)."""
    weight_decay: float = Field(0.0, ge=0)
    schedule: Literal["constant", "cosine"] = "constant"
    warmup: float = Field(0.0, ge=0, lt=1)
    """Share of the training in which the rate rises from nothing."""
    clip_norm: float | None = Field(None, gt=0)
    """Largest norm of the gradient."""


class LossRecipe(_Part):
    """Shares of the loss's terms; see ``sal_train.losses``."""

    bce: float = 1.0
    kl: float = 0.0
    cc: float = 0.0
    nss: float = 0.0
    reduction: Literal["mean", "sum"] = "mean"
    """Over the frames of a clip: the paper means, the released code sums."""
    adversarial: bool = False
    """SalGAN's adversarial term beside the content loss."""


class Recipe(_Part):
    """One training."""

    name: str
    """Of the recipe; its run's folder is called so."""
    title: str
    """What it is, in a line."""
    config: str
    """The network's configuration."""
    start: str
    """``scratch``, ``imagenet``, or the name of the recipe whose weights it goes on from."""
    data: DataRecipe
    phases: tuple[Phase, ...] = Field(min_length=1)
    batch: int = Field(1, gt=0)
    """Clips a step; videos are read one at a time."""
    optimizer: OptimizerRecipe
    loss: LossRecipe = LossRecipe()
    average: float | None = Field(None, gt=0, lt=1)
    """Decay a step of the running average of the weights that is kept as the result; None keeps the last weights."""
    train_only: Literal["all", "alpha"] = "all"
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    seed: int = Field(0, ge=0)

    @field_validator("config")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in CONFIGS:
            raise ValueError(f"there is no configuration {value!r}; choose from {', '.join(CONFIGS)}")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        if self.data.kind == "video" and self.batch != 1:
            raise ValueError("videos are read one at a time, so the batch is 1")
        if self.loss.adversarial and any(phase.length != 1 for phase in self.phases):
            raise ValueError("the adversarial term is for single frames: every phase has length 1")
        return self

    @property
    def epochs(self) -> int:
        """Of all phases together."""
        return sum(phase.epochs for phase in self.phases)

    def phase_of(self, epoch: int) -> Phase:
        """The phase that an epoch, counted from 0, belongs to."""
        for phase in self.phases:
            if epoch < phase.epochs:
                return phase
            epoch -= phase.epochs
        return self.phases[-1]


def shipped() -> list[str]:
    """Names of the recipes that come with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_recipe(name: str, changes: dict[str, Any] | None = None) -> Recipe:
    """A shipped recipe by name, or a file's.

    Args:
        name: such as ``salema30``, or the path of a ``.yaml``.
        changes: values from the command line, nested as in the file, that replace the recipe's.

    Raises:
        InputError: there is no such recipe, or a value in it is wrong; the message names it.
    """
    try:
        return Recipe.model_validate(_merge(_read(name), changes or {}))
    except ValidationError as exc:
        first = exc.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the recipe"
        raise InputError(f"recipe {name}: {where}: {first['msg'].removeprefix('Value error, ')}") from exc


def _read(name: str, seen: tuple[Path, ...] = ()) -> dict[str, Any]:
    """A recipe's values, with those it is based on filled in."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else FOLDER / f"{name}.yaml"
    if not path.is_file():
        raise InputError(f"there is no recipe {name!r}; choose from {', '.join(shipped())}, or give a .yaml file")
    if path in seen:
        raise InputError(f"{path}: is based on itself")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as exc:
        raise InputError(f"{path}: not a YAML file ({str(exc).splitlines()[0]})") from exc
    if not isinstance(values, dict):
        raise InputError(f"{path}: a recipe is a table of values")
    base = values.pop("based_on", None)
    values = {"name": path.stem, **values}
    if base is None:
        return values
    if not str(base).endswith((".yaml", ".yml")) and (path.parent / f"{base}.yaml").is_file():
        base = str(path.parent / f"{base}.yaml")
    return _merge(_read(str(base), (*seen, path)), values)


def _merge(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """``over`` on top of ``under``; tables within tables are merged as well, everything else is replaced."""
    merged = dict(under)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged
