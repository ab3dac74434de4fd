"""Every family of layers; importing this enters their rules."""

from keras_initscope.prediction import (
    activation,
    attention,
    convolution,
    dense,
    embedding,
    merging,
    normalization,
    operations,
    pooling,
    recurrent,
    regularization,
    reshaping,
    walk,
    wrappers,
)

__all__ = [
    "activation",
    "attention",
    "convolution",
    "dense",
    "embedding",
    "merging",
    "normalization",
    "operations",
    "pooling",
    "recurrent",
    "regularization",
    "reshaping",
    "walk",
    "wrappers",
]
