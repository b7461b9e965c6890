"""The device queue through its real library, on a driver of make-believe: every call and its arguments are real."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from sal_runtime.errors import InputError
from sal_runtime.gpu import device_index, open_queue

TESTS = Path(__file__).parents[1]


def make_driver(folder: Path, names: Iterable[str] = ()) -> Path:
    """The driver's library in that folder; ``names`` are further functions that it has, and that do nothing."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("a C compiler is needed to make the make-believe driver")
    source = (TESTS / "fake_cuda.c").read_text(encoding="utf-8")
    known = set(re.findall(r"^R (cu\w+)\(", source, re.MULTILINE))
    source += "".join(f"R {name}(void) {{ return NOT_SUPPORTED; }}\n" for name in sorted(set(names) - known))
    (folder / "driver.c").write_text(source, encoding="utf-8")
    made = ["-o", str(folder / "libcuda.so.1"), str(folder / "driver.c"), "-ldl"]
    command = [compiler, "-shared", "-fPIC", "-O1", "-w", "-Wl,-soname,libcuda.so.1", *made]
    subprocess.run(command, check=True, timeout=60)
    return folder


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_driver(tmp_path_factory.mktemp("driver"))


def use(api: str, driver: Path | None) -> subprocess.CompletedProcess[str]:
    places = [*([] if driver is None else [str(driver)]), *os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)]
    environment = {**os.environ, "LD_LIBRARY_PATH": os.pathsep.join(filter(None, places))}
    command = [sys.executable, str(TESTS / "queue_on_fake_cuda.py"), api]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)


def test_cuda_core(driver: Path) -> None:
    pytest.importorskip("cuda.core", reason="cuda-core has wheels for Linux and Windows only")
    done = use("cuda.core", driver)
    assert done.returncode == 0, done.stderr[-2000:]
    memory, absent, last = done.stdout.splitlines()
    assert memory.startswith("the GPU has no 1099511.6 MB for this stream: CUDA_ERROR_OUT_OF_MEMORY")
    assert absent == "no GPU can be used (NVIDIA's driver): device_id must be within [0, 1), got 3"
    assert last == "done"


def test_pycuda(tmp_path: Path) -> None:
    found = importlib.util.find_spec("pycuda")
    if found is None or found.origin is None:
        pytest.skip("pycuda is built from source, with CUDA's compiler: it is not among what the tests install")
    (extension,) = Path(found.origin).parent.glob("_driver*.so")
    listed = subprocess.run(["nm", "-D", "--undefined-only", extension], capture_output=True, text=True, check=True)
    done = use("pycuda", make_driver(tmp_path, re.findall(r"\bU (cu[A-Z]\w+)", listed.stdout)))
    assert done.returncode == 0, done.stderr[-2000:]
    graphs, memory, absent, last = done.stdout.splitlines()
    assert graphs == "pycuda has no CUDA graphs; --device-api cuda.core has them"
    assert memory.startswith("the GPU has no 1099511.6 MB for this stream: cuMemAlloc failed: out of memory")
    assert absent.startswith("no GPU can be used (NVIDIA's driver): cuDeviceGet failed")
    assert last == "done"


@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="there is a driver here")
def test_without_a_driver_it_is_said() -> None:
    pytest.importorskip("cuda.core")
    done = use("cuda.core", None)
    assert "NoGpu: no GPU can be used (NVIDIA's driver)" in done.stderr


def test_names_of_devices_and_apis() -> None:
    assert [device_index(name) for name in ("cuda", "cuda:0", "cuda:3")] == [0, 0, 3]
    for wrong in ("gpu", "cuda:", "cuda:-1", "cpu"):
        with pytest.raises(InputError, match=f"--device is cpu, cuda or cuda:N, not '{wrong}'"):
            device_index(wrong)
    with pytest.raises(InputError, match=r"there is no device API 'opencl'; choose from cuda\.core, pycuda"):
        open_queue(0, "opencl")
