"""Every kind of model and layer in every mode, each two of them together.

Training is bit-identical with the monitor and without it, nothing is left behind, and what was
measured is what TensorFlow's tape gives for the same model, run eagerly and layer by layer.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from feeds import FEEDS, drawn, first_weights, taken
from keras import ops
from measuring import assert_agree, reference
from pairwise import covering, pairwise
from stacks import DRAWING, LAYERS
from training import assert_nothing_left, assert_same_training, class_attributes, fresh, train
from zoo import BATCH, MODELS, REGULARIZERS, build

from keras_initscope import VarianceMonitor, graph

EXECUTIONS = {
    "graph": {"jit_compile": False},
    "several steps": {"jit_compile": False, "steps_per_execution": 2},
    "eager": {"run_eagerly": True},
    "XLA": {"jit_compile": True},
}
_DECAY = keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)
OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(0.05),
    "accumulating": lambda: keras.optimizers.Adam(gradient_accumulation_steps=2),
    "clipping": lambda: keras.optimizers.AdamW(_DECAY, clipnorm=0.1),
    "averaging": lambda: keras.optimizers.SGD(0.05, use_ema=True, ema_overwrite_frequency=2),
    "scaling": lambda: keras.optimizers.RMSprop(loss_scale_factor=8.0),
}
EPSILON = {"float32": 1e-5, "float64": 1e-5, "mixed_float16": 2.0**-10, "mixed_bfloat16": 2.0**-7}
FITS = {
    "once": [{"epochs": 2}],
    "again": [{"epochs": 1}, {"epochs": 1}],
    "resumed": [{"epochs": 1}, {"epochs": 2, "initial_epoch": 1}],
}
FACTORS = {
    "layer": list(LAYERS),
    "model": list(MODELS),
    "feed": list(FEEDS),
    "optimizer": list(OPTIMIZERS),
    "execution": list(EXECUTIONS),
    "precision": list(EPSILON),
    "regularizers": list(REGULARIZERS),
    "fits": list(FITS),
    "rows": [2 * BATCH, 2 * BATCH + 4],  # the last batch is ragged
}


def _makes_sense(case):
    stateful = case.get("layer") == "stateful"
    many = case.get("model") == "several"
    return not (
        (stateful and case.get("rows", 0) % BATCH)  # it takes batches of one size
        # XLA seeds each run of such an op anew: no two fits are alike.
        or (case.get("layer") == "raw noise" and case.get("execution") == "XLA")
        # Keras cannot undo the scale of an embedding's gradient, which comes as slices.
        or (case.get("layer") == "tokens" and case.get("optimizer") == "scaling")
        # TensorFlow pools no volumes of those types on a CPU.
        or (
            case.get("layer") == "volumes" and case.get("precision") in ("float64", "mixed_float16")
        )
        or (many and case.get("feed") in ("classes", "weighted"))  # Keras takes none there
        # Keras does not add losses of several types.
        or (case.get("precision") == "float64" and case.get("regularizers") == "weights")
        or (
            case.get("precision", "float32") != "float32" and case.get("regularizers") == "activity"
        )
    )


ALL = pairwise(FACTORS, _makes_sense)
# Layers of all kinds are quickly tried in `test_random_models.py`.
_BUT_LAYERS = {name: values for name, values in FACTORS.items() if name != "layer"}
QUICK = covering(
    ALL,
    _BUT_LAYERS,
    dear=("XLA", "eager", "images", "volumes", "sequences", "unrolled", "attention", "recurrent"),
)


def _name(case):
    return "-".join(str(value) for value in case.values())


def _built(case):
    return build(case["model"], case["layer"], case["regularizers"])


def _data(case):
    shapes, units = [LAYERS[case["layer"]][1]], [2]
    if case["model"] == "several":
        shapes, units = [*shapes, (3,)], [*units, 1]
    return drawn(shapes, units, case["rows"])


def _trained(case, monitors=()):
    model = fresh(lambda: _built(case), case["precision"])
    tf.random.set_seed(3)
    compiled = {"optimizer": OPTIMIZERS[case["optimizer"]](), "loss": "mse"}
    feed = FEEDS[case["feed"]]  # anew for each fit: of a generator Keras takes more than it needs
    fits = [{**feed(*_data(case)), **each} for each in FITS[case["fits"]]]
    return train(model, {**compiled, **EXECUTIONS[case["execution"]]}, fits, monitors)


def _taken_apart(case):
    """Tensors of the first step by layer and their gradients, and those of the weights."""
    model = fresh(lambda: _built(case), case["precision"])
    optimizer = keras.optimizers.get(OPTIMIZERS[case["optimizer"]]())
    model.compile(optimizer, "mse", run_eagerly=True)
    x, y = _data(case)
    weights = first_weights(case["feed"], y)
    x, y = (tf.nest.map_structure(tf.constant, taken(each, 0)) for each in (x, y))
    kernels = {v.path: np.asarray(v.value) for v in model.trainable_variables}
    seen = []
    original = keras.layers.Layer.__call__

    def call(layer, *args, **kwargs):
        outputs = original(layer, *args, **kwargs)
        seen.extend((layer, each) for each in keras.tree.flatten(outputs)[:1])
        return outputs

    with pytest.MonkeyPatch.context() as patch, tf.GradientTape() as tape:
        patch.setattr(keras.layers.Layer, "__call__", call)
        outputs = model(x, training=True)
        loss = model.compute_loss(x=x, y=y, y_pred=outputs, sample_weight=weights)
        scaled = model.optimizer.scale_loss(loss)
    scale = float(model.optimizer.scale_loss(1.0))
    seen = [(layer, tensor) for layer, tensor in seen if tensor.dtype.is_floating]
    sources = [tensor for _, tensor in seen], [v.value for v in model.trainable_variables]
    by_tensor, by_weight = tape.gradient(scaled, sources)
    return model, kernels, seen, by_tensor, by_weight, scale


def _expected(case):
    """What a snapshot of the first step holds, as far as TensorFlow's tape tells."""
    model, kernels, seen, by_tensor, by_weight, scale = _taken_apart(case)
    nodes = graph.layers(model)
    paths = {id(node.layer): node.path for node in nodes}
    found = {}
    for (layer, tensor), gradient in zip(seen, by_tensor, strict=True):
        if id(layer) in paths:
            found.setdefault(("activation", paths[id(layer)], ""), []).append(tensor)
            if gradient is not None and _is_precise(case, gradient):
                key = "activation_gradient", paths[id(layer)], ""
                found.setdefault(key, []).append(_float64(gradient) / scale)
    gradients = dict(zip(kernels, by_weight, strict=True))
    for node in nodes:
        for quantity, part, variable in node.weights():
            found[str(quantity), node.path, part] = [kernels[variable.path]]
            gradient = gradients[variable.path]
            if gradient is not None and _is_precise(case, gradient):
                key = f"{quantity}_gradient", node.path, part
                found[key] = [_float64(gradient) / scale]
    return {key: [_float64(tensor) for tensor in tensors] for key, tensors in found.items()}


