"""What information gain is measured against: where people look whatever is shown."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from sal_runtime.arrays import AnyArray, Floats
from sal_runtime.errors import DataError
from sal_train.data.files import read_map
from sal_train.metrics import resize_bicubic

CENTER = "center"
"""The baseline that needs no file."""

SPREAD = 0.25
"""Standard deviation of the centred Gaussian, a share of the height and of the width. Of 0.15 to 0.35 in steps of 0.05
this one explains the fixations of OSIE's validation set best, so a gain over it is not cheap."""


class Baseline:
    """A density at every size it is asked for; each size is computed once."""

    def __init__(self, density: AnyArray | None, name: str) -> None:
        """Take a density [h, w], 0 or more, or None for the centred Gaussian; ``name`` stands in the results."""
        self.name = name
        self._density = density
        self._at: dict[tuple[int, int], Floats] = {}

    @classmethod
    def center(cls) -> Baseline:
        """A Gaussian at the centre with :data:`SPREAD`."""
        return cls(None, f"centred Gaussian, standard deviation {SPREAD:g} of each side")

    @classmethod
    def read(cls, what: str) -> Baseline:
        """``center``, a picture (such as the mean training map), or an ``.npz`` or ``.npy`` that holds one array.

        Raises:
            DataError: no such file, no picture, or an array that is no density with some contrast.
        """
        if what == CENTER:
            return cls.center()
        path = Path(what)
        density = _array(path) if path.suffix.lower() in (".npz", ".npy") else read_map(path)
        if density.ndim != 2 or density.dtype.kind not in "buif":
            raise DataError(f"{path}: a baseline is one map [height, width], not {density.dtype}{list(density.shape)}")
        if not np.isfinite(density).all() or density.min() < 0 or density.min() == density.max():
            raise DataError(f"{path}: a baseline is finite, not negative and not constant; make the map again")
        return cls(density, path.name)

    def at(self, height: int, width: int) -> Floats:
        """float32 [height, width]; several threads may ask at once."""
        found = self._at.get((height, width))
        if found is None:
            found = self._at[height, width] = self._make(height, width)
        return found

    def _make(self, height: int, width: int) -> Floats:
        if self._density is not None:
            resized = resize_bicubic(self._density, height, width)
            return np.maximum(resized, 0.0, out=resized)
        rows, columns = ((np.arange(n) + 0.5) / n - 0.5 for n in (height, width))
        squares = (rows[:, None] / SPREAD) ** 2 + (columns / SPREAD) ** 2
        gaussian: Floats = np.exp(-0.5 * squares).astype(np.float32)
        return gaussian


def _array(path: Path) -> AnyArray:
    """The one array of a NumPy file."""
    try:
        loaded = np.load(path, allow_pickle=False)
        if not isinstance(loaded, np.lib.npyio.NpzFile):
            return np.asarray(loaded)
        with loaded:
            if len(loaded.files) != 1:
                names = ", ".join(loaded.files)
                raise DataError(f"{path}: a baseline holds one array, this file {len(loaded.files)} ({names})")
            return np.asarray(loaded[loaded.files[0]])
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as exc:
        raise DataError(f"{path}: cannot be read as a NumPy file ({exc}); give another baseline") from exc
