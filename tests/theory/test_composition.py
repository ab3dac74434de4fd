"""Local maps add up over chains and residual sums as one would count by hand."""

import pytest

from keras_initscope.theory.composition import Residual, composed, maximal


def test_a_chain_of_chains_is_a_chain():
    def square(x):
        return x * x + 0.1

    assert composed((2, (1, 3)), square, 0.2) == composed(6, square, 0.2)
    assert maximal(5, lambda x: 1.1 * x, 1.0) == pytest.approx(1.1**5)


def test_a_residual_sum_averages_its_paths_and_its_branch_alone_may_be_the_worst():
    block = Residual(branch=4, shortcut=1, shortcut_share=0.75)
    double = 0.75 * 2 + 0.25 * 16
    assert composed((block, block), lambda x: 2 * x, 1.0) == pytest.approx(double**2)
    assert maximal((block,), lambda x: 2 * x, 1.0) == 16
    nested = Residual(branch=(Residual(branch=9, shortcut_share=0.9),), shortcut_share=0.9)
    assert maximal((nested, 1), lambda x: x + 1, 0.0) == 9
    with pytest.raises(ValueError, match="between 0 and 1"):
        Residual(branch=1, shortcut_share=1.5)