def _is_precise(case, gradient):
    """Whether most of it lies well above float16's subnormal numbers, which have few digits."""
    rms = np.sqrt(np.mean(np.square(_float64(gradient))))
    return case["precision"] != "mixed_float16" or rms > 16 * np.finfo(np.float16).tiny


def _float64(tensor):
    return np.asarray(ops.cast(tf.convert_to_tensor(tensor), "float64"))


def _as_units(quantity, tensors):
    units = tensors[0].shape[-1] if quantity == "activation" and tensors[0].ndim > 1 else 1
    return np.concatenate([tensor.reshape(-1, units) for tensor in tensors])


def _conditioning(rows):
    """How much what rounds the values, all of a size, moves the shape of their spread."""
    spread = np.sqrt(rows["variance"])
    return max(1.0, rows["root_mean_square"] / spread) if spread else 1.0


def assert_is_the_step(snapshot, expected, rel):
    """Statistics agree for all that both name; no weight and no layer on its own is left out."""
    found = {(str(s.tap.quantity), s.tap.layer, s.tap.part): s for s in snapshot.stats}
    missing = {key for key in expected if key not in found}
    # What layers hand on as a layer in them gave it is under that layer's name.
    assert all("activation" in quantity for quantity, _, _ in missing), missing
    for key in expected.keys() & found.keys():
        values = _as_units(key[0], expected[key])
        assert found[key].tap.size == values.size, key
        rows = reference(values)
        if key[0] != "activation":
            del rows["signal"], rows["constant"], rows["duplicate_fraction"]
        if rows["root_mean_square"] < rel / 10:  # zero but for rounding, as a bias' before its norm
            assert found[key].values["root_mean_square"] < rel, key
            continue
        nothing = rel * rows["root_mean_square"] ** 2
        for share in [each for each in ("signal", "constant") if rows.get(each, 1.0) < nothing]:
            del rows[share]  # of the mean square there is none but for rounding
            assert found[key].values[share] < 2 * nothing, key
        try:
            assert_agree(found[key].values, rows, rel * _conditioning(rows))
        except AssertionError as error:
            raise AssertionError(f"{key}: {error}") from error


