"""Configurations: their schema and ranges, and the rules of which choices go together."""

from paper_lenet.config.rules import ConfigError
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
)

__all__ = [
    "NOT_METHOD",
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
]
