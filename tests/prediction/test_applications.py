"""Every layer of `keras.applications` is predicted, and how near that is to what they do."""

import numpy as np
import pytest

from benchmarks.applications import FAMILIES, build, ratios
from keras_initscope import graph
from keras_initscope.prediction.signal import predict_signal

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    # TensorFlow's own, of building one model after another.
    pytest.mark.filterwarnings("ignore:.*triggered tf.function retracing"),
]

# Measured over predicted gradients, in the median over layers. Where normalizations of convolutions
# stand in a row each adds one or two percent, through the variances of its channels, which are not
# all alike: ResNet50V2 has 49 in a row, DenseNet121 120, NASNetMobile about 100.
DEEP = (0.6, 4.0)
# Depthwise kernels of 9 weights and gates of a few units scatter, and do not make Gaussians.
FEW_TAPS = (0.8, 1.8)
# A rectifier that follows a sum of rectified tensors receives no Gaussian: the constant part grows
# faster than predicted, and what a normalization divides by with it.
RECTIFIED_SUMS = (0.03, 1.6)
GRADIENTS = {
    "ConvNeXtTiny": (0.9, 1.1),
    "DenseNet121": DEEP,
    "EfficientNetB0": FEW_TAPS,
    "EfficientNetV2B0": FEW_TAPS,
    "InceptionResNetV2": RECTIFIED_SUMS,
    "InceptionV3": (0.8, 1.3),
    "MobileNet": (0.85, 1.2),
    "MobileNetV2": (0.85, 1.3),
    "MobileNetV3Small": FEW_TAPS,
    "NASNetMobile": DEEP,
    "ResNet50": RECTIFIED_SUMS,
    "ResNet50V2": DEEP,
    "VGG16": (0.85, 1.5),
    "Xception": (0.85, 1.3),
}


# Average pools of average pools, and forty rectified sums in a row.
WORST = {"NASNetMobile": 2.6, "InceptionResNetV2": 2.8}


@pytest.mark.parametrize("name", FAMILIES)
def test_every_layer_is_predicted(name):
    """The smallest of each family; `python -m benchmarks --only applications` takes all."""
    model = build(name)
    snapshot = predict_signal(model)
    assert not snapshot.unknown
    forward = snapshot.profile("activation", "root_mean_square")
    assert set(forward) <= {node.path for node in graph.layers(model)}
    assert set(forward) == set(snapshot.profile("activation_gradient", "root_mean_square"))
    assert len(forward) > 20
    assert all(value > 0 for value in forward.values())


@pytest.mark.parametrize("name", FAMILIES)
def test_one_network_is_as_predicted(name):
    """Second moments layer by layer, 5 % in the median beside what a single network scatters.

    A single layer may be half off: the mean or maximum over positions is that of a Markov chain,
    whose likeness falls off geometrically, and a rectified sum is taken as Gaussian.
    """
    forward, back = ratios(name)
    errors = [ratio.error for ratio in forward]
    middle = np.median([ratio.value for ratio in forward])
    assert abs(middle - 1) < 0.05 + 3 * np.median(errors)
    for ratio in forward:
        assert abs(np.log(ratio.value)) < np.log(WORST.get(name, 1.6)) + 3 * ratio.error, ratio
    low, high = GRADIENTS[name]
    assert low < np.median([ratio.value for ratio in back]) < high
