"""Networks in one model learn as each does alone, also beside one that diverges."""

import keras
import numpy as np
import pytest

from keras_initscope.presets import side_by_side as module
from keras_initscope.presets.digits import digits
from keras_initscope.presets.side_by_side import Shape, draw_weights, model_of_many, model_of_one

SHAPE = Shape(64, 5, 12)


def _weights(seed, gain=1.5):
    random = np.random.default_rng(seed)
    return draw_weights(
        SHAPE,
        lambda shape: gain * random.normal(size=shape) / np.sqrt(shape[0]),
        lambda shape: 0.2 * random.normal(size=shape),
    )


def _trained(model, steps=12, batch=16):
    data = digits(0)
    x, y = data.train_x[: steps * batch], data.train_y[: steps * batch]
    model.fit(x, y, batch_size=batch, shuffle=False, verbose=0)
    return keras.ops.convert_to_numpy(model(data.test_x[:20]))


def _momentum(rate):
    return keras.optimizers.SGD(rate, momentum=0.9)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_networks_learn_as_each_does_alone(activation):
    networks = [_weights(seed, gain) for seed, gain in enumerate((0.5, 1.0, 2.0))]
    together = _trained(model_of_many(networks, activation, _momentum(0.01)))
    for number, network in enumerate(networks):
        alone = _trained(model_of_one(network, activation, _momentum(0.01)))
        np.testing.assert_allclose(together[:, number], alone, rtol=1e-3, atol=1e-4)
        untrained = model_of_one(network, activation, _momentum(0.01))(digits(0).test_x[:20])
        assert np.abs(alone - untrained).max() > 0.01  # it has learned


def test_the_factor_of_a_loss_is_one_of_the_learning_rate():
    factors = [0.1, 1.0, 3.0]
    network = _weights(0)
    together = _trained(model_of_many([network] * 3, "tanh", _momentum(0.01), factors))
    for number, factor in enumerate(factors):
        alone = _trained(model_of_one(network, "tanh", _momentum(0.01 * factor)))
        np.testing.assert_allclose(together[:, number], alone, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_network_that_diverges_stays_alone(place):
    networks = [_weights(seed) for seed in range(3)]
    beside = _trained(model_of_many(networks, "relu", _momentum(0.01)))
    networks[place] = _weights(0, 1e12)
    found = _trained(model_of_many(networks, "relu", _momentum(0.01)))
    assert not np.isfinite(found[:, place]).any()
    others = [number for number in range(3) if number != place]
    np.testing.assert_allclose(found[:, others], beside[:, others], rtol=1e-5, atol=1e-6)


def test_the_accuracy_of_each_is_its_own():
    networks = [_weights(seed) for seed in range(3)]
    data = digits(1)
    found = module.accuracies(model_of_many(networks, "tanh", _momentum(0.01)), data)
    for network, accuracy in zip(networks, found, strict=True):
        logits = model_of_one(network, "tanh", _momentum(0.01))(data.test_x)
        assert accuracy == np.mean(np.argmax(logits, axis=1) == data.test_y)


def test_logits_that_are_no_numbers_name_a_zero():
    model = model_of_many([_weights(0, np.nan)], "tanh", _momentum(0.01))
    data = digits(0)
    np.testing.assert_allclose(module.accuracies(model, data), [np.mean(data.test_y == 0)])


def test_the_shape_is_that_of_the_weights():
    assert module.shape_of(_weights(0)) == SHAPE
    assert len(model_of_one(_weights(0), "tanh", "sgd").layers) == SHAPE.depth + 1
