"""What theory predicts of `keras.applications`, and how far it is from what these networks do.

Counts the layers that are predicted in every model, and measures the smallest of each family.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import keras
import numpy as np

from benchmarks.measuring import Row, say
from benchmarks.montecarlo import moments_of
from keras_initscope.prediction.signal import predict_signal
from keras_initscope.records import Snapshot

MODELS = sorted(name for name in dir(keras.applications) if name[0].isupper())
# The smallest member of each family, and the module that says what its inputs are.
FAMILIES = {
    "ConvNeXtTiny": "convnext",
    "DenseNet121": "densenet",
    "EfficientNetB0": "efficientnet",
    "EfficientNetV2B0": "efficientnet_v2",
    "InceptionResNetV2": "inception_resnet_v2",
    "InceptionV3": "inception_v3",
    "MobileNet": "mobilenet",
    "MobileNetV2": "mobilenet_v2",
    "MobileNetV3Small": "mobilenet_v3",
    "NASNetMobile": "nasnet",
    "ResNet50": "resnet",
    "ResNet50V2": "resnet_v2",
    "VGG16": "vgg16",
    "Xception": "xception",
}
BATCH = 8
SECONDS = {"ResNet50": "all known, < 2 s"}


def build(name: str) -> keras.Model:
    """A fresh model of the native input shape; what was built before is given back."""
    keras.utils.clear_session()
    shape = {"input_shape": (224, 224, 3)} if name.startswith("MobileNetV3") else {}
    return getattr(keras.applications, name)(weights=None, **shape)


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """Measured over predicted second moment of one tensor, and the scatter that theory states."""

    layer: str
    value: float
    error: float


def predictions(names: list[str]) -> Iterator[tuple[str, Snapshot, float]]:
    """Of each model the prediction, and how long it took."""
    for name in names:
        model = build(name)
        begin = time.perf_counter()
        snapshot = predict_signal(model)
        yield name, snapshot, time.perf_counter() - begin
        del model


def images(name: str, model: keras.Model, seed: int = 0) -> np.ndarray:
    """A batch of uniform noise in 0..255, as the family's `preprocess_input` hands it on."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(0, 255, (BATCH, *model.input_shape[1:])).astype("float32")
    return getattr(keras.applications, FAMILIES[name]).preprocess_input(x)


def ratios(name: str, seed: int = 0) -> tuple[list[Ratio], list[Ratio]]:
    """One network, one batch, in training: its activations and their gradients over prediction."""
    keras.utils.set_random_seed(seed)
    model = build(name)
    x = images(name, model, seed)
    snapshot = predict_signal(model, input=x)
    truth = moments_of(model, x, np.random.default_rng(seed))
    found = []
    for index, quantity in enumerate(("activation", "activation_gradient")):
        powers = snapshot.profile(quantity, "root_mean_square")
        errors = snapshot.profile(quantity, "relative_error")
        found.append(
            [
                Ratio(layer=layer, value=moments[index] / powers[layer] ** 2, error=errors[layer])
                for layer, moments in truth.items()
                if powers.get(layer, 0) > 0  # a nested model is known by its layers
            ]
        )
    return found[0], found[1]


def counted(name: str, snapshot: Snapshot, seconds: float) -> Row:
    """A line of the first table."""
    forward = snapshot.profile("activation", "root_mean_square")
    back = snapshot.profile("activation_gradient", "root_mean_square")
    total = len(forward) + len(snapshot.unknown)
    why = "; ".join(sorted(set(snapshot.unknown.values()))[:3])
    return Row(
        what=f"{name}, {total} layers",
        result=f"{len(forward)} predicted, {len(back)} of them with gradients, {seconds:.2f} s"
        + (f"; unknown: {why}" if why else ""),
        target=SECONDS.get(name, "all known"),
    )


def compared(name: str, of: str, found: list[Ratio]) -> Row:
    """A line of the second table."""
    worst = max(found, key=lambda ratio: abs(np.log(ratio.value)))
    middle = float(np.median([ratio.value for ratio in found]))
    return Row(
        what=f"{name}, {of} of {len(found)} layers, measured / predicted",
        result=f"median {middle:.3f}, worst {worst.value:.3f} ({worst.layer})",
        target="1",
    )


def run(quick: bool) -> list[Row]:
    """Every model counted, the smallest of each family measured; quick leaves out the large."""
    rows = []
    for name, snapshot, seconds in predictions(list(FAMILIES) if quick else MODELS):
        say(f"predicted {name}")
        rows.append(counted(name, snapshot, seconds))
    for name in FAMILIES:
        say(f"measuring {name}")
        forward, back = ratios(name)
        rows += [compared(name, "q", forward), compared(name, "g", back)]
    return rows
