"""A user's own networks compared: what they receive, what is told of them, what decides."""

import keras
import numpy as np
import pytest

from keras_initscope.initializers import HeAverageNormal
from keras_initscope.sweeps import Grid, SweepError, Training, compare

X = np.random.default_rng(0).normal(size=(96, 8)).astype("float32")
Y = np.sign(X[:, :1] * X[:, 1:2])
SHORT = Training(loss="mse", epochs=2, look=False)


def stack(initializer="glorot_normal", activation="tanh", depth=2, width=16):
    hidden = [
        keras.layers.Dense(width, activation, kernel_initializer=initializer) for _ in range(depth)
    ]
    return keras.Sequential([keras.Input((8,)), *hidden, keras.layers.Dense(1)])


def received(grid, **more):
    """What `build` is called with in each cell."""
    calls = []

    def build(**given):
        calls.append(given)
        return stack(**given)

    result = compare(build, (X, Y), grid, SHORT, jobs=1, **more)
    assert result.failed == ()
    return calls


def test_build_receives_what_it_takes():
    def narrow(depth):
        return stack(depth=depth)

    grid = Grid(depths=(1, 2), learning_rates=(0.1,), seeds=(0, 1))
    result = compare(narrow, (X, Y), grid, SHORT, jobs=1)
    assert result.settings == ("depth", "learning_rate", "seed")
    assert [(row["depth"], row["seed"]) for row in result.rows] == [(1, 0), (1, 1), (2, 0), (2, 1)]
    assert result.failed == ()


def test_defaults_are_varied_where_build_takes_them():
    cells = Grid().cells(stack)
    assert cells[0] == {
        "initializer": "glorot_normal",
        "activation": "relu",
        "learning_rate": 0.1,
        "seed": 0,
    }
    assert len(cells) == 3 * 2 * 2
    assert len(Grid().cells(lambda width: None)) == 2


def test_names_of_ones_own_stand_for_initializers_and_functions():
    grid = Grid(
        initializers={"average": lambda seed: HeAverageNormal(seed=seed)},
        activations={"ours": keras.ops.arctan},
        learning_rates=(0.1,),
        others={"width": (4,)},
    )
    (given,) = received(grid)
    assert isinstance(given["initializer"], HeAverageNormal)
    assert isinstance(given["initializer"].seed, keras.random.SeedGenerator)
    assert (given["activation"], given["width"]) == (keras.ops.arctan, 4)


@pytest.mark.parametrize(
    ("grid", "words"),
    [
        (Grid(depths=(3,)), r"takes \['width'\] and lacks \['depth'\]"),
        (Grid(others={"height": (3,)}), r"lacks \['height'\]"),
        (
            Grid(learning_rates=()),
            r"at least one learning_rate, in a tuple or list\. Received: \(\)",
        ),
        (Grid(seeds=3), r"at least one seed, in a tuple or list\. Received: 3"),
    ],
)
def test_a_grid_that_does_not_fit_is_refused(grid, words):
    with pytest.raises(SweepError, match=words):
        compare(lambda width=3: stack(width=width), (X, Y), grid, SHORT, jobs=1)


def never(initializer="zeros"):
    pytest.fail("nothing is built before it is checked")


@pytest.mark.parametrize(
    ("build", "grid", "training", "words"),
    [
        (stack(), {}, {}, "`build` must be a function that returns a Keras model"),
        (
            lambda foo, initializer: None,
            {},
            {},
            r"`build` needs \['foo'\], which the grid does not",
        ),
        (lambda seed: None, {}, {}, r"`build` needs \['seed'\], which the grid does not give"),
        (lambda initializer, /: None, {}, {}, r"needs \['initializer'\], which the grid"),
        (never, {"seeds": (-1,)}, {}, r"Seeds must be integers from 0 to .*Received: -1\."),
        (never, {"seeds": (0.5,)}, {}, r"Seeds must be .*Received: 0\.5\."),
        (never, {"seeds": (2**40,)}, {}, r"Seeds must be .*Received: 1099511627776\."),
        (never, {"learning_rates": ("a",)}, {}, "Learning rates must be .*Received: 'a'"),
        (never, {"learning_rates": (np.nan,)}, {}, "Learning rates must be .*Received: nan"),
        (
            never,
            {"initializers": {"a": keras.initializers.HeNormal()}},
            {},
            r"must stand for functions .* \(of type HeNormal\) for 'a'\. Write it as `lambda seed",
        ),
        (never, {}, {"optimizer": "sdg"}, r"Received: 'sdg'\. Did you mean 'sgd'"),
        (
            never,
            {},
            {"optimizer": keras.optimizers.SGD()},
            r"\(of type SGD\)\. Write it as `lambda",
        ),
        (never, {}, {"loss": "nope"}, "Each loss must be one that Keras knows .*Received: 'nope'"),
        (never, {}, {"loss": ["mse", "nope"]}, "Each loss must be .*Received: 'nope'"),
        (never, {}, {"metrics": ("acc", "nope")}, "Each metric must be .*Received: 'nope'"),
        (never, {}, {"metrics": "mae"}, r"in a tuple or list\. Received: 'mae'"),
        (never, {}, {"objective": "accuracy"}, r"Received: 'accuracy', and a training without"),
    ],
)
def test_what_would_fail_in_each_network_is_refused_before_the_first(build, grid, training, words):
    with pytest.raises(SweepError, match=words):
        compare(build, (X, Y), Grid(**grid), Training(**{"loss": "mse", **training}), jobs=1)


