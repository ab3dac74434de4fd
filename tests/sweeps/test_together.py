"""Networks trained together: the numbers of one fit a network, whatever it takes."""

import keras
import numpy as np
import pytest

from keras_initscope.sweeps import Grid, Training, compare
from keras_initscope.sweeps.together import Together

DRAW = np.random.default_rng(0)
X = DRAW.normal(size=(72, 8)).astype("float32")
Y = np.sign(X[:, :1] * X[:, 1:2])
PARTS = (X[:50], Y[:50]), (X, Y)  # 50 examples are 3 batches of 16 and one of 2
L = keras.layers


def dense(initializer="glorot_normal"):
    return [L.Dense(16, "tanh", kernel_initializer=initializer)]


def normalized(initializer="glorot_normal"):
    return [L.Dense(16, kernel_initializer=initializer), L.BatchNormalization(), L.ReLU()]


def dropping(initializer="glorot_normal"):
    return [L.Dense(16, "relu", kernel_initializer=initializer), L.Dropout(0.5)]


def convolving(initializer="glorot_normal"):
    convolution = L.Conv2D(4, 2, activation="relu", kernel_initializer=initializer)
    return [L.Reshape((2, 4, 1)), convolution, L.GlobalAveragePooling2D()]


def regularized(initializer="glorot_normal"):
    return [
        L.Dense(16, "tanh", kernel_initializer=initializer, kernel_regularizer="l2"),
        L.ActivityRegularization(0.1),
    ]


def recurrent(initializer="glorot_normal"):
    return [L.Reshape((2, 4)), L.LSTM(4, kernel_initializer=initializer)]


def constrained(initializer="glorot_normal"):
    return [L.Dense(16, "relu", kernel_initializer=initializer, kernel_constraint="unit_norm")]


def network(layers, known=True):
    inputs = [keras.Input((8,))] if known else []
    return keras.Sequential([*inputs, *layers, L.Dense(1)])


def functional(initializer="glorot_normal"):
    x = inputs = keras.Input((8,))
    for _ in range(2):
        x = L.Add()([x, L.Dense(8, "relu", kernel_initializer=initializer)(x)])
    return keras.Model(inputs, L.Dense(1)(x))


GRID = Grid(initializers=("he_normal", "glorot_normal"), learning_rates=(0.1, 0.01), seeds=(3, 4))


def both(build, training=None, grid=GRID, data=PARTS, **more):
    """Rows of networks trained together and one by one, and what was told of the former."""
    told = []
    how = {"loss": "mse", "epochs": 2, "batch_size": 16, "look": False, **(training or {})}
    found = compare(build, data, grid, Training(together=True, **how), jobs=1, progress=told.append)
    alone = compare(build, data, grid, Training(**how), jobs=1)
    return found, alone, [line for line in told if line.startswith("left")]


def assert_same(found, alone, tolerance=2e-5):
    """Float32 rounds by 6e-8 an operation; a dozen steps here were seen to differ by 2e-6."""
    assert found.failed == alone.failed == ()
    for mine, other in zip(found.rows, alone.rows, strict=True):
        assert list(mine) == list(other)
        for name, value in other.items():
            if isinstance(value, float):
                assert mine[name] == pytest.approx(value, rel=tolerance, nan_ok=True), name
            else:
                assert mine[name] == value


@pytest.mark.slow
@pytest.mark.parametrize(
    "hidden", [dense, normalized, dropping, convolving, regularized, recurrent, constrained]
)
def test_layers_train_as_in_fits_of_their_own(hidden):
    found, alone, left = both(lambda initializer: network(hidden(initializer)))
    assert left == []
    assert_same(found, alone)
    assert len({row["loss"] for row in found.rows}) == 8


@pytest.mark.slow
@pytest.mark.parametrize(
    "optimizer",
    [
        lambda rate: keras.optimizers.SGD(rate, momentum=0.9, nesterov=True, clipnorm=0.5),
        "adam",
        lambda rate: keras.optimizers.AdamW(rate, weight_decay=0.1, global_clipnorm=0.3),
        "nadam",
        "rmsprop",
        "adagrad",
        "adadelta",
        "adamax",
        "adafactor",
        "ftrl",
        "lion",
        keras.optimizers.Lamb,
        keras.optimizers.Muon,
    ],
)
def test_optimizers_of_keras_step_as_in_fits_of_their_own(optimizer):
    found, alone, left = both(
        lambda: network([L.Dense(16, "tanh"), L.Dense(16, "tanh")]),
        {"optimizer": optimizer},
        Grid(learning_rates=(0.01, 0.003), seeds=(0, 1)),
    )
    assert left == []
    assert_same(found, alone)
    assert len({row["loss"] for row in found.rows}) == 4


SHORT = {"loss": "mse", "epochs": 1, "batch_size": 16, "look": False, "together": True}
FEW = Grid(learning_rates=(0.1, 0.01), seeds=(0,))


def together(build, grid=FEW, log_dir=None, jobs=1, **more):
    """Rows of networks trained together, and each line told."""
    told = []
    training = Training(**{**SHORT, **more})
    return compare(build, PARTS, grid, training, log_dir, jobs, told.append), told


