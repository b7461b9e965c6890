"""The runtime where things are missing: torch and onnx (it needs neither), and libraries of the system."""

import subprocess
import sys
from pathlib import Path

import pytest

from tiny import write_clip, write_ema_artifact

_WITHOUT = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {names}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
"""


def test_it_runs_without_torch_and_onnx(tmp_path: Path) -> None:
    write_ema_artifact(tmp_path / "m.onnx")
    clip, out = write_clip(tmp_path / "clip.avi"), tmp_path / "o.mp4"
    program = _WITHOUT.format(names={"torch", "onnx", "torchvision", "safetensors", "onnxscript", "skimage"})
    program += (
        f"sys.argv = ['sal-run', {str(tmp_path / 'm.onnx')!r}, '--source', {str(clip)!r}, '--save', {str(out)!r}]\n"
    )
    program += "from sal_runtime.__main__ import main\nmain()\n"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert out.stat().st_size > 0


@pytest.mark.parametrize(
    ("absent", "command", "sentence"),
    [
        (
            "skimage",
            ["sal_runtime", "m.onnx", "--source", "demo"],
            "skimage is not installed: pip install 'sal-edge[demo]'",
        ),
        ("torch", ["sal_export", "--config", "salema30"], "torch is not installed: pip install 'sal-edge[export]'"),
        ("cv2", ["sal_runtime", "m.onnx", "--source", "demo"], "OpenCV is not installed: pip install opencv-python"),
    ],
)
def test_a_missing_extra_gives_one_sentence(tmp_path: Path, absent: str, command: list[str], sentence: str) -> None:
    write_ema_artifact(tmp_path / "m.onnx")
    program = _WITHOUT.format(names={absent})
    program += f"import runpy\nsys.argv = {command!r}\nrunpy.run_module({command[0]!r}, run_name='__main__')\n"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert sentence in done.stderr


def test_a_system_without_libgl_is_told_what_to_install(tmp_path: Path) -> None:
    """The loader finds a file of that name which is no library, as it finds none on a bare server."""
    (tmp_path / "libGL.so.1").write_text("not a library")
    program = "from sal_runtime.__main__ import main; main()"
    environment = {"LD_LIBRARY_PATH": str(tmp_path), "PATH": "/usr/bin:/bin"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, env=environment)
    if "Usage" in done.stdout + done.stderr or "say where frames" in done.stderr:
        pytest.skip("this OpenCV does not link libGL (a headless build)")
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert "libGL.so.1" in done.stderr
    assert "apt-get install libgl1" in done.stderr
    assert "pip install opencv-python-headless" in done.stderr