def test_an_objective_that_no_column_has_is_told():
    training = Training(loss="mse", metrics=("mae",), epochs=1, look=False, objective="mea")
    result = compare(lambda: stack(), (X, Y), Grid(learning_rates=(0.1,)), training, jobs=1)
    assert "No column is named 'mea', to rank by. There are ['loss', 'mae', " in str(result)


def test_each_different_error_is_shown_whole():
    def build(depth):
        raise RuntimeError("the network has " + "very " * 20 + "many layers, such as " + str(depth))

    grid = Grid(depths=(1, 2), learning_rates=(0.1,), seeds=(0, 1))
    lines = str(compare(build, (X, Y), grid, SHORT, jobs=1)).splitlines()
    very = "very " * 20
    assert lines[-2:] == [
        f"- 2 cells: RuntimeError: the network has {very}many layers, such as {depth}"
        for depth in (1, 2)
    ]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (X, r"Received: ndarray\."),
        ((X, Y, X, Y), r"Received: a tuple of 4\."),
        ((X, Y[:5]), r"as many examples, and at least one\. Received: \[5, 96\]"),
        ((X[:0], Y[:0]), r"Received: \[0\]"),
        (([[1, 2], [3]], [1, 2]), r"rows of the same length\. NumPy says"),
        ((3.0, 4.0), r"Received: 3\.0 \(of type float\) in place of an array"),
        (([], []), r"Received: \[0\]"),
        (iter([(X, Y)]), r"or a generator give the arrays\. Received: list_iterator"),
    ],
)
def test_data_that_is_none_is_refused(data, words):
    with pytest.raises(SweepError, match=words):
        compare(stack, data, Grid(), SHORT, jobs=1)


def test_lists_of_numbers_are_arrays():
    grid = Grid(initializers=("he_normal",), activations=("tanh",), learning_rates=(0.1,))
    arrays, lists = (
        compare(stack, data, grid, SHORT, jobs=1) for data in ((X, Y), (X.tolist(), Y.tolist()))
    )
    assert arrays.failed == ()
    assert arrays.rows == lists.rows
    two = compare(stack, (X[:2].tolist(), Y[:2].tolist()), grid, SHORT, jobs=1)
    assert two.rows == compare(stack, (X[:2], Y[:2]), grid, SHORT, jobs=1).rows


def test_lists_of_arrays_are_several_inputs_and_targets():
    def build():
        inputs = [keras.Input((8,)) for _ in range(2)]
        names = ("one", "other")
        outputs = [
            keras.layers.Dense(1, name=name)(each) for name, each in zip(names, inputs, strict=True)
        ]
        return keras.Model(inputs, outputs)

    training = Training(loss=["mse", "mae"], epochs=1, look=False)
    grid = Grid(learning_rates=(0.1,))
    bare = compare(build, ([X, X], [Y, Y]), grid, training, jobs=1)
    assert bare.failed == ()
    pairs = ([X, X], [Y, Y]), ([X, X], [Y, Y])
    assert compare(build, pairs, grid, training, jobs=1).rows == bare.rows


def test_data_that_cannot_be_loaded_is_loaded_once():
    calls = []

    def data():
        calls.append(1)
        raise OSError("no file")

    result = compare(stack, data, Grid(), SHORT, jobs=1)
    assert {row["error"] for row in result.rows} == {"OSError: no file"}
    assert calls == [1]


