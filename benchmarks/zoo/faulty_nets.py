"""Networks with the faults that users bring: wrong weights, wrong data, wrong heads."""

from __future__ import annotations

import keras

from benchmarks.zoo.blocks import L, conv, glorot, ops, times

initializers = keras.initializers
normal, uniform = initializers.RandomNormal, initializers.RandomUniform
constant = initializers.Constant


def cnn(init=glorot, activation="relu", head="softmax", low=False):
    """Two convolutions and two dense layers, all with one initializer."""

    def make():
        return [
            *([L.Rescaling(1 / 255)] if low else []),
            L.Conv2D(16, 3, activation=activation, kernel_initializer=init),
            L.MaxPooling2D(2),
            L.Conv2D(32, 3, activation=activation, kernel_initializer=init),
            L.GlobalAveragePooling2D(),
            L.Dense(32, activation, kernel_initializer=init),
            L.Dense(10, head, kernel_initializer=init),
        ]

    return make


def lstm(init, layer=L.LSTM, units=32, **options):
    options = {"kernel_initializer": init, "recurrent_initializer": init} | options
    return lambda: [layer(units, **options), L.Dense(10, kernel_initializer=init)]


def all_of(init, depth, units, out, activation, last=None):
    """An MLP of which the head too is drawn with the initializer."""

    def make():
        hidden = [L.Dense(units, activation, kernel_initializer=init) for _ in range(depth)]
        return [*hidden, L.Dense(out, last, kernel_initializer=init)]

    return make


def conv_stack(depth, init=glorot, activation="relu", filters=16, fused=True):
    def make():
        layers = []
        for _ in range(depth):
            layers.append(
                conv(filters, activation=activation if fused else None, kernel_initializer=init)
            )
            layers += [] if fused else [L.Activation(activation)]
        return [*layers, L.GlobalAveragePooling2D(), L.Dense(10)]

    return make


def one_branch(init, depth=10):
    """Of two branches side by side the second begins with an initializer that is wrong."""

    def body(x):
        ends = []
        for start in ("he_normal", init):
            y = x
            for _ in range(depth):
                y = L.Dense(64, "relu", kernel_initializer=start)(y)
            ends.append(y)
        return L.Dense(10)(L.Concatenate()(ends))

    return body


def conv_1d_stack(depth, init=glorot, activation="relu"):
    def make():
        hidden = [
            L.Conv1D(32, 3, padding="same", activation=activation, kernel_initializer=init)
            for _ in range(depth)
        ]
        return [*hidden, L.GlobalAveragePooling1D(), L.Dense(4)]

    return make


def small_vgg():
    """VGG16's plan in narrow, at Keras' defaults."""
    layers = []
    for filters, count in ((16, 2), (32, 2), (64, 3), (64, 3), (64, 3)):
        layers += [conv(filters) for _ in range(count)] + [L.MaxPooling2D(2)]
    return [*layers, L.Flatten(), L.Dense(128, "relu"), L.Dense(128, "relu"), L.Dense(10)]


def subclassed(depth, init, activation, units=64):
    def build():
        class Net(keras.Model):
            def __init__(self):
                super().__init__()
                self.hidden = [L.Dense(units, kernel_initializer=init) for _ in range(depth)]
                self.act = activation
                self.head = L.Dense(10)

            def call(self, x):
                for layer in self.hidden:
                    x = self.act(layer(x))
                return self.head(x)

        return Net()

    return build


def residual(blocks, init="he_normal", norm=None):
    def body(x):
        x = L.Dense(64)(x)
        for _ in range(blocks):
            y = L.Dense(64, "relu", kernel_initializer=init)(x)
            x = L.Add()([x, L.Dense(64, kernel_initializer=init)(y)])
            x = norm()(x) if norm else x
        return L.Dense(10)(x)

    return body


def exponential(x):
    for _ in range(5):
        x = ops.exp(L.Dense(64)(x))
    return L.Dense(10)(x)


