"""``--fold auto``: the form of the upsampling fold that was measured to be the fastest where the artifact is to run."""

from __future__ import annotations

from sal_export.options import FOLD_FORMS, FoldForm, for_tensorrt
from sal_runtime.backends.measured import computed_in, processor_kind, rows_for


def choose_fold(network: str, precision: str, target: str, processor: str = "") -> tuple[FoldForm, str]:
    """The form and why it.

    Args:
        network: the architecture.
        precision: of the artifact.
        target: one of :data:`sal_export.options.TARGETS`.
        processor: its kind; by default this machine's.
    """
    if for_tensorrt(target):
        # A plain convolution and a reordering are what every version of TensorRT has int8 and fp16 kernels for.
        return ("shuffle" if precision in ("int8", "fp8") else "transposed"), "not measured in TensorRT"
    processor = processor or processor_kind()
    engine, _, bf16 = target.partition("-")
    computed = bf16 or computed_in(precision)
    rows, where = rows_for(network, computed, processor)
    fitting = [row for row in rows if engine in ("cpu", row.engine)]
    if not fitting:
        return "transposed", f"{network} in {computed} was not measured on {processor}"
    best = min(fitting, key=lambda row: row.ms)
    plain = [row.ms for row in fitting if (row.fold, row.engine) == ("none", best.engine)]
    told = f" against {plain[0]:.3g} unfolded" if plain else ""
    form = next(form for form in FOLD_FORMS if form == best.fold)
    return form, f"measured {best.ms:.3g} ms{told} in {best.engine} {computed} on {where}"
