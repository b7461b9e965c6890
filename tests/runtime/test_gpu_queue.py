"""The device queue through its real library, on a driver of make-believe: every call and its arguments are real."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sal_runtime.errors import InputError
from sal_runtime.gpu import device_index, open_queue

TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("a C compiler is needed to make the make-believe driver")
    folder = tmp_path_factory.mktemp("driver")
    library = folder / "libcuda.so.1"
    soname = "-Wl,-soname,libcuda.so.1"
    command = [compiler, "-shared", "-fPIC", "-O1", "-w", soname, "-o", library, TESTS / "fake_cuda.c", "-ldl"]
    subprocess.run([str(word) for word in command], check=True, timeout=60)
    return folder


def use(api: str, driver: Path | None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **({} if driver is None else {"LD_LIBRARY_PATH": str(driver)})}
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


@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="there is a driver here")
def test_without_a_driver_it_is_said() -> None:
    pytest.importorskip("cuda.core")
    done = use("cuda.core", None)
    assert "BackendError: no GPU can be used (NVIDIA's driver)" in done.stderr


def test_names_of_devices_and_apis() -> None:
    assert [device_index(name) for name in ("cuda", "cuda:0", "cuda:3")] == [0, 0, 3]
    for wrong in ("gpu", "cuda:", "cuda:-1", "cpu"):
        with pytest.raises(InputError, match=f"--device is cpu, cuda or cuda:N, not '{wrong}'"):
            device_index(wrong)
    with pytest.raises(InputError, match=r"there is no device API 'opencl'; choose from cuda\.core, pycuda"):
        open_queue(0, "opencl")
