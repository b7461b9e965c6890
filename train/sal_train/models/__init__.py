"""The networks. ``build_network(named_config("salema30"))`` is the way in."""

from sal_train.models.compact import CompactNetwork
from sal_train.models.config import CONFIGS, NetworkConfig, RecurrenceConfig, named_config
from sal_train.models.recurrent import PIXEL_MEAN, RecurrentNetwork
from sal_train.models.salgan import SalNetwork

__all__ = [
    "CONFIGS",
    "PIXEL_MEAN",
    "CompactNetwork",
    "NetworkConfig",
    "RecurrenceConfig",
    "RecurrentNetwork",
    "SalNetwork",
    "build_network",
    "named_config",
]


def build_network(config: NetworkConfig) -> RecurrentNetwork:
    """The network of a configuration, with initial weights drawn from torch's global generator."""
    return CompactNetwork(config) if config.architecture == "compact" else SalNetwork(config)
