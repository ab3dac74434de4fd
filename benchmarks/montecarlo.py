"""What networks really do: second moments of activations and their gradients, over many draws."""

import keras
import numpy as np
import tensorflow as tf

from keras_initscope.prediction.signal import predict_signal


def measured(build, draws, batch=64, seed=0, sample=None):
    """`{layer: (q, g)}`, means over draws of fresh weights, inputs and cotangents."""
    totals = {}
    for draw in range(draws):
        keras.utils.clear_session(free_memory=False)  # so that names repeat
        keras.utils.set_random_seed(seed + draw)
        model = build()
        rng = np.random.default_rng(seed + draw)
        x = sample(rng, batch) if sample else rng.normal(size=(batch, *model.input_shape[1:]))
        for name, moments in moments_of(model, x, rng).items():
            totals.setdefault(name, []).append(moments)
    return {name: np.mean(moments, axis=0) for name, moments in totals.items()}


def moments_of(model, x, rng):
    """`{layer: (q, g)}` of one network and batch, in training, for cotangents of variance 1."""
    layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    probe = keras.Model(model.inputs, [layer.output for layer in layers])
    x = tf.constant(x, dtype=tf.int32 if np.issubdtype(x.dtype, np.integer) else tf.float32)
    with tf.GradientTape() as tape:
        if x.dtype.is_floating:
            tape.watch(x)  # or what stands before the first weights has no gradient
        outputs = probe(x, training=True)
        outputs = outputs if isinstance(outputs, list) else [outputs]
        cotangent = rng.normal(size=outputs[-1].shape).astype("float32")
        loss = tf.reduce_sum(outputs[-1] * cotangent)
    gradients = tape.gradient(loss, outputs, unconnected_gradients="zero")
    return {
        layer.name: (np.mean(np.square(out)), np.mean(np.square(grad)))
        for layer, out, grad in zip(layers, outputs, gradients, strict=True)
    }


def predicted(build, weights="initializers", **options):
    """The same from theory."""
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(0)
    model = build()
    snapshot = predict_signal(model, weights=weights, **options)
    q = snapshot.profile("activation", "root_mean_square")
    g = snapshot.profile("activation_gradient", "root_mean_square")
    found = {name: (q[name] ** 2, g.get(name, np.nan) ** 2) for name in q}
    return found, snapshot


def tolerance(width, weighted, draws, systematic=0.05):
    """5 % and three standard errors of the mean over draws of networks of finite width."""
    return systematic + 3 * np.sqrt(((1 + 5 / width) ** weighted - 1) / draws)


def deviations(build, draws, input=None, **options):
    """Worst relative deviation of q and of g over the layers."""
    theory, snapshot = predicted(build, input=input)
    truth = measured(build, draws, **options)
    rows = []
    for name, moments in truth.items():
        if name in theory:
            rows.append((name, *np.divide(theory[name], moments), *moments))
    return rows, snapshot
