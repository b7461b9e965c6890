"""Checkpoints of our own, and the released ``.pt`` files in every form, made here with small networks."""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from sal_runtime.errors import CheckpointError, OutputError
from sal_train.checkpoint import load_checkpoint, save_checkpoint, weights_sha256
from sal_train.models import NetworkConfig, RecurrenceConfig, RecurrentNetwork, build_network, named_config
from sal_train.released import import_released
from sal_train.weights import load_weights

WIDTH = 1 / 16


def small(name: str) -> RecurrentNetwork:
    torch.manual_seed(3)
    return build_network(dataclasses.replace(named_config(name), width=WIDTH))


def released(network: RecurrentNetwork, prefix: str = "salgan.") -> dict[str, Tensor]:
    """The weights under the names of the released files."""
    names = {"recurrences.30.gates.weight": "Gates.weight", "recurrences.30.gates.bias": "Gates.bias"}
    names["recurrences.30.raw_alpha"] = "alpha"
    return {names.get(n, n.replace("salgan.", prefix)): t.clone() for n, t in network.state_dict().items()}


def same(one: RecurrentNetwork, other: RecurrentNetwork) -> bool:
    a, b = one.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("name", ["salbce", "salema30-learnt", "salclstm30-peephole"])
def test_a_checkpoint_says_itself_what_it_is(tmp_path: Path, name: str) -> None:
    network = small(name)
    save_checkpoint(network, tmp_path / "any name.safetensors")
    again = load_checkpoint(tmp_path / "any name.safetensors")
    assert again.config == network.config
    assert same(again, network)
    assert weights_sha256(again) == weights_sha256(network)
    assert not again.training


def test_weights_in_another_configuration(tmp_path: Path) -> None:
    """SalBCE's weights as SalEMA30, the paper's "not tuned" rows; the width is the checkpoint's."""
    network, path = small("salbce"), tmp_path / "c.safetensors"
    save_checkpoint(network, path)
    again = load_checkpoint(path, named_config("salema30"))
    assert again.config == dataclasses.replace(named_config("salema30"), width=WIDTH)
    assert same(again, network)
    with pytest.raises(CheckpointError, match=r"as salema30-learnt it lacks recurrences\.30\.raw_alpha$"):
        load_checkpoint(path, named_config("salema30-learnt"))
    with pytest.raises(CheckpointError, match=r"as compact-ema it lacks .* more"):
        load_checkpoint(path, named_config("compact-ema"))


def test_the_name_of_its_own_configuration_changes_nothing(tmp_path: Path) -> None:
    """A checkpoint trained with another alpha keeps it, as it keeps everything that a name does not tell."""
    recurrence = RecurrenceConfig("ema", 30, alpha=0.2)
    config = NetworkConfig("salema30", (recurrence,), width=WIDTH, reference_fps=24.0)
    save_checkpoint(build_network(config), tmp_path / "c.safetensors")
    network, origin = load_weights(tmp_path / "c.safetensors", "salema30")
    assert (network.config, origin) == (config, {"checkpoint": "c.safetensors"})


def test_an_existing_checkpoint_is_kept(tmp_path: Path) -> None:
    (tmp_path / "c.safetensors").write_text("precious")
    with pytest.raises(OutputError, match="exists and is kept"):
        save_checkpoint(small("salbce"), tmp_path / "c.safetensors")


def test_files_that_are_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="there is no such file"):
        load_checkpoint(tmp_path / "absent.safetensors")
    (tmp_path / "text.safetensors").write_text("hello hello hello")
    with pytest.raises(CheckpointError, match="not a safetensors file, or damaged"):
        load_checkpoint(tmp_path / "text.safetensors")
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match="carries no sal-edge configuration"):
        load_checkpoint(tmp_path / "other.safetensors")
    save_file({"a": torch.zeros(1)}, tmp_path / "odd.safetensors", {"sal_edge_config": '{"name": 1}'})
    with pytest.raises(CheckpointError, match="its configuration cannot be read"):
        load_checkpoint(tmp_path / "odd.safetensors")
    config = small("salbce").config.to_json()
    save_file({"a": torch.zeros(1)}, tmp_path / "empty.safetensors", {"sal_edge_config": config})
    with pytest.raises(CheckpointError, match=r"as salbce it lacks salgan\.0\.bias, .* and 51 more"):
        load_checkpoint(tmp_path / "empty.safetensors")


