"""Layers of any kind of model: each once, under a path of its own, in forward order."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_initscope import graph
from keras_initscope.records import LayerInfo, Quantity


def paths(model):
    return [node.path for node in graph.layers(model)]


def test_sequential():
    model = keras.Sequential([keras.Input((2,)), layers.Dense(2, name="a"), layers.ReLU(name="b")])
    assert paths(model) == ["a", "b"]


def test_functional_models_are_in_topological_order():
    """Whatever the order in which the layers were made."""
    late, early = layers.Dense(2, name="late"), layers.Dense(2, name="early")
    inputs = keras.Input((2,))
    x = early(inputs)
    model = keras.Model(inputs, layers.Add(name="sum")([late(x), x]))
    assert paths(model) == ["early", "late", "sum"]


def test_nested_models_name_their_layers_from_the_outside_in():
    inner = keras.Sequential([keras.Input((2,)), layers.Dense(2, name="a")], name="inner")
    model = keras.Sequential([keras.Input((2,)), inner, layers.Dense(2, name="a")])
    assert paths(model) == ["inner/a", "inner", "a"]


def test_wrapped_layers_are_found():
    model = keras.Sequential(
        [keras.Input((3, 2)), layers.TimeDistributed(layers.Dense(2, name="a"), name="each")]
    )
    assert paths(model) == ["each/a", "each"]


def test_all_ways_to_a_layer_that_two_models_share_are_found():
    shared = layers.Dense(3)
    one, other = (keras.Sequential([keras.Input((3,)), shared]) for _ in range(2))
    model = keras.Sequential([keras.Input((3,)), one, other])
    assert graph.ways(model)[id(shared)] == [[one, shared], [other, shared]]
    assert graph.ways(model)[id(one)] == [[one]]


def test_ways_between_layers_that_all_hold_each_other_come_to_an_end():
    class Knot(keras.layers.Layer):
        pass

    knots = [Knot() for _ in range(12)]
    for knot in knots:
        knot.others = knots  # 12! ways, the knot itself among them
    model = Knot()
    model.knots = knots
    found = graph.ways(model)
    assert {id(knot) for knot in knots} <= found.keys()
    assert max(map(len, found.values())) <= 64


def test_a_layer_that_is_used_twice_is_one():
    shared = layers.Dense(2, name="a")
    inner = keras.Sequential([keras.Input((2,)), shared], name="inner")
    model = keras.Sequential([keras.Input((2,)), shared, inner])
    assert paths(model) == ["a", "inner"]


class Custom(keras.Model):
    """Layers in attributes, lists and dictionaries, two of one name."""

    def __init__(self):
        super().__init__()
        self.parts = [layers.Dense(2, name="same"), layers.Dense(2, name="same")]
        self.named = {"x": layers.Dense(2, name="x")}


def test_subclassed_models_give_every_layer_a_path_of_its_own():
    assert paths(Custom()) == ["same", "same_1", "x"]


def test_a_model_that_holds_weights_itself_comes_last():
    model = Custom()
    model.own = model.add_weight(shape=(2,), name="own")
    assert paths(model) == ["same", "same_1", "x", model.name]


def test_a_wrapper_does_not_claim_the_weights_of_the_layer_inside():
    wrapper = layers.SpectralNormalization(layers.Dense(2, name="dense"))
    wrapper.build((None, 3))
    assert graph.own_variables(wrapper) == []
    assert len(graph.own_variables(wrapper.layer)) == 2


class Extended(keras.Model):
    """A functional model with a layer beside its graph."""

    def __init__(self):
        inputs = keras.Input((2,))
        super().__init__(inputs, layers.Dense(2, name="a")(inputs))
        self.extra = layers.Dense(2, name="extra")


def test_layers_beside_the_graph_of_a_functional_model_are_found():
    assert paths(Extended()) == ["a", "extra"]


def kinds(layer, shape):
    layer.build(shape)
    node = graph.LayerNode(layer=layer, path="a")
    return {part: quantity for quantity, part, _ in node.weights()}


def test_which_weights_multiply_and_which_are_added():
    multiplies, adds = Quantity.KERNEL, Quantity.BIAS
    node = graph.LayerNode(layer=layers.Dense(2), path="a")
    node.layer.build((None, 3))
    assert [(q, part) for q, part, _ in node.weights()] == [(multiplies, ""), (adds, "")]
    assert kinds(layers.BatchNormalization(), (None, 3)) == {"gamma": multiplies, "beta": adds}
    assert kinds(layers.Embedding(4, 2), (None, 3)) == {"embeddings": multiplies}
    assert kinds(layers.PReLU(), (None, 3)) == {"alpha": multiplies}
    separable = {"depthwise_kernel": multiplies, "pointwise_kernel": multiplies, "": adds}
    assert kinds(layers.SeparableConv1D(2, 3), (None, 8, 3)) == separable
    cell = layers.LSTMCell(2)
    assert kinds(cell, (None, 3))["recurrent_kernel"] is multiplies


def test_weights_of_one_name_have_parts_of_their_own():
    class Twice(layers.Layer):
        def build(self, shape):
            for _ in range(2):
                self.add_weight(shape=(2,), name="kernel")

    assert list(kinds(Twice(), (None, 2))) == ["", "kernel_1"]


def test_frozen_weights_are_still_weights():
    layer = layers.Dense(2)
    layer.build((None, 3))
    layer.trainable = False
    assert len(graph.own_variables(layer)) == 2


def test_statistics_of_a_batch_norm_are_no_weights():
    layer = layers.BatchNormalization()
    layer.build((None, 3))
    assert {v.name for v in graph.own_variables(layer)} == {"gamma", "beta"}


@pytest.mark.parametrize(
    ("layer", "name"),
    [
        (layers.Dense(2, activation="tanh"), "tanh"),
        (layers.Dense(2), "linear"),
        (layers.Dense(2, activation=layers.LeakyReLU()), "LeakyReLU"),
        (layers.Flatten(), None),
    ],
)
def test_the_record_of_a_layer(layer, name):
    info = graph.LayerNode(layer=layer, path="p/q").info(3)
    units = 2 if isinstance(layer, layers.Dense) else None
    assert info == LayerInfo(
        path="p/q", kind=type(layer).__name__, depth=3, activation=name, units=units
    )


def test_a_kernel_that_is_frozen_by_itself_is_not_trained():
    layer = layers.Dense(4)
    layer.build((None, 8))
    assert graph.LayerNode(layer=layer, path="p").info(0).trainable
    layer.enable_lora(2)
    assert not graph.LayerNode(layer=layer, path="p").info(0).trainable


def test_order_as_seen_replaces_order_as_made():
    nodes = [graph.LayerNode(layer=object(), path=name) for name in "abcd"]
    finished = {id(nodes[2].layer): 0, id(nodes[0].layer): 1}  # c, then a; b and d never ran
    assert [n.path for n in graph.reorder(nodes, finished)] == ["c", "d", "a", "b"]
    assert graph.reorder(nodes, {}) == nodes


class Failing(keras.Model):
    """Draws and counts before it turns out that it cannot be built."""

    def __init__(self):
        super().__init__()
        self.calls, self.seen, self.generator = 0, [], np.random.default_rng(0)

    def call(self, x):
        self.calls += 1
        self.seen.append(self.generator.normal())
        raise ValueError("not without data")


def test_building_that_fails_changes_nothing():
    model = Failing()
    model.compile("adam", "mse")
    with pytest.raises(Exception, match="not without data"):
        graph.build(model, (keras.KerasTensor((None, 3)), keras.KerasTensor((None, 1))))
    assert (model.calls, model.seen, model.built) == (0, [], False)
    assert model.generator.normal() == np.random.default_rng(0).normal()


class Holder(keras.Model):
    """Has a step of its own and no call."""

    def __init__(self):
        super().__init__()
        self.inner = keras.Sequential([keras.Input((3,)), layers.Dense(2)])


def test_a_model_that_is_never_called_has_the_weights_of_its_layers():
    assert graph.has_weights(Holder())
    unbuilt = Holder()
    unbuilt.other = layers.Dense(2)
    assert not graph.has_weights(unbuilt)


def test_building_makes_what_the_first_step_needs_and_leaves_the_optimizer():
    model = keras.Sequential([layers.Dense(2), layers.Dense(1)])
    model.compile("adam", "mse", metrics=["mae"])
    assert not graph.has_weights(model)
    graph.build(model, (keras.KerasTensor((None, 3)), keras.KerasTensor((None, 1))))
    assert graph.has_weights(model)
    assert model._compile_metrics.built
    assert model._compile_loss.built
    assert [tuple(v.shape) for v in model.trainable_variables] == [(3, 2), (2,), (2, 1), (1,)]
    assert not model.optimizer.built
    kernel = np.asarray(model.layers[0].kernel.value)
    graph.build(model, None)  # once is enough
    np.testing.assert_array_equal(model.layers[0].kernel.value, kernel)


@pytest.mark.filterwarnings("ignore:When providing `inputs` as a dict")
def test_inputs_are_put_into_the_structure_that_the_model_takes():
    a, b = keras.Input((2,), name="b_in"), keras.Input((3,), name="a_in")
    model = keras.Model({"zz": a, "aa": b}, layers.Concatenate()([a, b]))
    expected = {"zz": 1, "aa": 2}
    assert graph.as_taken(model, {"b_in": 1, "a_in": 2}) == expected
    assert graph.as_taken(model, {"a_in": 2, "b_in": 1}) == expected
    assert graph.as_taken(model, expected) is expected
    assert graph.inputs_by_name(model, {"zz": 1, "a_in": 2}) is None


@pytest.mark.filterwarnings("ignore:When providing `inputs` as a dict")
def test_keys_go_before_names_where_they_are_crossed():
    a, b = keras.Input((2,), name="right"), keras.Input((3,), name="left")
    model = keras.Model({"left": a, "right": b}, layers.Concatenate()([a, b]))
    given = {"left": 1, "right": 2}
    named = graph.inputs_by_name(model, given)
    inputs = graph.operations(model).inputs
    assert named == [1 if tensor is a else 2 for tensor in inputs]
    assert graph.as_taken(model, given) is given


def test_what_sees_the_inputs_is_found_behind_what_learns_nothing():
    first, second = keras.Input((8, 8, 3)), keras.Input((4,))
    inner = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(2, 3), layers.Conv2D(2, 3)])
    image = layers.Flatten()(inner(layers.Rescaling(1 / 255)(first)))
    table = layers.Dense(3)(layers.BatchNormalization()(second))
    model = keras.Model([first, second], layers.Dense(1)(layers.Concatenate()([image, table])))
    kinds = sorted(type(layer).__name__ for layer in graph.taking(model))
    assert kinds == ["BatchNormalization", "Conv2D"]
    assert graph.taking(keras.layers.Dense(2)) == []


def parents(model):
    return {
        layer.path: layer.parents
        for layer in graph.described(model, enumerate(graph.layers(model)), None).layers
    }


def test_branches_and_gates_are_told_apart():
    given = keras.Input((8, 8, 4))
    x = layers.Conv2D(4, 3, padding="same", name="conv")(given)
    gate = layers.GlobalAveragePooling2D(keepdims=True, name="pool")(x)
    gate = layers.Conv2D(4, 1, activation="sigmoid", name="gate")(gate)
    scaled = layers.Multiply(name="product")([x, gate])
    y = layers.Conv2D(4, 1, name="end")(keras.ops.relu(scaled * gate + given) + x)
    assert parents(keras.Model(given, y)) == {
        "conv": (),
        "pool": ("conv",),
        "gate": ("pool",),
        "product": ("conv",),
        "end": ("conv", "product"),
    }


def test_a_product_of_equals_comes_from_both():
    given = keras.Input((4,))
    a, b = (layers.Dense(4, name=name)(given) for name in "ab")
    assert parents(keras.Model(given, a * b + layers.Dense(4, name="c")(a * b)))["c"] == ("a", "b")


def test_ways_lead_into_models_inside_and_out_of_them():
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4, name="x")], name="inner")
    given = keras.Input((4,))
    found = parents(
        keras.Model(given, layers.Dense(2, name="z")(inner(layers.Dense(4, name="y")(given))))
    )
    assert found == {"y": (), "inner/x": ("y",), "inner": ("inner/x",), "z": ("inner",)}


def test_layers_of_an_unknown_structure_stand_in_a_row():
    class Block(layers.Layer):
        def __init__(self):
            super().__init__(name="block")
            self.second, self.first = layers.Dense(4, name="second"), layers.Dense(4, name="first")

        def call(self, x):
            return x + self.second(self.first(x))

    given = keras.Input((4,))
    y = layers.Dense(2, name="z")(Block()(layers.Dense(4, name="y")(given)))
    found = parents(keras.Model(given, y))
    assert found["block/second"] == ("y",)
    assert found["block/first"] == ("block/second",)  # as made: nobody saw them run
    assert found["z"] == ("block",)


def test_shared_layers_and_layers_that_hold_each_other_come_to_an_end():
    shared, given = layers.Dense(4, name="shared"), keras.Input((4,))
    model = keras.Model(given, layers.concatenate([shared(given), shared(shared(given))], name="c"))
    assert parents(model) == {"shared": (), "c": ("shared",)}
    one, other = layers.Layer(name="one"), layers.Layer(name="other")
    one.held, other.held = other, one
    assert set(parents(one)) == {"other"}


def test_layers_that_were_not_asked_for_are_passed_through():
    model = keras.Sequential([keras.Input((4,)), *(layers.Dense(4, name=name) for name in "abc")])
    nodes = [(i, node) for i, node in enumerate(graph.layers(model)) if node.path != "b"]
    assert graph.described(model, nodes, None).layers[-1].parents == ("a",)