def _watch(case, tmp_path):
    plain, before = _trained(case), class_attributes()
    every = 3 if case["execution"] == "eager" else 1  # each of its looks is traced anew
    monitor = VarianceMonitor(tmp_path, update_freq=every, outputs=["snapshots"])
    snapshots = []

    class Keep(keras.callbacks.Callback):
        def on_train_end(self, logs=None):
            snapshots.extend(monitor.history)

    watched = _trained(case, [monitor, Keep()])
    assert class_attributes() == before
    assert_same_training(watched, plain)
    assert_nothing_left(watched, plain)
    return watched, snapshots


def _check(case, tmp_path):
    watched, snapshots = _watch(case, tmp_path)
    quantities = {str(entry.tap.quantity) for each in snapshots for entry in each.stats}
    if case["layer"] == "raw noise":
        assert len(watched.said) == 1
        assert quantities == {"kernel", "bias", "kernel_update"}
        return
    assert not watched.said
    assert {"kernel", "kernel_gradient", "activation", "activation_gradient"} <= quantities
    assert snapshots[0].step == 0
    if case["model"] != "adversaries" and _is_comparable(case):
        assert_is_the_step(snapshots[0], _expected(case), _tolerance(case, watched.model))


def _is_comparable(case):
    """Whether a twin run eagerly draws and rounds as the model does.

    In half precision it does not: what XLA and fused kernels keep in float32 is rounded, and under
    a loss scale overflows, layer by layer there. The quick cases are chosen such that it matters
    little; each of them is compared.
    """
    draws_alike = case["execution"] != "XLA" or case["layer"] not in DRAWING
    return draws_alike and (not case["precision"].startswith("mixed") or case in QUICK)


def _tolerance(case, model):
    """In half precision layer by layer and fused round apart: on the way there and back by one."""
    layers = len(graph.layers(model)) if case["precision"].startswith("mixed") else 1
    return EPSILON[case["precision"]] * (2 * layers if layers > 1 else 1)


def test_pairs_are_all_there():
    cases = pairwise(
        {"a": [1, 2, 3], "b": "xyz", "c": [True, False]}, lambda c: c != {"a": 1, "b": "x"}
    )
    for a in (1, 2, 3):
        for b in "xyz":
            assert any((c["a"], c["b"]) == (a, b) for c in cases) == ((a, b) != (1, "x"))


@pytest.mark.parametrize("case", QUICK, ids=_name)
def test_each_kind_once(case, tmp_path):
    _check(case, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in ALL if case not in QUICK], ids=_name)
def test_each_two_together(case, tmp_path):
    _check(case, tmp_path)