FORMS: dict[str, Any] = {
    "training state around": lambda t: {"epoch": 7, "state_dict": t, "optimizer": {"state": {0: {"exp_avg": t}}}},
    "state_dict only": lambda t: {"state_dict": t},
    "bare": lambda t: t,
}


@pytest.mark.parametrize("prefix", ["salgan.", "", "module.salgan.", "module.module.", "module.module.module.salgan."])
@pytest.mark.parametrize("form", FORMS)
def test_released_files_import_without_remainder(tmp_path: Path, form: str, prefix: str) -> None:
    network = small("salema30")
    torch.save(FORMS[form](released(network, prefix)), tmp_path / "SalEMA30.pt")
    again = import_released(tmp_path / "SalEMA30.pt", named_config("salema30"))
    assert same(again, network)
    assert again.config.recurrences[0].alpha == 0.1, "the paper's, not the sigmoid of it"


def test_released_files_of_old_pytorch(tmp_path: Path) -> None:
    network = small("salbce")
    torch.save({"state_dict": released(network, "")}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    assert same(import_released(tmp_path / "old.pt", named_config("salbce")), network)


@pytest.mark.parametrize("shape", [(), (1,)])
def test_a_learnt_alpha_is_kept_raw(tmp_path: Path, shape: tuple[int, ...]) -> None:
    network = small("salema30-learnt")
    tensors = {**released(network), "alpha": torch.full(shape, -1.7526)}
    torch.save(tensors, tmp_path / "learnt.pt")
    again = import_released(tmp_path / "learnt.pt")
    assert float(again.state_dict()["recurrences.30.raw_alpha"]) == pytest.approx(-1.7526)
    assert 1 - again.normal_carry(1).item() == pytest.approx(0.1477, abs=1e-4), "the paper's final value"


def test_a_convlstm_is_recognised(tmp_path: Path) -> None:
    network = small("salclstm30")
    torch.save({"epoch": 1, "state_dict": released(network, "module.salgan.")}, tmp_path / "c.pt")
    assert same(import_released(tmp_path / "c.pt"), network)


def test_released_files_that_do_not_fit(tmp_path: Path) -> None:
    tensors = released(small("salema30"))
    torch.save(tensors, tmp_path / "ema.pt")
    with pytest.raises(CheckpointError, match="do not tell which network it is; say it with --config"):
        import_released(tmp_path / "ema.pt")
    with pytest.raises(CheckpointError, match=r"as salclstm30 it lacks recurrences\.30\.gates\.bias"):
        import_released(tmp_path / "ema.pt", named_config("salclstm30"))
    torch.save({**tensors, "extra.weight": torch.zeros(1)}, tmp_path / "more.pt")
    with pytest.raises(CheckpointError, match=r"has left over extra\.weight"):
        import_released(tmp_path / "more.pt", named_config("salema30"))
    torch.save({**tensors, "salgan.2.weight": torch.zeros(1, 1, 3, 3)}, tmp_path / "odd.pt")
    with pytest.raises(
        CheckpointError, match=r"misshapen tensors: salgan\.2\.weight is \[1, 1, 3, 3\], not \[4, 4, 3, 3\]"
    ):
        import_released(tmp_path / "odd.pt", named_config("salema30"))
    torch.save({"epoch": 3}, tmp_path / "none.pt")
    with pytest.raises(CheckpointError, match="holds no table of weights"):
        import_released(tmp_path / "none.pt", named_config("salema30"))
    (tmp_path / "text.pt").write_text("hello")
    with pytest.raises(CheckpointError, match=r"(cannot be read as|not) a PyTorch checkpoint"):
        import_released(tmp_path / "text.pt", named_config("salema30"))


class _Bomb:
    """Unpickled by plain pickle, it would write a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("zipped", [True, False])
def test_no_pickle_is_ever_executed(tmp_path: Path, zipped: bool) -> None:
    mark = tmp_path / "it ran"
    torch.save({"state_dict": _Bomb(mark)}, tmp_path / "bomb.pt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match="would run code, which is refused"):
        import_released(tmp_path / "bomb.pt", named_config("salema30"))
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(_Bomb(mark)))
    with pytest.raises(CheckpointError):
        import_released(tmp_path / "plain.pt", named_config("salema30"))
    assert not mark.exists()
