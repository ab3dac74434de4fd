"""The smallest member of each family of `keras.applications`, fresh, with photographs.

Each gets what its own `preprocess_input` makes of pixels from 0 to 255.
"""

from __future__ import annotations

import importlib

import keras
import numpy as np
from sklearn import datasets

from benchmarks.zoo.subject import CROSSENTROPY, Subject

_MODULES = {
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
    "Xception": "xception",
}
_SIZES = {"InceptionV3": 96, "InceptionResNetV2": 96, "Xception": 96}
_SIZE, _CLASSES = 64, 10
_EXAMPLES = 16


def photographs(size, preprocess):
    """Patches of two photographs, and where they come from: the tenth of a picture."""

    def draw(rng, count):
        pictures = datasets.load_sample_images().images
        count = min(count, _EXAMPLES)
        y = rng.integers(0, _CLASSES, count)
        x = np.empty((count, size, size, 3), "float32")
        for i, label in enumerate(y):
            picture = pictures[label % 2]
            top = rng.integers(0, picture.shape[0] - size)
            left = (label // 2) * (picture.shape[1] - size) // 4
            x[i] = picture[top : top + size, left : left + size]
        return preprocess(x), y

    return draw


def application(name, module, size=_SIZE, **options):
    """A member of a family as a user makes it for classes of their own."""
    family = importlib.import_module(f"keras.applications.{module}")

    def build():
        maker = getattr(keras.applications, name)
        return maker(weights=None, input_shape=(size, size, 3), classes=_CLASSES)

    draw = photographs(size, family.preprocess_input)
    return Subject(build=build, data=draw, loss=CROSSENTROPY, batch=_EXAMPLES, **options)


LARGE = {
    name: application(name, module, _SIZES.get(name, _SIZE)) for name, module in _MODULES.items()
}
LARGE_FAULTY = {
    name: application(name, name.lower(), wanted=("F1", "F3", "B1")) for name in ("VGG16", "VGG19")
}
