"""Random numbers as a pure function of where they are used.

Nothing in training draws from a generator that lives on: whoever needs chance asks for the generator of one place, such
as (epoch 3, video 17). A resumed training therefore sees what an uninterrupted one saw, in any order and any process.
"""

from __future__ import annotations

import numpy as np


def generator(seed: int, *place: int) -> np.random.Generator:
    """The generator that belongs to one place; the same seed and place give the same numbers.

    Args:
        seed: the run's seed, 0 or more.
        place: whole numbers of 0 or more that name the place, the widest first, such as epoch, then index. Places of
            different lengths are different places, ``(1,)`` and ``(1, 0)`` too.
    """
    return np.random.default_rng(np.random.SeedSequence(entropy=seed, spawn_key=(len(place), *place)))
