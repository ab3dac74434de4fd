"""Kinds of layers whose kernels mislead about their fans, and the variance of what comes out.

Each row: how a layer is made with a kernel initializer of its own, and the shape of its inputs,
`None` for tokens. Keras' `VarianceScaling(1, "fan_in")` should give all of them an output of unit
variance and gives some of them .02 to 4 times that.
"""

import keras
import numpy as np

from keras_initscope import reinitialize

L = keras.layers
TOKENS = 50
LENGTHS = {1: (16,), 2: (8, 8), 3: (5, 5, 5)}  # by the number of spatial axes


def starts():
    """Keras' own, under which an output variance should be one."""
    return keras.initializers.VarianceScaling(1.0, "fan_in", "untruncated_normal")


def _transposed(rank, stride, padding):
    kind, channels = getattr(L, f"Conv{rank}DTranspose"), (32, 32, 16)[rank - 1]

    def make(**given):
        return kind(channels, 4 if rank < 3 else 3, stride, padding=padding, **given)

    return make, (*LENGTHS[rank], 8)


def _renamed(make, *names):
    return lambda kernel_initializer: make(**dict.fromkeys(names, kernel_initializer))


_BOTH = ("depthwise_initializer", "pointwise_initializer")
KINDS = {
    "Dense": (lambda **i: L.Dense(128, **i), (128,)),
    "Dense, expanding": (lambda **i: L.Dense(256, **i), (64,)),
    "Conv2D": (lambda **i: L.Conv2D(32, 3, **i), (8, 8, 16)),
    "Conv2D, grouped": (lambda **i: L.Conv2D(64, 3, groups=8, **i), (8, 8, 64)),
    "Conv1D, grouped": (lambda **i: L.Conv1D(64, 3, groups=8, **i), (16, 64)),
    "DepthwiseConv1D": (
        _renamed(lambda **i: L.DepthwiseConv1D(5, **i), "depthwise_initializer"),
        (20, 64),
    ),
    "DepthwiseConv2D": (
        _renamed(lambda **i: L.DepthwiseConv2D(3, **i), "depthwise_initializer"),
        (10, 10, 64),
    ),
    "DepthwiseConv2D, multiplied": (
        _renamed(lambda **i: L.DepthwiseConv2D(3, depth_multiplier=3, **i), _BOTH[0]),
        (8, 8, 16),
    ),
    "SeparableConv1D": (_renamed(lambda **i: L.SeparableConv1D(64, 5, **i), *_BOTH), (20, 64)),
    "SeparableConv2D": (_renamed(lambda **i: L.SeparableConv2D(64, 3, **i), *_BOTH), (8, 8, 64)),
    **{
        f"Conv{rank}DTranspose, by {stride}, {padding}": _transposed(rank, stride, padding)
        for rank in (1, 2, 3)
        for stride in (1, 2, 3)
        for padding in ("valid", "same")
    },
    "EinsumDense to heads": (
        lambda **i: L.EinsumDense("abc,cde->abde", (None, 4, 32), **i),
        (6, 64),
    ),
    "EinsumDense from heads": (
        lambda **i: L.EinsumDense("abcd,cde->abe", (None, 64), **i),
        (6, 4, 16),
    ),
    "EinsumDense by channel": (lambda **i: L.EinsumDense("abc,bcd->abd", (6, 48), **i), (6, 32)),
    "Embedding": (
        _renamed(lambda **i: L.Embedding(TOKENS, 64, **i), "embeddings_initializer"),
        None,
    ),
    "TimeDistributed Dense": (lambda **i: L.TimeDistributed(L.Dense(64, **i)), (3, 64)),
    "TimeDistributed DepthwiseConv2D": (
        _renamed(lambda **i: L.TimeDistributed(L.DepthwiseConv2D(3, **i)), "depthwise_initializer"),
        (2, 8, 8, 64),
    ),
}


def built(kind, initializer=None):
    """A model of one such layer alone."""
    make, shape = KINDS[kind]
    layer = make(kernel_initializer=initializer or starts())
    inputs = keras.Input((6,) if shape is None else shape)
    return keras.Model(inputs, layer(inputs))


def inputs_of(kind, rng, count=32):
    """Examples of unit variance, or tokens."""
    shape = KINDS[kind][1]
    if shape is None:
        return rng.integers(0, TOKENS, (count, 6))
    return rng.normal(size=(count, *shape)).astype("float32")


def interior(kind, y):
    """Outputs of a transposed convolution where no border is near: a whole number of strides."""
    if "Transpose" not in kind:
        return y
    stride, size = int(kind.split("by ")[1][0]), 3 if kind.startswith("Conv3D") else 4
    margin = -(-(size - 1) // stride) * stride
    for axis in range(1, y.ndim - 1):
        length = (y.shape[axis] - 2 * margin) // stride * stride
        assert length > 0
        y = np.take(y, np.arange(margin, margin + length), axis=axis)
    return y


def output_variances(kind, redraw, enough=0.01, least=12):
    """One number a draw of the weights, until their mean is close enough.

    Args:
        kind: A row of the table.
        redraw: Function of model and number of the draw that gives the model its weights.
        enough: Standard error of the mean that is.
        least: Draws in any case.
    """
    model, rng, found = built(kind), np.random.default_rng(1), []
    while len(found) < least or np.std(found) / np.sqrt(len(found)) > enough:
        redraw(model, len(found))
        found.append(np.mean(interior(kind, np.asarray(model(inputs_of(kind, rng)))) ** 2))
    return np.array(found)


def drawn_by_keras(model, number):
    """The weights as the layers themselves draw them."""
    keras.utils.set_random_seed(number)
    kind = model.layers[-1]
    fresh = type(kind).from_config(kind.get_config())
    fresh.build(model.input_shape)
    kind.set_weights(fresh.get_weights())


def drawn_by_us(model, number):
    """The weights of `reinitialize` by its defaults."""
    reinitialize(model, seed=number)
