"""The networks against the paper: layers, equations, and the one loop that training and streaming share."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import Tensor, nn

from sal_runtime.errors import InputError
from sal_train.models import CONFIGS, NetworkConfig, RecurrenceConfig, RecurrentNetwork, build_network, named_config
from sal_train.models.recurrence import EMA, ConvLSTM

PAPER = [name for name in CONFIGS if name.startswith("sal")]


def small(name: str, **changes: object) -> RecurrentNetwork:
    torch.manual_seed(0)
    return build_network(dataclasses.replace(named_config(name), width=0.25 if "compact" in name else 0.05, **changes))  # type: ignore[arg-type]


def pictures(*shape: int) -> Tensor:
    return torch.randint(0, 256, (*shape, 32, 48, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("name", "parameters", "tensors"),
    # facts of the released checkpoints: 31,787,010 with SalEMA's alpha, 50,663,425 for SalCLSTM30
    [("salbce", 31_787_009, 54), ("salema30-learnt", 31_787_010, 55), ("salclstm30", 50_663_425, 56)],
)
def test_sizes_are_the_released_ones(name: str, parameters: int, tensors: int) -> None:
    network = build_network(named_config(name))
    assert sum(p.numel() for p in network.parameters()) == parameters
    assert len(network.state_dict()) == tensors


def test_the_table_of_layers() -> None:
    layers = build_network(named_config("salbce")).get_submodule("salgan")
    assert isinstance(layers, nn.ModuleList)
    kinds = [type(layer).__name__ for layer in layers]
    convolutions = [
        0,
        2,
        5,
        7,
        10,
        12,
        14,
        17,
        19,
        21,
        24,
        26,
        28,
        30,
        32,
        34,
        37,
        39,
        41,
        44,
        46,
        48,
        51,
        53,
        56,
        58,
        60,
    ]
    assert [i for i, kind in enumerate(kinds) if kind == "Conv2d"] == convolutions
    assert [i for i, kind in enumerate(kinds) if kind == "MaxPool2d"] == [4, 9, 16, 23]
    assert [i for i, kind in enumerate(kinds) if kind == "Upsample"] == [36, 43, 50, 55]
    assert (len(kinds), kinds[61]) == (62, "Sigmoid")


def test_there_is_a_configuration_for_every_row_of_the_tables() -> None:
    assert set(PAPER) == {
        "salbce", "salema30", "salema30-dropout", "salema30-residual", "salema61", "salema54", "salema7", "salema7-54",
        "salema30-learnt", "salclstm30", "salclstm30-peephole",
    }  # fmt: skip
    assert [r.alpha for r in named_config("salema7-54").recurrences] == [0.3, 0.3]
    with pytest.raises(InputError, match="there is no configuration 'salema31'; choose from salbce, salema30"):
        named_config("salema31")


@pytest.mark.parametrize("name", CONFIGS)
def test_a_clip_is_its_steps(name: str) -> None:
    network = small(name).eval()
    frames = pictures(2, 3)
    with torch.no_grad():
        clip, *after = network.clip(frames)
        states = network.initial_states(2, 32, 48)
        for index in range(3):
            carry = network.normal_carry(2) if index else torch.zeros(2, 1)
            saliency, *states = network.step(frames[:, index], carry, *states)  # type: ignore[assignment]
            assert torch.equal(saliency, clip[:, index])
    assert all(torch.equal(a, b) for a, b in zip(after, states, strict=True))
    assert [s.shape[1:] for s in states] == network.state_shapes(32, 48)
    assert (float(clip.min()) >= 0.0, float(clip.max()) <= 1.0) == (True, True)


@pytest.mark.parametrize("name", CONFIGS)
def test_two_clips_with_the_state_between_are_one(name: str) -> None:
    network = small(name).eval()
    frames = pictures(1, 4)
    with torch.no_grad():
        whole, *_ = network.clip(frames)
        first, *states = network.clip(frames[:, :2])
        second, *_ = network.clip(frames[:, 2:], *states) if states else network.clip(frames[:, 2:])
    assert torch.allclose(whole, torch.cat([first, second], dim=1), atol=1e-6)


@pytest.mark.parametrize("name", CONFIGS)
def test_every_parameter_learns_from_a_clip(name: str) -> None:
    network = small(name)
    maps, *_ = network.clip(pictures(2, 3))
    weights = {name: p for name, p in network.named_parameters() if "bias" not in name}
    gradients = torch.autograd.grad(maps.sum(), list(weights.values()))
    assert not [name for name, gradient in zip(weights, gradients, strict=True) if not gradient.abs().sum() > 0]


def scalar(value: float) -> Tensor:
    return torch.full((1, 1, 1, 1), value)


def test_equation_6_and_the_first_frame() -> None:
    """alpha = 0.1 after a state of 1 and a layer that gives 3: 0.1 * 3 + 0.9 * 1 = 1.2; with carry 0 just 3."""
    ema = EMA(RecurrenceConfig("ema", 0, alpha=0.1))
    carry = (1.0 - ema.alpha()).view(1, 1)
    onward, state = ema(nn.Identity(), scalar(3.0), carry, scalar(1.0))
    assert (float(onward), float(state)) == pytest.approx((1.2, 1.2))
    assert float(ema(nn.Identity(), scalar(3.0), torch.zeros(1, 1), scalar(1.0))[0]) == 3.0


def test_equation_8_learns_its_alpha() -> None:
    """sigmoid(0) = 0.5 at the start; d/dp of a*3 + (1-a)*1 is 2 * a * (1-a) = 0.5."""
    ema = EMA(RecurrenceConfig("ema", 0, alpha=0.5, learnt=True))
    onward, _ = ema(nn.Identity(), scalar(3.0), (1.0 - ema.alpha()).view(1, 1), scalar(1.0))
    (gradient,) = torch.autograd.grad(onward.sum(), ema.raw_alpha)
    assert float(onward) == pytest.approx(2.0)
    assert float(ema.raw_alpha) == 0.0
    assert float(gradient) == pytest.approx(0.5)


def test_the_residual_passes_by_the_average_and_stays_out_of_the_state() -> None:
    ema = EMA(RecurrenceConfig("ema", 0, alpha=0.5, residual=True))
    onward, state = ema(nn.Identity(), scalar(3.0), torch.full((1, 1), 0.5), scalar(1.0))
    assert (float(onward), float(state)) == (5.0, 2.0)


def test_dropout_drops_channels_in_training_only() -> None:
    ema = EMA(RecurrenceConfig("ema", 0, dropout=0.5))
    x, before = torch.ones(1, 64, 2, 2), torch.zeros(1, 64, 2, 2)
    torch.manual_seed(0)
    _, state = ema(nn.Identity(), x, torch.zeros(1, 1), before)
    assert set(state.flatten().tolist()) == {0.0, 2.0}
    assert bool((state.flatten(2).std(2) == 0).all()), "whole channels"
    _, state = ema.eval()(nn.Identity(), x, torch.zeros(1, 1), before)
    assert bool((state == 1.0).all())


def test_equations_1_to_5() -> None:
    """One channel, one pixel; only the kernels' centres meet the picture. Gates in the order u, f, o, cell."""
    lstm = ConvLSTM(RecurrenceConfig("convlstm", 0, peephole=True), channels=1)
    from_s, from_h, bias = (0.5, -0.3, 0.2, 0.7), (0.1, 0.4, -0.6, 0.3), (0.01, 0.02, 0.03, 0.04)
    peephole = (0.2, -0.1, 0.3)
    with torch.no_grad():
        lstm.gates.weight.zero_()
        lstm.gates.weight[:, 0, 1, 1] = torch.tensor(from_s)
        lstm.gates.weight[:, 1, 1, 1] = torch.tensor(from_h)
        assert lstm.gates.bias is not None
        lstm.gates.bias[:] = torch.tensor(bias)
        lstm.peephole[:, 0, 0, 0] = torch.tensor(peephole)
        s, h, c = 2.0, 0.5, -1.5
        onward, hidden, cell = lstm(nn.Identity(), scalar(s), torch.ones(1, 1), scalar(h), scalar(c))

    def sigmoid(x: float) -> float:
        return 1.0 / (1.0 + math.exp(-x))

    linear = [ws * s + wh * h + b for ws, wh, b in zip(from_s, from_h, bias, strict=True)]
    u, f, o = (sigmoid(value + p * c) for value, p in zip(linear[:3], peephole, strict=True))
    expected_cell = f * c + u * math.tanh(linear[3])
    assert float(cell) == pytest.approx(expected_cell, rel=1e-5)
    assert float(hidden) == pytest.approx(o * math.tanh(expected_cell), rel=1e-5)
    assert float(onward) == float(cell), "the decoder receives the cell"