def test_the_losses_are_those_of_the_examples_to_judge_by():
    calls = []

    def data():
        calls.append(1)
        return (X[:64], Y[:64]), (X[64:], Y[64:])

    models = []

    def build():
        models.append(stack())
        return models[-1]

    training = Training(loss="mse", metrics=("mae",), steps=3, look=False)
    result = compare(build, data, Grid(learning_rates=(0.1, 0.2)), training, jobs=1)
    for row, model in zip(result.rows, models, strict=True):
        error = np.asarray(model(X[64:])) - Y[64:]
        assert row["loss"] == pytest.approx(np.mean(error**2), rel=1e-5)
        assert row["mae"] == pytest.approx(np.mean(np.abs(error)), rel=1e-5)
        assert int(model.optimizer.iterations) == 3
    assert calls == [1]
    assert [float(model.optimizer.learning_rate) for model in models] == pytest.approx([0.1, 0.2])


def test_a_model_that_is_compiled_keeps_how():
    models = []

    def build():
        model = stack()
        model.compile(keras.optimizers.Adam(0.5), "mae")
        models.append(model)
        return model

    compare(build, (X, Y), Grid(learning_rates=(0.01,)), Training(epochs=1, look=False), jobs=1)
    assert (type(models[0].optimizer).__name__, models[0].loss) == ("Adam", "mae")
    assert float(models[0].optimizer.learning_rate) == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: stack(), "SweepError: There is no loss: name one in `Training"),
        (lambda: 3, "SweepError: `build` must return a Keras model. Received: 3 (of type int)."),
        (lambda: {}["x"], "KeyError: 'x'"),
    ],
)
def test_a_network_that_fails_says_why(build, words):
    result = compare(build, (X, Y), Grid(learning_rates=(0.1,)), Training(look=False), jobs=1)
    assert result.rows[0]["error"].startswith(words)
    assert result.best is None
    assert "1 of 1 networks failed." in str(result)


MODEL, SHARED = stack(), keras.layers.Dense(16)


@pytest.mark.parametrize(
    ("again", "named"),
    [
        (lambda: MODEL, "Sequential"),
        (lambda: keras.Sequential([keras.Input((8,)), SHARED, keras.layers.Dense(1)]), "Dense"),
    ],
)
@pytest.mark.parametrize("together", [True, False])
def test_a_network_that_was_trained_before_is_refused(again, named, together):
    training = Training(loss="mse", epochs=1, look=False, together=together)
    rates = Grid(learning_rates=(0.1, 0.01, 0.2))
    result = compare(lambda: again(), (X, Y), rates, training, jobs=1)
    words = f"`build` must return a new model with new layers each time. Received: {named}"
    assert all(words in row["error"] for row in result.rows[1:])


def test_layers_that_are_not_trained_may_be_shared():
    frozen = keras.layers.Dense(16)
    frozen.trainable = False

    def build():
        return keras.Sequential([keras.Input((8,)), frozen, keras.layers.Dense(1)])

    assert compare(build, (X, Y), Grid(), SHORT, jobs=1).failed == ()


def test_a_loss_that_keras_would_change_on_the_way_is_refused():
    with pytest.raises(SweepError, match="to another process as it is"):
        compare(stack, (X, Y), None, Training(loss=keras.losses.Huber(0.25)), jobs=1)
    training = Training(loss=keras.losses.Huber(), metrics=[keras.metrics.AUC(name="auc")])
    result = compare(lambda: 3, (X, Y > 0), Grid(), training, jobs=1)
    assert len(result.failed) == len(result.rows)  # for there is no model


def test_what_was_wrong_at_the_start_stands_beside_what_came_of_it():
    grid = Grid(initializers=("he_normal", "zeros"), depths=(4,), learning_rates=(0.05,))

    def build(initializer, depth):
        return stack(initializer, "relu", depth, 32)

    result = compare(build, (X, Y), grid, Training(loss="mse", epochs=1), jobs=1)
    healthy, dead = result.rows
    assert "B3" in dead["findings"].split()
    assert "B3" not in healthy["findings"].split()
    assert (dead["signal_left"], dead["gradient_left"]) == (0, 0)
    # He's initializer keeps both on average; over 3 layers of 32 units a single network scatters by
    # sqrt(exp(3 * 5 / 32) - 1) = 0.77 of that, so a factor of 8 is far beyond it.
    assert 1 / 8 < healthy["signal_left"] < 8
    assert 1 / 8 < healthy["gradient_left"] < 8
    assert result.best["initializer"] == "he_normal"


