"""An artifact to an engine that was proved: built aside, run beside its reference where there is a GPU, put in place.

Nothing here needs PyTorch, so that a device without it builds its own engines from an ``.onnx``.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sal_export.parity import FRAMES, Parity, check_parity, parity_frames, require_parity
from sal_runtime.atomic import claim, writing
from sal_runtime.backends import Backend, OnBuild, Options, open_backend, silent
from sal_runtime.backends.onnx_metadata import read_manifest
from sal_runtime.gpu import device_index
from sal_runtime.sources import public_name
from sal_runtime.trt.library import Library
from sal_runtime.trt.making import gpu_here, make_engine
from sal_runtime.trt.options import BuildOptions
from sal_runtime.trt.sidecar import EngineRecord, record_path


@dataclass(frozen=True)
class EngineOptions:
    """What a user may ask of an engine's making."""

    build: BuildOptions = dataclasses.field(default_factory=BuildOptions)
    device: str = "cuda"
    device_api: str = "cuda.core"
    parity_source: str = "demo"
    parity_frames: int = FRAMES
    exist_ok: bool = False
    made_by: tuple[str, ...] = ()
    """The command that makes it, without its output, where that is another than building it from the artifact."""


def export_engine(
    onnx: Path,
    engine: Path,
    library: Library,
    options: EngineOptions | None = None,
    reference: Backend | None = None,
    on_build: OnBuild = silent,
    on_frame: Callable[[], None] = lambda: None,
) -> tuple[EngineRecord, Parity | None]:
    """Build ``engine`` from ``onnx`` and prove it.

    Args:
        onnx: an artifact; it lies beside the engine afterwards or not, as the caller likes.
        engine: the file to be.
        library: what builds and runs it.
        options: see there.
        reference: what it is held against; by default the artifact on the CPU.
        on_build: told of the build's phases.
        on_frame: called after each frame of the check.

    Returns:
        the record, and the check's result; None where there is no GPU to run the engine on. The record then keeps what
        was found of the artifact.

    Raises:
        SalError: the artifact is refused, the engine cannot be built or does not agree; nothing is left behind.
    """
    options = options or EngineOptions()
    for path in (engine, record_path(engine)):
        claim(path, options.exist_ok)
    # Before the build, which may take minutes that a clip that cannot be read would waste.
    size = read_manifest(onnx).frame_size
    parity_frames(options.parity_source, 1, *size)
    with (
        gpu_here(device_index(options.device), options.device_api) as gpu,
        writing(engine),
        tempfile.TemporaryDirectory(dir=engine.absolute().parent, prefix=f".{engine.stem}.") as folder,
    ):
        made = Path(folder) / engine.name
        record = make_engine(onnx, made, library, gpu, options.build, on_phase=on_build, made_by=options.made_by)
        parity = None if gpu is None else _prove(onnx, made, library, options, size, reference, on_frame)
        if parity is not None:
            require_parity(parity, str(engine))
            record = dataclasses.replace(record, manifest=dataclasses.replace(record.manifest, parity=parity.to_dict()))
            record_path(made).write_text(record.to_json(), encoding="utf-8")
        engine.with_name(f"{engine.name}.kernels").unlink(missing_ok=True)  # of an engine that was here before
        for name in sorted(Path(folder).iterdir(), key=lambda path: path.suffix == ".engine"):
            if name.name.startswith(engine.name):  # the engine last, beside it its record and what the check compiled
                name.replace(engine.absolute().with_name(name.name))
    return record, parity


def _prove(
    onnx: Path,
    engine: Path,
    library: Library,
    options: EngineOptions,
    size: tuple[int, int],
    reference: Backend | None,
    on_frame: Callable[[], None],
) -> Parity:
    """The engine run over a clip beside its reference."""
    against = reference or open_backend(onnx, "onnxruntime")
    try:
        return check_parity(
            against,
            engine,
            parity_frames(options.parity_source, options.parity_frames, *size),
            public_name(options.parity_source),
            backend="tensorrt-rtx" if library.rtx else "tensorrt",
            on_frame=on_frame,
            options=Options(device=options.device, device_api=options.device_api),
        )
    finally:
        if reference is None:
            against.close()
