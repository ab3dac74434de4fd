"""Can a deep autoencoder of sigmoids be trained, and what does pretraining do for it?

Hinton and Salakhutdinov (2006) in small: digits of 8 x 8 pixels through a code of 8 numbers, by
plain stochastic gradient descent, which hides nothing; Adam blurs it. From small or from Xavier's
weights the network learns the mean image and no more, since each sigmoid takes the gradient by a
slope of at most 1/4. Started by greedy layerwise pretraining, from the same small weights, it beats
the best linear code of that size, which principal components give. The alternatives that came
later are in the table too: Kumar's variance for the sigmoid, and tanh in its place.

Error is the squared error of an image, summed over its pixels, which lie in [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import keras
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from keras_initscope.initializers import Kumar
from keras_initscope.model_init import pretrain, unroll
from keras_initscope.presets.data import Data
from keras_initscope.presets.digits import pixels
from keras_initscope.presets.experiment import Networks, Trial
from keras_initscope.presets.registry import Run, preset
from keras_initscope.presets.result import Expectation, Interval, Outcome, Row, cell

WIDTHS = (48, 32, 16, 8)
PIXELS = 64
BATCH = 32
MEAN, PCA, UNROLLED, GREEDY = "mean image", "8 components", "greedy, untuned", "greedy"
NETWORKS: Mapping[str, tuple[str, Callable[[int], keras.initializers.Initializer]]] = {
    "small": ("sigmoid", lambda seed: keras.initializers.RandomNormal(stddev=0.01, seed=seed)),
    "xavier": ("sigmoid", lambda seed: keras.initializers.GlorotNormal(seed=seed)),
    "kumar": ("sigmoid", lambda seed: Kumar("sigmoid", seed=seed)),
    "tanh, xavier": ("tanh", lambda seed: keras.initializers.GlorotNormal(seed=seed)),
}
_DRAWN = 12

Count = Annotated[int, Interval(low=1)]
Images = NDArray[np.float32]


def _ratio(network: str, other: str, interval: Interval, source: str) -> Expectation:
    return Expectation(
        claim=f"error of {network} / error of {other}",
        source=source,
        interval=interval,
        measure=lambda rows: _error(network, rows) / _error(other, rows),
    )


def _error(network: str, rows: Sequence[Row]) -> float:
    return cell("test_error", network=network)(rows)


_EXPECTS = [
    _ratio("small", MEAN, Interval(low=0.95), "no gradient reaches the code"),
    _ratio("xavier", MEAN, Interval(low=0.95), "no gradient reaches the code"),
    _ratio(UNROLLED, MEAN, Interval(high=0.8), "each layer keeps what it receives"),
    _ratio(GREEDY, PCA, Interval(high=1.0), "a deep code beats the best linear one"),
    _ratio("tanh, xavier", PCA, Interval(high=1.0), "slope 1 at 0: no pretraining needed"),
]


def _networks(epochs: int, pretraining_epochs: int) -> Networks:
    def trial(name: str, seed: int) -> Trial:
        train, test = pixels(seed)
        if name == GREEDY:
            network = _pretrained(train, pretraining_epochs, seed)
        else:
            network = _autoencoder(*NETWORKS[name], seed)
        steps = len(train) // BATCH
        images = Data(train, train, test, test)  # what it is to give back
        return Trial(_compiled(network, steps), images, epochs * steps, BATCH)

    return {name: partial(trial, name) for name in (*NETWORKS, GREEDY)}


@preset(
    "hinton-2006",
    quick={"epochs": 46, "pretraining_epochs": 10},
    expects=_EXPECTS,
    networks=_networks,
)
def hinton_2006(run: Run, epochs: Count = 91, pretraining_epochs: Count = 20) -> Outcome:
    """A deep autoencoder of sigmoids: stuck at the mean image, unless it is pretrained greedily."""
    train, test = pixels(run.seed)
    made = {"digits": (train, test), MEAN: _by_components(train, test, 0)}
    made[PCA] = _by_components(train, test, WIDTHS[-1])
    networks = {name: _autoencoder(*kind, run.seed) for name, kind in NETWORKS.items()}
    networks[GREEDY] = _pretrained(train, pretraining_epochs, run.seed)
    made[UNROLLED] = _by_network(networks[GREEDY], train, test)
    run.progress(_line(UNROLLED, _row(UNROLLED, made)))
    for name, network in networks.items():
        _train(network, train, epochs, run.seed)
        made[name] = _by_network(network, train, test)
        run.progress(_line(name, _row(name, made)))
    picture = _draw(run.log_dir / "reconstructions.png", made)
    rows = [_row(name, made) for name in made if name != "digits"]
    return Outcome(rows=rows, files=[picture])


def _autoencoder(activation: str, initializer: Callable[[int], Any], seed: int) -> keras.Sequential:
    hidden = [*WIDTHS, *WIDTHS[-2::-1]]
    activations = [activation] * len(hidden) + ["sigmoid"]
    layers = [
        keras.layers.Dense(width, kind, kernel_initializer=initializer(100 * seed + number))
        for number, (width, kind) in enumerate(zip([*hidden, PIXELS], activations, strict=True))
    ]
    return keras.Sequential([keras.Input((PIXELS,)), *layers])


def _pretrained(train: Images, epochs: int, seed: int) -> keras.Sequential:
    """Pretrain the encoder of the network with small weights, and unroll it."""
    small = _autoencoder(*NETWORKS["small"], seed)
    encoder = keras.Sequential([keras.Input((PIXELS,)), *small.layers[: len(WIDTHS)]])
    adam = keras.optimizers.Adam(0.01)
    pretrain(encoder, train, epochs, optimizer=adam, seed=seed, verbose=0)
    return unroll(encoder, train, activation="sigmoid")


def _train(network: keras.Sequential, train: Images, epochs: int, seed: int) -> None:
    """Train on whole batches, in a new order each time.

    All orders are one epoch to Keras, to which starting one costs more than the steps in it.
    """
    rng, steps = np.random.default_rng(seed), len(train) // BATCH
    orders = [rng.permutation(len(train))[: steps * BATCH] for _ in range(epochs)]
    x = train[np.concatenate(orders)]
    _compiled(network, steps).fit(x, x, batch_size=BATCH, shuffle=False, verbose=0)


def _compiled(network: keras.Sequential, steps: int) -> keras.Sequential:
    network.compile(
        keras.optimizers.SGD(0.02, momentum=0.9),
        _squared_error,
        steps_per_execution=steps,
        jit_compile=False,
    )
    return network


def _squared_error(x: Any, made: Any) -> Any:
    return keras.ops.sum(keras.ops.square(x - made), axis=-1)


def _by_components(train: Images, test: Images, count: int) -> tuple[Images, Images]:
    """The images by the first principal components of those to train on."""
    mean = train.mean(axis=0)
    axes = np.linalg.svd(train - mean, full_matrices=False)[2][:count]
    return mean + (train - mean) @ axes.T @ axes, mean + (test - mean) @ axes.T @ axes


def _by_network(network: Any, train: Images, test: Images) -> tuple[Images, Images]:
    first, second = (keras.ops.convert_to_numpy(network(x)) for x in (train, test))
    return first, second


def _row(name: str, made: Mapping[str, tuple[Images, Images]]) -> Row:
    errors = [
        float(np.mean(np.sum((x - again) ** 2, axis=1, dtype="float64")))
        for x, again in zip(made["digits"], made[name], strict=True)
    ]
    return {"network": name, "train_error": errors[0], "test_error": errors[1]}


def _line(name: str, row: Row) -> str:
    return f"{name:16}  squared error on test images {row['test_error']:.3f}"


def _draw(path: Path, made: Mapping[str, tuple[Images, Images]]) -> Path:
    """The first images to test on, and what each network makes of them, a row each."""
    figure = Figure(figsize=(8, 0.62 * len(made)), dpi=110)
    FigureCanvasAgg(figure)
    for axes, (name, (_, images)) in zip(figure.subplots(len(made)), made.items(), strict=True):
        strip = np.pad(images[:_DRAWN].reshape(-1, 8, 8), ((0, 0), (0, 0), (0, 2)))
        axes.imshow(np.hstack(list(strip)), cmap="gray_r", vmin=0, vmax=1)
        axes.set_ylabel(name, rotation=0, ha="right", va="center")
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    figure.set_layout_engine("constrained")
    figure.savefig(path, format="png")
    return path
