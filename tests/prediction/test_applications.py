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

# Why the gradients of some families are known by their order of magnitude alone, measured over
# predicted in the median. Normalizations of convolutions add one or two percent each, through the
# variances of their channels, which are not all alike: ResNet50V2 has 49, NASNet 190 in a row.
FEW_TAPS = (0.8, 1.6)  # depthwise kernels of 9 weights, and gates of a few units
DEEP = (0.6, 4.0)
# A rectifier that follows a sum of rectified tensors receives no Gaussian.
RECTIFIED_SUMS = (0.03, 1.6)
# One normalization of channels of unequal variance side by side, taken as of the mean variance.
SIDE_BY_SIDE = (0.2, 1.6)
GRADIENTS = {
    "ConvNeXtTiny": (0.9, 1.1),
    "DenseNet121": SIDE_BY_SIDE,
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

    A single layer may be a third off: means over all positions of channels that nine weights made,
    and rectified sums, are no mixtures of Gaussians.
    """
    forward, back = ratios(name)
    errors = [ratio.error for ratio in forward]
    middle = np.median([ratio.value for ratio in forward])
    assert abs(middle - 1) < 0.05 + 3 * np.median(errors)
    for ratio in forward:
        assert abs(np.log(ratio.value)) < np.log(1.35) + 3 * ratio.error, ratio
    low, high = GRADIENTS[name]
    assert low < np.median([ratio.value for ratio in back]) < high