def test_loss_and_metrics_are_those_of_fits_of_their_own():
    def build():
        model = network(dense(), known=False)  # it is built by its first batch
        model.compile(keras.optimizers.Adam(0.5), "mae", metrics=["mse", keras.metrics.R2Score()])
        return model

    found, alone, left = both(build, {"loss": None, "steps": 6}, FEW)
    assert_same(found, alone)
    assert "r2_score" in found.rows[0]
    assert left == []


def test_a_network_that_diverges_leaves_its_neighbours_as_they_are():
    def losses(rates):
        result, _ = together(lambda: network(dense()), Grid(learning_rates=rates, seeds=(0, 1)))
        return {(row["learning_rate"], row["seed"]): row["loss"] for row in result.rows}

    among, without = losses((0.1, 1e38)), losses((0.1, 0.01))
    assert np.isnan([among[1e38, 0], among[1e38, 1]]).all()
    # Matrices of the group are multiplied one by one, so that nothing is added in another order.
    assert [among[0.1, seed] for seed in (0, 1)] == [without[0.1, seed] for seed in (0, 1)]


def test_a_number_that_no_configuration_shows_is_not_taken_for_that_of_another():
    def build(gain):
        def steep(x):  # Keras knows it by this name
            return keras.ops.tanh(gain * x)

        return network([L.Dense(16, steep)])

    grid = Grid(learning_rates=(0.1,), others={"gain": (0.5, 2.0)})
    result, told = together(build, grid)
    assert told[1].endswith("their first step is another when they are on their own")
    assert result.failed == ()
    alone, _ = together(build, grid, together=False)
    assert [row["loss"] for row in result.rows] == pytest.approx(
        [row["loss"] for row in alone.rows], rel=2e-5
    )


class OwnStep(keras.Sequential):
    def train_step(self, data):
        return super().train_step(data)


class Counting(keras.layers.Layer):
    """Draws from the seed that Keras keeps for all."""

    def call(self, x):
        return x + keras.random.normal((8,))


def averaging(rate):
    return keras.optimizers.SGD(rate, use_ema=True)


@pytest.mark.parametrize(
    ("build", "more", "reason"),
    [
        (lambda: OwnStep([keras.Input((8,)), L.Dense(1)]), {}, "a `train_step` of its own"),
        (lambda: network([Counting()]), {}, "a variable that is not the model's own"),
        (lambda: network([]), {"optimizer": averaging}, "their optimizer averages weights"),
    ],
)
def test_what_cannot_be_trained_together_is_trained_one_by_one(build, more, reason):
    result, told = together(build, **more)
    assert told[0].startswith("left to be run one by one: 2 of a group")
    assert reason in told[0]
    assert result.failed == ()
    assert len(told) == 3


def test_a_network_that_fails_fails_alone():
    def build(initializer):
        if initializer == "zeros":
            raise RuntimeError("not zeros")
        return network(dense(initializer))

    grid = Grid(initializers=("he_normal", "zeros"), learning_rates=(0.1,), seeds=(0, 1))
    result, told = together(build, grid)
    assert told[-1].startswith("4/4  initializer=zeros, learning_rate=0.1, seed=1: FAILED")
    assert [row["error"] for row in result.rows] == ["", ""] + 2 * ["RuntimeError: not zeros"]


def test_what_is_finished_is_not_run_again_in_whatever_way(tmp_path):
    def build():
        return network(dense())

    def seeds(*numbers):
        return Grid(learning_rates=(0.1,), seeds=numbers)

    first, _ = together(build, seeds(0, 1), tmp_path)
    second, told = together(build, seeds(0, 1, 2, 3), tmp_path)
    assert [line.split("  ")[0] for line in told[1:]] == ["3/4", "4/4"]
    assert told[0] == "2 of 4 cells are finished already"
    assert second.rows[:2] == first.rows
    last, told = together(build, seeds(0, 1, 2, 3), tmp_path, together=False)
    assert last.rows == second.rows
    assert told == ["4 of 4 cells are finished already"]


CELLS = [
    {"initializer": name, "depth": depth, "scale": scale, "learning_rate": 0.1, "seed": seed}
    for name in ("zeros", "ones")
    for depth in (1, 2)
    for scale in (0.5, 1.0)
    for seed in range(25)
]


@pytest.mark.parametrize(
    ("count", "workers", "sizes"),
    [(200, 1, [50] * 4), (200, 4, [50] * 4), (200, 8, [25] * 8), (3, 8, [2]), (1, 1, [])],
)
def test_groups_are_of_one_architecture_and_enough_for_all_workers(count, workers, sizes):
    groups = Together(None).groups(dict(enumerate(CELLS[:count])), workers)
    assert [len(group) for group in groups] == sizes
    for group in groups:
        assert len({cell["depth"] for cell in group.values()}) == 1


@pytest.mark.slow
def test_the_number_of_jobs_does_not_matter():
    grid = Grid(learning_rates=(0.1, 0.01), seeds=(0, 1, 2))
    rows = [together(lambda: network(dense()), grid, jobs=jobs)[0].rows for jobs in (1, 2)]
    for one, two in zip(*rows, strict=True):
        assert one["loss"] == pytest.approx(two["loss"], rel=2e-5)


@pytest.mark.slow
def test_findings_are_those_of_networks_on_their_own():
    found, alone, left = both(lambda: network(dense()), {"look": True}, FEW)
    assert left == []
    assert_same(found, alone)
    assert found.rows[0]["findings"]
