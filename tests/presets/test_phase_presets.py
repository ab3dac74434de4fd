"""schoenholz-2017 and pennington-2017 in small: the same code, and claims that can fail."""

from math import inf, sqrt

import numpy as np
import pytest

from keras_initscope import presets
from keras_initscope.presets import pennington_2017, schoenholz_2017
from keras_initscope.presets.pennington_2017 import KINDS
from keras_initscope.presets.phase_picture import Phases, draw_phases, edges
from keras_initscope.presets.side_by_side import Shape
from keras_initscope.theory.meanfield import chi_1, variance_map
from keras_initscope.theory.nonlinearities import nonlinearity

SHAPE = Shape(64, 3, 12)


def _table(half_over_xi, at_the_deepest=0.95):
    """Accuracies of .9 down to the depth given, and none below it."""
    grid = schoenholz_2017
    rows = []
    for variance in grid.VARIANCES:
        edge = half_over_xi * schoenholz_2017.theory(variance).xi_c
        for depth in range(5, 101, 5):
            accuracy = at_the_deepest if depth < edge else 0.1
            rows.append({"weight_variance": variance, "depth": depth, "accuracy": accuracy})
    return rows


def _failed(name, rows):
    verdicts = [claim.check(rows) for claim in presets.get(name).expects]
    return [verdict.claim for verdict in verdicts if not verdict.met]


def test_a_tent_of_six_correlation_lengths_meets_all_claims():
    assert _failed("schoenholz-2017", _table(6)) == []


@pytest.mark.parametrize(("lengths", "best"), [(3, 0.95), (20, 0.95), (6, 0.75)])
def test_another_tent_does_not(lengths, best):
    assert _failed("schoenholz-2017", _table(lengths, best)) != []


def test_the_correlation_lengths_quoted_are_those_of_theory():
    assert schoenholz_2017.theory().critical_weight_variance == pytest.approx(1.76095, abs=1e-5)
    for variance, lengths in ((1.4, 9.3), (2.25, 6.6), (1.0, 27.5), (4.0, 14.3)):
        found = 100 / schoenholz_2017.theory(variance).xi_c
        assert found == pytest.approx(lengths, rel=5e-3)


@pytest.mark.parametrize(
    ("accuracies", "depth"),
    [
        ([0.9, 0.7, 0.3, 0.1], 25.0),
        ([0.9, 0.9, 0.9, 0.9], inf),
        ([0.1, 0.1, 0.1, 0.1], 0.0),
        ([0.9, 0.3, 0.6, 0.2], 32.5),
    ],
)
def test_the_depth_of_one_half_lies_between_the_depths_of_the_table(accuracies, depth):
    rows = [
        {"weight_variance": 1.0, "depth": 10 * number, "accuracy": accuracy}
        for number, accuracy in enumerate(accuracies, 1)
    ]
    assert schoenholz_2017.half_depth(rows[::-1], 1.0) == pytest.approx(depth)


def test_all_sizes_are_of_one_draw():
    unit = schoenholz_2017._unit_weights(SHAPE, 3)
    double = schoenholz_2017.sized(unit, 4.0)
    for (kernel, bias), (larger, same) in zip(unit, double, strict=True):
        np.testing.assert_allclose(larger, 2 * kernel)
        np.testing.assert_array_equal(bias, same)
    hidden = schoenholz_2017._unit_weights(Shape(64, 9, 40), 0).hidden
    assert np.var(hidden[0]) * 40 == pytest.approx(1, abs=4 * sqrt(2 / hidden[0].size))
    assert np.var(hidden[1]) == pytest.approx(0.05, rel=4 * sqrt(2 / hidden[1].size))


def test_a_small_phase_diagram_has_a_row_a_network(tmp_path):
    result = presets.run(
        "schoenholz-2017", tmp_path, width=8, steps=3, depths=(3, 2), variances=(2.0, 1.0)
    )
    places = [(row["weight_variance"], row["depth"]) for row in result.rows]
    assert places == [(1.0, 2), (1.0, 3), (2.0, 2), (2.0, 3)]
    assert [path.name for path in result.files] == ["table.csv", "phases.png"]
    assert all(0 <= row["lowest"] <= row["accuracy"] <= 1 for row in result.rows)


def test_the_cells_of_a_picture_meet_half_way():
    np.testing.assert_allclose(edges([1, 4, 16]), [0.5, 2, 8, 32])


def test_one_cell_makes_a_picture(tmp_path):
    line = np.array([1.0, 2.0]), np.array([5.0, inf])
    phases = Phases([1.5], [3], np.array([[0.4]]), 1.76, line, "x", "line")
    assert draw_phases(tmp_path / "p.png", "T", phases).stat().st_size > 3000


@pytest.mark.parametrize("name", [name for name in KINDS if name.startswith("tanh")])
def test_the_tanh_networks_are_critical_at_the_variance_claimed(name):
    weights = KINDS[name].weights(Shape(64, 3, 256), 0)
    tanh, q = nonlinearity("tanh"), pennington_2017.VARIANCE
    weight, bias = 256 * np.var(weights.hidden[0]), float(np.var(weights.hidden[1]))
    first = 64 * np.var(weights.first[0])  # of inputs of mean square 1
    assert float(chi_1(tanh, q, weight)) == pytest.approx(1, rel=0.03)
    assert float(variance_map(tanh, q, weight, bias)) == pytest.approx(q, rel=0.03)
    assert first + bias == pytest.approx(q, rel=0.05)


def test_orthogonal_kernels_are_orthogonal_and_the_others_are_not():
    for name, kind in KINDS.items():
        kernel = kind.weights(SHAPE, 1).hidden[0][0]
        squares = np.linalg.svd(kernel, compute_uv=False) ** 2
        assert (np.ptp(squares) < 1e-4) == name.endswith("orthogonal")


def test_a_small_comparison_of_weights_has_a_row_a_kind(tmp_path):
    result = presets.run("pennington-2017", tmp_path, depth=3, width=8, steps=6, seeds=1)
    assert [row["network"] for row in result.rows] == list(KINDS)
    assert all(row["rate"] in pennington_2017.RATES for row in result.rows)
    assert all(row["steps"] <= 6 for row in result.rows)


def test_steps_are_counted_to_the_level():
    falling = np.linspace(1, 0, 101)
    assert pennington_2017.steps_to(falling) == 54  # steps 50 to 54 have a mean below one half
    assert pennington_2017.steps_to(falling + 1) == inf
    assert pennington_2017.steps_to(np.full(50, np.nan)) == inf
