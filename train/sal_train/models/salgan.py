"""The paper's network: 62 layers in one row and recurrences at indices (section 3)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from sal_train.models.config import NetworkConfig
from sal_train.models.layers import build_layers, channels_and_stride
from sal_train.models.recurrence import EMA, ConvLSTM
from sal_train.models.recurrent import RecurrentNetwork


class SalNetwork(RecurrentNetwork):
    """SalBCE, SalEMA or SalCLSTM, as its configuration says."""

    def __init__(self, config: NetworkConfig) -> None:
        layers = build_layers(config.width)
        # An EMA's state is its layer's output; a ConvLSTM stands before its layer. Kept, since folding changes layers.
        outputs = [channels_and_stride(layers, r.index - (r.kind == "convlstm")) for r in config.recurrences]
        super().__init__(
            config,
            [
                EMA(r) if r.kind == "ema" else ConvLSTM(r, channels)
                for r, (channels, _) in zip(config.recurrences, outputs, strict=True)
            ],
            outputs,
        )
        self.salgan = layers
        _initialise(self)

    def pass_through(
        self, x: Tensor, carries: Sequence[Tensor], states: Sequence[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """All layers in order; a layer with a recurrence hands itself to it."""
        waiting, share, after = list(states), iter(carries), []
        for index, layer in enumerate(self.salgan):
            if str(index) not in self.recurrences:
                x = layer(x)
                continue
            recurrence = self.recurrences[str(index)]
            assert isinstance(recurrence, EMA | ConvLSTM)
            own = [waiting.pop(0) for _ in range(recurrence.states)]
            x, *own = recurrence(layer, x, next(share), *own)
            after += own
        return x, after


def _initialise(network: SalNetwork) -> None:
    """Weights before any training: He for what feeds a ReLU, Xavier for the LSTM (section 4), zero biases.

    The last layer is made small where features keep the magnitude of unscaled pixels all the way (a ConvLSTM's cell
    does not): its sigmoid would else be saturated, the gradient nil and a map black or white.
    """
    for layer in network.salgan:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias) if layer.bias is not None else None
    lstms = [module for module in network.recurrences.values() if isinstance(module, ConvLSTM)]
    last = network.salgan[-2]
    if isinstance(last, nn.Conv2d) and not lstms:
        last.weight.data.mul_(1.0 / 64.0)
    for lstm in lstms:
        nn.init.xavier_normal_(lstm.gates.weight)
        if lstm.gates.bias is not None:
            nn.init.zeros_(lstm.gates.bias)
