"""A plain tanh convolutional network of ten thousand layers, before training.

At the critical point, q* = 1/L here, squared gradients keep their size in the mean over all
Gaussian kernels, and no single network of ten thousand layers does. Each frequency of the image
meets a product of L random matrices of its own, whose logarithm falls by about 1 / (2 C) a layer
and scatters by sqrt(L / C). Even the frequency that fares best is lost: for C = 32 channels that
law leaves 10^-7 of the squared gradient after 2000 layers, give or take 1.6 decades from draw to
draw, and 10^-53 +- 4 after 10,000.

A delta-orthogonal kernel is one orthogonal matrix at the middle of the window and zero beside it: a
layer keeps lengths and angles at each position, and what is left of the tanh at q* = 1/L adds up to
the same small amount at any depth.

What is compared to their start: the mean square of the activations; that of a gradient that enters
behind the last layer as noise; and the cosine of two inputs, .875 at the start. Padding is
circular, as the theory has it: there is no border.

Of the paper, which trains networks of this depth, the initialization alone is shown. The Gaussian
gradient is not exactly 0, as squares in float32 have it: those in double precision tell it from 0.

Source: Xiao et al., 2018, [Dynamical isometry and a mean field theory of
CNNs](https://arxiv.org/abs/1806.05393), section 3 and figure 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise
from math import sqrt
from typing import Annotated, Any, NamedTuple

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from keras_initscope.initializers import DeltaOrthogonal
from keras_initscope.presets.curve_picture import Curve, Panel, draw_curves
from keras_initscope.presets.data import Data
from keras_initscope.presets.experiment import Networks, Trial
from keras_initscope.presets.registry import Run, preset
from keras_initscope.presets.result import Expectation, Interval, Outcome, Row, cell
from keras_initscope.theory.lines import critical_line
from keras_initscope.theory.moments import second_moment
from keras_initscope.theory.nonlinearities import nonlinearity

SIZE, CHANNELS, WINDOW, BATCH = 8, 32, 3, 16
COSINE = 0.875
GAUSSIAN, DELTA = "gaussian", "delta-orthogonal"
#: Depths at which the table and the picture look, beside the inputs.
POINTS = 50

Shape = tuple[int, ...]


def _gaussian(weights: float, seed: Any, shape: Shape) -> Any:
    deviation = sqrt(weights / (WINDOW**2 * CHANNELS))
    return keras.initializers.RandomNormal(stddev=deviation, seed=seed)(shape)


def _delta_orthogonal(weights: float, seed: Any, shape: Shape) -> Any:
    draw = DeltaOrthogonal(sqrt(weights), seed)
    return ops.stack([draw(shape[1:]) for _ in range(shape[0])])


#: Name to what draws kernels `(depth, *window, inputs, outputs)` of a weight variance.
KERNELS: Mapping[str, Callable[[float, Any, Shape], Any]] = {
    GAUSSIAN: _gaussian,
    DELTA: _delta_orthogonal,
}

Depth = Annotated[int, Interval(low=2)]


class CircularConvs(keras.Layer):
    """Tanh convolutions of one width with circular padding, as one loop over their kernels.

    Args:
        depth: Layers.
        start: Name of an entry of `KERNELS`.
        seed: Fixes kernels and biases.
        **kwargs: Base layer keyword arguments, such as `name`.
    """

    def __init__(self, depth: int, start: str, seed: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.depth, self.start, self.seed = depth, start, seed

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Draw the weights, critical at `q* = 1 / depth`."""
        point = critical_line(nonlinearity("tanh"), 1 / self.depth)
        generator = keras.random.SeedGenerator(self.seed)
        shape = (self.depth, WINDOW, WINDOW, CHANNELS, CHANNELS)
        self.kernel = self.add_weight(
            name="kernel",
            shape=shape,
            initializer=lambda shape, dtype=None: KERNELS[self.start](
                float(point.weight_variance), generator, shape
            ),
        )
        deviation = sqrt(max(float(point.bias_variance), 0.0))  # of 1e-12 and less, rounded
        normal = keras.initializers.RandomNormal(stddev=deviation, seed=generator)
        self.bias = self.add_weight(name="bias", shape=(self.depth, CHANNELS), initializer=normal)

    def call(self, inputs: Any) -> Any:
        """Apply all layers to images `(batch, height, width, channels)`."""
        kernel, bias = ops.copy(self.kernel), ops.copy(self.bias)
        return ops.fori_loop(
            0,
            self.depth,
            lambda number, state: forward(state, kernel[number], bias[number]),
            inputs,
        )

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The shape of the input."""
        return input_shape


class Course(NamedTuple):
    """What becomes of signal and gradient, at some layers.

    Args:
        layers: Their numbers, from 0 for the inputs to the depth.
        signal: Mean square of the activations, over that of the inputs.
        gradient: Mean square of the gradient, over that behind the last layer.
        cosine: Mean cosine of two different inputs.
    """

    layers: list[int]
    signal: list[float]
    gradient: list[float]
    cosine: list[float]


def _claim(network: str, column: str, interval: Interval, source: str) -> Expectation:
    return Expectation(
        claim=f"{column}, {network}",
        source=source,
        interval=interval,
        measure=cell(column, kernels=network),
    )


_EXPECTS = [
    _claim(DELTA, "signal_factor", Interval(high=4.0), "lengths are kept"),
    _claim(DELTA, "gradient_factor", Interval(high=4.0), "on the way back as well"),
    _claim(DELTA, "cosine", Interval.around(COSINE, absolute=0.03), "angles are kept"),
    _claim(GAUSSIAN, "gradient", Interval(high=1e-2), "10^(-6.9 +- 1.6) after 2000 layers"),
]


def _trial(start: str, depth: int, seed: int) -> Trial:
    """Examples are given as rows, as all data of presets is."""
    image = (SIZE, SIZE, CHANNELS)
    layers = [
        keras.Input((SIZE * SIZE * CHANNELS,)),
        keras.layers.Reshape(image, name="image"),
        CircularConvs(depth, start, seed, name="hidden"),
    ]
    return Trial(keras.Sequential(layers), _alike(depth, seed), batch=BATCH)


def _networks(depth: int) -> Networks:
    return {start: partial(_trial, start, depth) for start in KERNELS}


def _alike(depth: int, seed: int) -> Data:
    """Normal inputs, any two of which have the cosine; of no class."""
    random = np.random.default_rng(seed)
    features = SIZE * SIZE * CHANNELS
    shared = sqrt(COSINE) * random.normal(size=features)
    own = sqrt(1 - COSINE) * random.normal(size=(2 * BATCH, features))
    size = sqrt(float(second_moment(nonlinearity("tanh"), 1 / depth)))
    x = (size * (shared + own)).astype("float32")
    nothing = np.zeros(BATCH, "int64")
    return Data(x[:BATCH], nothing, x[BATCH:], nothing)


@preset("xiao-2018", quick={"depth": 2000}, expects=_EXPECTS, networks=_networks)
def xiao_2018(run: Run, depth: Depth = 10_000) -> Outcome:
    """A tanh CNN of 10,000 layers at initialization: delta-orthogonal kernels keep it alive.

    `signal` and `gradient` are what has become of the mean square at the far end; `signal_factor`
    and `gradient_factor` the largest factor, up or down, by which it is off its start at any depth;
    `cosine` is that of two inputs behind the last layer.
    """
    rows: list[Row] = []
    courses = {}
    for start, build in _networks(depth).items():
        run.progress(f"{start}: drawing {depth} kernels")
        courses[start] = course = _course(build(run.seed), run)
        rows.append(
            {
                "kernels": start,
                "signal": course.signal[-1],
                "signal_factor": _factor(course.signal),
                "gradient": course.gradient[0],
                "gradient_factor": _factor(course.gradient),
                "cosine_before": course.cosine[0],
                "cosine": course.cosine[-1],
            }
        )
    return Outcome(rows=rows, files=[_picture(run, depth, courses)])


def _factor(values: list[float]) -> float:
    """The largest one by which any of them is above or below 1; infinite where one is 0."""
    return max(max(values), 1 / min(values) if min(values) > 0 else float("inf"))


class _Segment(keras.Model):
    """Some layers, forward and back.

    A model whose weights are inputs, since what Keras compiles are models.
    """

    def __init__(self) -> None:
        super().__init__(name="segment")
        self.compile(jit_compile=False)

    def call(self, inputs: Any) -> Any:
        """Images behind the layers, and the gradient in front of them from that behind them."""
        images, gradient, kernels, biases = inputs

        def onward(state: Any, weights: Any) -> Any:
            state = forward(state, *weights)
            return state, state

        def back(gradient: Any, layer: Any) -> Any:
            gradient = backward(gradient, *layer)
            return gradient, gradient

        last, states = ops.scan(onward, images, (kernels, biases))
        first, _ = ops.scan(back, gradient, (kernels, states), reverse=True)
        return last, first


def _course(trial: Trial, run: Run) -> Course:
    """Segment by segment, since the activations of all layers would take more than a gigabyte.

    On the way back the activations inside a segment are computed again.
    """
    image, hidden = trial.model.layers
    kernels, biases = (ops.convert_to_numpy(weight) for weight in hidden.weights)
    at = sorted({round(number) for number in np.linspace(0, len(kernels), POINTS + 1)})
    pieces = [(kernels[i:j], biases[i:j]) for i, j in pairwise(at)]
    segments = {len(piece[1]): _Segment() for piece in pieces}  # a loop has one fixed length
    states = [ops.convert_to_numpy(image(trial.data.train_x))]
    gradients = [_noise(states[0].shape, run.seed)]
    run.progress("the way forward")
    for piece in pieces:
        states.append(
            segments[len(piece[1])].predict_on_batch((states[-1], gradients[0], *piece))[0]
        )
    run.progress("the way back")
    for state, piece in zip(states[-2::-1], pieces[::-1], strict=True):
        gradients.insert(
            0, segments[len(piece[1])].predict_on_batch((state, gradients[0], *piece))[1]
        )
    signal, gradient = ([_mean_square(each) for each in all_] for all_ in (states, gradients))
    return Course(
        layers=at,
        signal=[square / signal[0] for square in signal],
        gradient=[square / gradient[-1] for square in gradient],
        cosine=[_cosine(state) for state in states],
    )


def forward(state: Any, kernel: Any, bias: Any) -> Any:
    """One layer, of images `(batch, height, width, channels)`."""
    return ops.tanh(ops.conv(_wrapped(state), kernel, padding="valid") + bias)


def backward(gradient: Any, kernel: Any, state: Any) -> Any:
    """The gradient in front of a layer, from that behind it and the activations that it gave."""
    turned = ops.transpose(ops.flip(kernel, axis=(0, 1)), (0, 1, 3, 2))
    return ops.conv(_wrapped(gradient * (1 - state**2)), turned, padding="valid")


def _wrapped(images: Any) -> Any:
    """With the opposite border around each image."""
    for axis in (1, 2):
        last, first = ops.take(images, [-1], axis), ops.take(images, [0], axis)
        images = ops.concatenate([last, images, first], axis)
    return images


def _noise(shape: Any, seed: int) -> NDArray[np.float32]:
    return np.random.default_rng([seed, 1]).normal(size=tuple(shape)).astype("float32")


def _mean_square(values: Any) -> float:
    """In double precision, in which the smallest float32 has a square."""
    return float(np.mean(np.square(ops.convert_to_numpy(values), dtype="float64")))


def _cosine(images: Any) -> float:
    """Mean cosine of two different ones; 0 where all is zero."""
    rows = ops.convert_to_numpy(images).astype("float64").reshape(len(images), -1)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    rows = rows / np.where(lengths > 0, lengths, 1)
    total = float(np.sum(np.sum(rows, axis=0) ** 2))
    return (total - float(np.sum(rows**2))) / (len(rows) * (len(rows) - 1))


def _picture(run: Run, depth: int, courses: Mapping[str, Course]) -> Any:
    panels = [
        Panel(title, "layer", label, _curves(courses, column), logarithmic)
        for title, label, column, logarithmic in (
            ("Signal", "mean square, over that at the start", "signal", "y"),
            ("Gradient", "mean square, over that at the end", "gradient", "y"),
            ("Two inputs", "mean cosine", "cosine", ""),
        )
    ]
    title = f"A tanh network of {depth:,} convolutions before training"
    return draw_curves(run.log_dir / "depth.png", title, panels)


def _curves(courses: Mapping[str, Course], column: str) -> dict[str, Curve]:
    """A mean square of 0 has no place on an axis of powers, and is left out there."""
    curves = {}
    for name, course in courses.items():
        values = getattr(course, column)
        kept = [
            (x, y) for x, y in zip(course.layers, values, strict=True) if y or column == "cosine"
        ]
        curves[name] = Curve(measured=([x for x, _ in kept], [y for _, y in kept]))
    return curves
