"""Every layer class of Keras has a rule, or a reason to have none."""

import inspect

import keras
import pytest

import keras_initscope.prediction.signal  # noqa: F401  (which enters the rules)
from keras_initscope.prediction.transfer import transfer

IMAGES = "changes images before they enter a network, at random or by colour"
TEXT = "makes tokens of text or numbers, outside the differentiable network"
SOUND = "makes a spectrogram of sound, outside the differentiable network"
FOREIGN = "holds a model of another framework, whose layers Keras does not see"
CELL = "is one step of a recurrent layer, whose rule reads it"
BASE = "is a base class or holds no computation of its own"

NO_SIGNAL_PATH = {
    **dict.fromkeys(
        [
            "AugMix", "AutoContrast", "CenterCrop", "ContrastLimitedAdaptiveHistogramEqualization",
            "CutMix", "Equalization", "MaxNumBoundingBoxes", "MixUp", "RandAugment",
            "RandomBrightness", "RandomColorDegeneration", "RandomColorJitter", "RandomContrast",
            "RandomCrop", "RandomElasticTransform", "RandomErasing", "RandomFlip",
            "RandomGaussianBlur", "RandomGrayscale", "RandomHue", "RandomInvert",
            "RandomPerspective", "RandomPosterization", "RandomRotation", "RandomSaturation",
            "RandomSharpness", "RandomShear", "RandomTranslation", "RandomZoom", "Resizing",
            "Solarization",
        ],
        IMAGES,
    ),
    **dict.fromkeys(
        ["Discretization", "HashedCrossing", "Hashing", "IntegerLookup", "StringLookup",
         "TextVectorization"],
        TEXT,
    ),
    **dict.fromkeys(["MelSpectrogram", "STFTSpectrogram"], SOUND),
    **dict.fromkeys(["TFSMLayer", "FlaxLayer", "JaxLayer", "TorchModuleWrapper"], FOREIGN),
    **dict.fromkeys(["GRUCell", "LSTMCell", "SimpleRNNCell", "StackedRNNCells"], CELL),
    **dict.fromkeys(["InputLayer", "InputSpec", "Layer", "Wrapper", "Pipeline", "Lambda"], BASE),
}  # fmt: skip

CLASSES = {name: kind for name, kind in vars(keras.layers).items() if inspect.isclass(kind)}


@pytest.mark.parametrize("name", CLASSES)
def test_a_layer_has_a_rule_or_a_reason(name):
    kind = CLASSES[name]
    generic = (object, keras.Operation, keras.Layer)
    has_rule = issubclass(kind, keras.Layer) and not any(
        transfer.dispatch(kind) is transfer.dispatch(base) for base in generic
    )
    assert has_rule != (name in NO_SIGNAL_PATH)


def test_the_reasons_are_of_layers_that_exist():
    assert set(NO_SIGNAL_PATH) <= set(CLASSES)
