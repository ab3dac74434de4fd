"""Every family of layers; importing this enters their rules."""

from keras_initscope.prediction import (
    activation,
    convolution,
    dense,
    embedding,
    merging,
    normalization,
    operations,
    pooling,
    regularization,
    reshaping,
    walk,
)

__all__ = [
    "activation",
    "convolution",
    "dense",
    "embedding",
    "merging",
    "normalization",
    "operations",
    "pooling",
    "regularization",
    "reshaping",
    "walk",
]
