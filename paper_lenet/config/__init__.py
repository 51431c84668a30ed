"""Configurations: their schema and ranges, and the rules of which choices go together."""

from paper_lenet.config.rules import OWN, ConfigError
from paper_lenet.config.schema import (
    NOT_METHOD,
    Config,
    DataConfig,
    DistortConfig,
    EngineConfig,
    InitConfig,
    LossConfig,
    ModelConfig,
    OptimConfig,
    WindowsConfig,
    not_method,
)

__all__ = [
    "NOT_METHOD",
    "OWN",
    "Config",
    "ConfigError",
    "DataConfig",
    "DistortConfig",
    "EngineConfig",
    "InitConfig",
    "LossConfig",
    "ModelConfig",
    "OptimConfig",
    "WindowsConfig",
    "not_method",
]
