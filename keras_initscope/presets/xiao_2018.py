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

from collections.abc import Mapping
from functools import partial
from itertools import pairwise
from math import sqrt
from typing import Annotated, Any, NamedTuple

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from keras_initscope.presets.circular_convs import (
    CHANNELS,
    DELTA,
    GAUSSIAN,
    KERNELS,
    CircularConvs,
    Segment,
)
from keras_initscope.presets.curve_picture import Curve, Panel, draw_curves
from keras_initscope.presets.data import Data
from keras_initscope.presets.experiment import Costly, Networks, Trial
from keras_initscope.presets.registry import Run, preset
from keras_initscope.presets.result import Expectation, Interval, Outcome, Row, cell
from keras_initscope.theory.moments import second_moment
from keras_initscope.theory.nonlinearities import nonlinearity

SIZE, BATCH = 8, 16
COSINE = 0.875
#: Depths at which the table and the picture look, beside the inputs.
POINTS = 50

Depth = Annotated[int, Interval(low=2)]


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
    return _images(depth, [CircularConvs(depth, start, seed, name="hidden")], seed)


def _images(depth: int, hidden: list[keras.Layer], seed: int) -> Trial:
    """Examples are given as rows, as all data of presets is."""
    inputs = keras.Input((SIZE * SIZE * CHANNELS,))
    images = keras.layers.Reshape((SIZE, SIZE, CHANNELS), name="image")
    return Trial(keras.Sequential([inputs, images, *hidden]), _alike(depth, seed), batch=BATCH)


def _networks(depth: int) -> Networks:
    without = partial(_images, depth, [])
    return {start: Costly(partial(_trial, start, depth), without) for start in KERNELS}


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


def _course(trial: Trial, run: Run) -> Course:
    """Segment by segment, since the activations of all layers would take more than a gigabyte.

    On the way back the activations inside a segment are computed again.
    """
    image, hidden = trial.model.layers
    kernels, biases = (ops.convert_to_numpy(weight) for weight in hidden.weights)
    at = sorted({round(number) for number in np.linspace(0, len(kernels), POINTS + 1)})
    pieces = [(kernels[i:j], biases[i:j]) for i, j in pairwise(at)]
    segments = {len(piece[1]): Segment() for piece in pieces}  # a loop has one fixed length
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
