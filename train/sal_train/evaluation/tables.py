"""The paper's tables 1 to 4 as data (Linardos et al. 2019), to be printed beside what was measured here.

Every figure is an average per video (section 5). The paper's typing is kept, with two readings of ours: its marks for
"tuned on DHF1K" are yes and no here, and the citations are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

from sal_runtime.errors import InputError

Values = tuple[float, float, float, float, float]
"""AUC-J, sAUC, NSS, CC, SIM."""


@dataclass(frozen=True)
class PaperTable:
    """One table."""

    number: int
    """In the paper."""
    caption: str
    """What it shows, shortened."""
    keys: tuple[str, ...]
    """Headings of the columns before the metrics."""
    rows: tuple[tuple[tuple[str, ...], Values], ...]
    """Those columns, then the metrics."""
    dataset: str
    """Where it was measured."""


_TUNED = ("model", "tuned on DHF1K")

TABLES = {
    table.number: table
    for table in (
        PaperTable(
            1,
            "SalBCE, SalEMA and SalCLSTM",
            _TUNED,
            (
                (("SalBCE (baseline)", "no"), (0.874, 0.724, 2.047, 0.382, 0.268)),
                (("SalBCE", "yes"), (0.880, 0.632, 2.285, 0.420, 0.339)),
                (("SalEMA", "no"), (0.883, 0.734, 2.144, 0.400, 0.276)),
                (("SalEMA", "yes"), (0.883, 0.685, 2.402, 0.435, 0.349)),
                (("SalCLSTM", "yes"), (0.887, 0.693, 2.364, 0.435, 0.322)),
            ),
            "DHF1K val",
        ),
        PaperTable(
            2,
            "variants of SalEMA",
            _TUNED,
            (
                (("SalEMA30", "no"), (0.883, 0.734, 2.144, 0.400, 0.276)),
                (("SalEMA30", "yes"), (0.883, 0.685, 2.402, 0.435, 0.349)),
                (("SalEMA30 (dropout)", "yes"), (0.886, 0.690, 2.495, 0.450, 0.360)),
                (("SalEMA30 (residual)", "yes"), (0.875, 0.670, 2.274, 0.415, 0.339)),
                (("SalEMA61", "no"), (0.884, 0.737, 2.133, 0.399, 0.270)),
                (("SalEMA61", "yes"), (0.888, 0.681, 2.394, 0.438, 0.354)),
                (("SalEMA54", "no"), (0.883, 0.734, 2.149, 0.401, 0.274)),
                (("SalEMA7", "no"), (0.872, 0.656, 2.217, 0.409, 0.318)),
                (("SalEMA7&54", "yes"), (0.828, 0.561, 1.403, 0.366, 0.344)),
            ),
            "DHF1K val",
        ),
        PaperTable(
            3,
            "the state of the art",
            ("dataset", "model"),
            (
                (("DHF1K", "SalEMA"), (0.890, 0.667, 2.573, 0.449, 0.465)),
                (("DHF1K", "SalCLSTM"), (0.887, 0.693, 2.364, 0.435, 0.322)),
                (("DHF1K", "ACLnet"), (0.890, 0.601, 2.354, 0.434, 0.315)),
                (("DHF1K", "SalGAN"), (0.866, 0.709, 2.043, 0.370, 0.262)),
                (("DHF1K", "DVA"), (0.860, 0.595, 2.013, 0.358, 0.262)),
                (("Hollywood-2", "SalEMA"), (0.919, 0.708, 3.186, 0.613, 0.487)),
                (("Hollywood-2", "SalCLSTM"), (0.933, 0.715, 3.499, 0.672, 0.530)),
                (("Hollywood-2", "ACLnet"), (0.913, 0.757, 3.086, 0.623, 0.542)),
                (("Hollywood-2", "OM-CNN"), (0.887, 0.693, 2.313, 0.446, 0.356)),
                (("Hollywood-2", "DVA"), (0.860, 0.727, 2.459, 0.482, 0.372)),
                (("UCF-sports", "SalEMA"), (0.906, 0.740, 2.638, 0.544, 0.431)),
                (("UCF-sports", "SalCLSTM"), (0.914, 0.782, 3.063, 0.611, 0.477)),
                (("UCF-sports", "ACLnet"), (0.897, 0.744, 2.567, 0.510, 0.406)),
                (("UCF-sports", "DVA"), (0.872, 0.725, 2.311, 0.439, 0.339)),
                (("UCF-sports", "OM-CNN"), (0.870, 0.691, 2.089, 0.405, 0.321)),
            ),
            "the test splits",
        ),
        PaperTable(
            4,
            "sensitivity of SalEMA30 to alpha",
            ("alpha",),
            (
                (("0.05",), (0.886, 0.687, 2.470, 0.448, 0.358)),
                (("0.1",), (0.886, 0.690, 2.495, 0.450, 0.360)),
                (("0.2",), (0.885, 0.688, 2.476, 0.446, 0.358)),
                (("0.3",), (0.884, 0.685, 2.451, 0.442, 0.356)),
            ),
            "DHF1K val",
        ),
    )
}
"""Every table by its number."""


def paper_table(number: int) -> PaperTable:
    """A table of the paper.

    Raises:
        InputError: there is none of that number.
    """
    if number not in TABLES:
        raise InputError(f"the paper has no table {number}; choose from {', '.join(map(str, TABLES))}")
    return TABLES[number]