def test_settings_are_ranked_by_their_means_and_failures_come_last():
    def build(depth):
        if depth == 3:
            raise RuntimeError("not three")
        return stack(depth=depth)

    grid = Grid(depths=(3, 1, 2), learning_rates=(0.1, 1e30), seeds=(0, 1, 2))
    result = compare(build, (X, Y), grid, SHORT, jobs=1)
    rates = [row["learning_rate"] for row in result.ranked]
    losses = [row["loss"] for row in result.ranked[:2]]
    assert rates[:2] == [0.1, 0.1]
    assert losses == sorted(losses)
    assert result.best == result.ranked[0]
    assert {row["depth"] for row in result.ranked[-2:]} <= {1, 2, 3}
    mine = [row["loss"] for row in result.rows if row["depth"] == 1 and row["learning_rate"] == 0.1]
    (found,) = [r for r in result.ranked if r["depth"] == 1 and r["learning_rate"] == 0.1]
    assert found["loss"] == pytest.approx(np.mean(mine), rel=1e-12)
    assert found["worst_loss"] == max(mine)
    assert found["seeds"] == 3
    assert "6 of 18 networks failed." in str(result)


def test_the_same_comparison_goes_on_and_another_one_does_not(tmp_path):
    grid = Grid(depths=(1,), learning_rates=(0.1,), initializers={"mine": lambda seed: "he_normal"})
    first = compare(stack, (X, Y), grid, SHORT, tmp_path, 1)
    lines = []
    again = compare(stack, (X, Y), grid, SHORT, tmp_path, 1, lines.append)
    assert again.rows == first.rows
    assert lines == ["2 of 2 cells are finished already"]
    for name, changed in {
        "build": (lambda depth, initializer, activation: stack(depth=depth), (X, Y), grid, SHORT),
        "data": (stack, (X, -Y), grid, SHORT),
        "training": (stack, (X, Y), grid, Training(loss="mse", epochs=3, look=False)),
    }.items():
        with pytest.raises(SweepError, match=f"another sweep: {name} was"):
            compare(*changed, tmp_path, 1)


def test_a_name_more_keeps_the_others_and_one_that_has_changed_is_run_again(tmp_path):
    def run(**makers):
        lines = []
        grid = Grid(initializers=makers, activations=("tanh",), learning_rates=(0.1,))
        result = compare(stack, (X, Y), grid, SHORT, tmp_path, 1, lines.append)
        return {row["initializer"]: row["loss"] for row in result.rows}, lines

    he, zeros = (lambda seed: "he_normal"), (lambda seed: "zeros")
    first, _ = run(a=he, b=zeros)
    grown, lines = run(a=he, b=zeros, c=zeros)
    assert (lines[0], len(lines)) == ("2 of 3 cells are finished already", 2)
    assert {**grown, **first} == grown
    changed, lines = run(a=he, b=zeros, c=he)
    assert "is of another function by the same name: its cell is run again" in lines[0]
    assert (lines[1], len(lines)) == ("2 of 3 cells are finished already", 3)
    assert changed["c"] == changed["a"] != grown["c"]


def test_neither_order_nor_neighbours_matter(tmp_path):
    def rows(seeds):
        grid = Grid(initializers=("he_normal",), activations=("tanh",), seeds=seeds)
        found = compare(stack, (X, Y), grid, SHORT, jobs=1).rows
        return {(row["learning_rate"], row["seed"]): row for row in found}

    forward, backward = rows((0, 1, 2)), rows((2, 0))
    assert all(forward[key] == row for key, row in backward.items())
    assert forward[0.1, 0]["loss"] != forward[0.1, 1]["loss"]


@pytest.mark.slow
def test_the_number_of_jobs_does_not_matter():
    """To rounding, since TensorFlow may add in another order with another number of threads."""

    def build(initializer, activation):
        layers = [
            keras.layers.Dense(64, activation, kernel_initializer=initializer) for _ in range(3)
        ]
        dropout = keras.layers.Dropout(0.2)
        return keras.Sequential([keras.Input((8,)), *layers, dropout, keras.layers.Dense(1)])

    big = np.tile(X, (500, 1)), np.tile(Y, (500, 1))  # large enough for joblib to map from the disk
    training = Training(loss="mse", steps=20)
    grid = Grid(initializers=("he_normal",), seeds=(0, 1))
    one, two = (compare(build, big, grid, training, jobs=jobs).rows for jobs in (1, 2))
    assert len(one) == 8
    for a, b in zip(one, two, strict=True):
        assert (a["findings"], a["error"], b["error"]) == (b["findings"], "", "")
        for name in ("loss", "train_loss", "signal_left", "gradient_left"):
            assert a[name] == pytest.approx(b[name], rel=1e-4, nan_ok=True), name