def test_carry_0_makes_a_convlstm_forget() -> None:
    network = small("salclstm30-peephole").eval()
    frame = pictures(1)
    noise = tuple(torch.randn_like(s) for s in network.initial_states(1, 32, 48))
    with torch.no_grad():
        fresh = network.step(frame, torch.ones(1, 1), *network.initial_states(1, 32, 48))
        restarted = network.step(frame, torch.zeros(1, 1), *noise)
    assert all(torch.equal(a, b) for a, b in zip(fresh, restarted, strict=True))


def test_two_alphas_share_one_carry() -> None:
    """After three intervals the first EMA keeps 0.9 ** 3 and the second 0.7 ** 3, from the one input 0.9 ** 3."""
    config = NetworkConfig("two", (RecurrenceConfig("ema", 7, 0.1), RecurrenceConfig("ema", 54, 0.3)), width=0.05)
    network = build_network(config)
    carries = network._own_carries(torch.tensor([[0.9**3], [0.0]]))
    assert carries[0].flatten().tolist() == pytest.approx([0.729, 0.0])
    assert carries[1].flatten().tolist() == pytest.approx([0.343, 0.0], abs=1e-6)


def test_slots_of_a_batch_do_not_meet() -> None:
    network = small("salema30").eval()
    frames = pictures(2)
    states = tuple(torch.randn_like(s) for s in network.initial_states(2, 32, 48))
    with torch.no_grad():
        both = network.step(frames, torch.tensor([[0.9], [0.0]]), *states)
        alone = network.step(frames[1:], torch.zeros(1, 1), *(s[1:] for s in states))
    assert all(torch.allclose(a[1:], b, rtol=1e-4, atol=1e-3) for a, b in zip(both, alone, strict=True))


def test_configurations_survive_json() -> None:
    for config in CONFIGS.values():
        assert NetworkConfig.from_json(config.to_json(), "here") == config


@pytest.mark.parametrize(("name", "gmac"), [("salema30", 39.96), ("compact-ema", 0.201), ("compact-clstm", 0.428)])
def test_the_weight_of_a_frame(name: str, gmac: float) -> None:
    """Multiplications of the convolutions at 192x256, as documented; the compact one's bound is 0.5."""
    from torch.utils.flop_counter import FlopCounterMode

    network = build_network(named_config(name)).eval()
    frame = torch.zeros(1, 192, 256, 3, dtype=torch.uint8)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network.step(frame, torch.zeros(1, 1), *network.initial_states(1, 192, 256))
    assert counter.get_total_flops() / 2e9 == pytest.approx(gmac, rel=0.01)