def normed_stack(depth):
    """BatchNorm before each ReLU, and no shortcut: the gradient grows by 1.47 a layer."""

    def make():
        parts = times(depth, lambda: [L.Dense(64), L.BatchNormalization(), L.ReLU()])
        return [*parts, L.Dense(10)]

    return make


def dead_layer(fused=True):
    """Biases far below what the weights can lift."""
    init = constant(-10.0)
    middle = [L.Dense(64, "relu" if fused else None, bias_initializer=init)]
    return [L.Dense(64, "relu"), *middle, *([] if fused else [L.ReLU()]), L.Dense(10)]


def dead_filters():
    dead = conv(16, bias_initializer=constant(-10.0))
    return [conv(16), dead, L.GlobalAveragePooling2D(), L.Dense(10)]


class Repeated(initializers.Initializer):
    """Draws an eighth of the units and gives each eight times."""

    def __call__(self, shape, dtype=None):
        few = initializers.HeNormal()((*shape[:-1], shape[-1] // 8), dtype)
        return ops.tile(few, [1] * (len(shape) - 1) + [8])


def twins(init=None):
    """One layer of which the units are copies; what follows has copied rows as well."""
    rows = initializers.Constant(0.05)
    return [
        L.Dense(64, "relu"),
        L.Dense(64, "relu", kernel_initializer=init or Repeated()),
        L.Dense(64, "relu", kernel_initializer=rows),
        L.Dense(10),
    ]


def twin_filters():
    return [
        conv(16, kernel_initializer=constant(0.1)),
        conv(32, kernel_initializer=constant(0.02)),
        L.GlobalAveragePooling2D(),
        L.Dense(10, kernel_initializer=constant(0.1)),
    ]


def depthwise(init=glorot, activation="relu", depth=6):
    """Keras takes the fans of a depthwise kernel as if each output saw every channel."""

    def make():
        hidden = [
            L.DepthwiseConv2D(3, padding="same", activation=activation, depthwise_initializer=init)
            for _ in range(depth)
        ]
        return [conv(64), *hidden, L.GlobalAveragePooling2D(), L.Dense(10)]

    return make


def separable_stack():
    hidden = [L.SeparableConv2D(64, 3, padding="same", activation="relu") for _ in range(6)]
    return [*hidden, L.GlobalAveragePooling2D(), L.Dense(10)]


def hidden_softmax():
    return [L.Dense(64, "softmax"), L.Dense(64, "softmax"), L.Dense(64, "softmax"), L.Dense(10)]


def cut_off():
    return [L.Dense(64, "relu"), L.Lambda(ops.round), L.Dense(64, "relu"), L.Dense(10)]


def stopped(x):
    x = L.Dense(64, "relu")(x)
    x = L.Dense(64, "relu")(ops.stop_gradient(x))
    return L.Dense(10)(x)


def root_of(x):
    """A root of what may be negative."""
    return L.Dense(10)(ops.sqrt(L.Dense(64)(x)))


def overflowing():
    """Beyond 65504, what float16 can hold."""
    big = normal(0, 40.0)
    return [
        L.Dense(64, "relu", kernel_initializer=big),
        L.Dense(64, "relu", kernel_initializer=big),
        L.Dense(10),
    ]


def close_to_overflow():
    """Within a few times of 65504, what float16 can hold."""
    big = normal(0, 20.0)
    return [L.Dense(64, "relu", kernel_initializer=big) for _ in range(2)] + [L.Dense(10)]


def lifted():
    bias = constant(50.0)
    return [L.Dense(64, "gelu", bias_initializer=bias) for _ in range(3)] + [L.Dense(10)]


def with_head(last, units=10, separate=False):
    def make():
        head = [L.Dense(units), L.Activation(last)] if separate else [L.Dense(units, last)]
        return [L.Dense(64, "relu"), L.Dense(32, "relu"), *head]

    return make


def two_activations():
    """A rectifier left between the head and its softmax."""
    return [L.Dense(64, "relu"), L.Dense(10, "relu"), L.Softmax()]
