"""Exponent buckets: exact counts, exact edges, readable bins."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_initscope.buckets import BUCKETS, collect, edges
from keras_initscope.writers import bins as rebinning

FINITE = np.array([b for b in range(BUCKETS) if (b % 2048) >> 3 != 255 and b != 2048])
GREATEST = float(np.finfo(np.float32).max)


def _bucket(values):
    """Sign, exponent and three mantissa bits, read off the float's bits by NumPy."""
    return (np.asarray(values, np.float32).view(np.uint32) >> 20).astype(np.int64)


def _histogram(values):
    return collect(np.asarray(values, np.float32))


def linear_bins(histogram, bins=30, limits=None):
    return rebinning.linear_bins([histogram], limits and [limits], bins)[0]


def log_bins(histogram):
    return rebinning.log_bins([histogram])[0]


def _normal(size=20_000, scale=1.0, seed=0):
    return (np.random.default_rng(seed).normal(size=size) * scale).astype(np.float32)


@settings(max_examples=400, deadline=None)
@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_every_finite_value_lies_between_the_edges_of_its_bucket(value):
    histogram = _histogram([value])
    lower, upper = edges(histogram.buckets)
    assert lower[0] <= value <= upper[0]
    if value > 0:
        assert value < upper[0]


def test_an_edge_belongs_to_the_bucket_away_from_zero():
    lower, _ = edges(FINITE)
    positive = FINITE < 2048
    np.testing.assert_array_equal(_bucket(lower[positive][1:]), FINITE[positive][1:])


def test_the_buckets_tile_the_float32_line():
    lower, upper = edges(FINITE)
    order = np.argsort(lower)
    np.testing.assert_array_equal(upper[order][:-1], lower[order][1:])
    assert lower.min() == -(2.0**128)
    assert upper.max() == 2.0**128


def test_each_power_of_two_is_cut_into_eight():
    lower, upper = edges(_bucket(1 + np.arange(8) / 8))
    np.testing.assert_array_equal(lower, 1 + np.arange(8) / 8)
    np.testing.assert_array_equal(upper, 1 + np.arange(1, 9) / 8)


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1.0, 1e30])
def test_counts_are_those_of_numpy_on_the_same_edges(scale):
    values = _normal(scale=scale)
    histogram = _histogram(values)
    lower, upper = edges(histogram.buckets)
    for low, high, count in zip(lower, upper, histogram.counts, strict=True):
        if low > 0:
            expected = np.count_nonzero((values >= low) & (values < high))
        elif high < 0:
            expected = np.count_nonzero((values > low) & (values <= high))
        else:
            expected = np.count_nonzero((values > low) & (values < high))
        assert count == expected
    # A continuous sample has no value on an edge, so NumPy's half-open bins agree on one side.
    positive = lower > 0
    grid = np.append(lower[positive], upper[positive][-1])
    gaps = np.flatnonzero(grid[1:] != upper[positive])
    counts = np.histogram(values.astype(np.float64), bins=grid)[0]
    np.testing.assert_array_equal(
        np.delete(counts, gaps), np.delete(histogram.counts[positive], gaps)
    )


def test_minus_zero_is_zero():
    histogram = _histogram([0.0, -0.0, -0.0, 1.0])
    np.testing.assert_array_equal(histogram.buckets, [0, _bucket([1.0])[0]])
    np.testing.assert_array_equal(histogram.counts, [3, 1])


def test_what_is_counted_is_left_alone():
    values = np.float32([[-0.0, 1.0]])
    values.flags.writeable = False
    collect(values)


@pytest.mark.parametrize("bins_of", [linear_bins, log_bins])
def test_non_finite_values_are_counted_and_spoil_no_bin(bins_of):
    values = _normal()
    spoilt = np.concatenate([values, [np.nan, np.inf, -np.inf]])
    assert _histogram(spoilt).total == values.size + 3
    np.testing.assert_array_equal(bins_of(_histogram(spoilt)), bins_of(_histogram(values)))


@pytest.mark.parametrize("values", [[], [np.nan], [np.inf, -np.inf]], ids=str)
def test_nothing_finite_gives_no_bins(values):
    assert linear_bins(_histogram(values)).shape == (0, 3)
    assert log_bins(_histogram(values)).shape == (0, 3)


def test_zeros_have_no_logarithm():
    assert log_bins(_histogram([0.0, -0.0])).shape == (0, 3)
    bins = linear_bins(_histogram([0.0, -0.0]))
    assert bins[:, 2].sum() == 2


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1))
def test_bins_are_contiguous_finite_and_keep_the_count(values):
    histogram = _histogram(values)
    bins = linear_bins(histogram)
    assert bins.shape == (30, 3)
    assert np.isfinite(bins).all()
    assert (bins[:, 2] >= 0).all()
    assert bins[:, 2].sum() == pytest.approx(len(values), rel=1e-9)
    np.testing.assert_array_equal(bins[1:, 0], bins[:-1, 1])
    assert (bins[:, 1] > bins[:, 0]).all()
    # The zero bucket also takes what is nearer to zero than any other bucket.
    nonzero = np.count_nonzero(np.abs(np.float32(values)) >= 2.0**-129)
    assert log_bins(histogram)[:, 2].sum() == pytest.approx(nonzero, rel=1e-9)


@pytest.mark.parametrize("outlier", [1e6, -1e6, 1e30])
def test_an_outlier_does_not_flatten_the_histogram(outlier):
    """Most of the bins stay where the data are; stretched to 1e6 they would hold all in one."""
    values = _normal()
    bins = linear_bins(_histogram(np.append(values, np.float32(outlier))))
    assert bins[:, 2].sum() == pytest.approx(values.size + 1)
    assert np.abs(bins[:, :2]).max() < 20
    assert np.count_nonzero(bins[:, 2] > 1) > 10
    end = bins[-1 if outlier > 0 else 0, 2]
    assert end >= 1  # the outlier is still counted


def test_a_normal_sample_keeps_its_shape():
    """Bin counts stay within four standard errors of the normal's, beside the bucket's width."""
    from math import erf

    values = _normal(200_000)
    bins = linear_bins(_histogram(values))
    cdf = [0.5 * (1 + erf(x / np.sqrt(2))) for x in np.append(bins[:, 0], bins[-1, 1])]
    expected = values.size * np.diff(cdf)
    # Inside a bucket, an eighth of an octave or less, counts are taken as even; the density's
    # change over it is the error.
    spread = 4 * np.sqrt(expected + 1) + 0.05 * expected.max()
    assert (np.abs(bins[:, 2] - expected) <= spread).all()


def test_logarithmic_bins_are_in_decades_and_ignore_the_sign():
    values = np.float32([1e-8, -1e-8, 1e-2, -1e-2, 1.0])
    bins = log_bins(_histogram(values))
    assert bins.shape == (30, 3)
    assert -8.06 < bins[0, 0] <= -8  # an eighth of an octave is at most 0.051 decades
    assert 0 < bins[-1, 1] < 0.06
    occupied = bins[bins[:, 2] > 0.5]
    np.testing.assert_allclose(occupied[:, :2].mean(axis=1), [-8, -2, 0], atol=0.3)
    np.testing.assert_allclose(occupied[:, 2], [2, 2, 1])


def test_the_greatest_and_the_least_floats_have_bins():
    values = [GREATEST, -GREATEST, 2.0**-149]
    assert np.isfinite(linear_bins(_histogram(values))).all()
    assert np.isfinite(log_bins(_histogram([GREATEST, 2.0**-126]))).all()


VALUES = st.floats(width=32) | st.sampled_from([0.0, 1.0, -1.0, 1e-40, 1e6])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(VALUES, max_size=12), max_size=8))
def test_many_are_rebinned_as_each_alone(tensors):
    histograms = [_histogram(values) for values in tensors]
    limits = [_limits(values) for values in tensors]
    together = rebinning.linear_bins(histograms, limits=limits)
    alone = [linear_bins(h, limits=ends) for h, ends in zip(histograms, limits, strict=True)]
    _same(together, alone)
    _same(rebinning.linear_bins(histograms), [linear_bins(histogram) for histogram in histograms])
    _same(rebinning.log_bins(histograms), [log_bins(histogram) for histogram in histograms])


@settings(max_examples=200, deadline=None)
@given(st.lists(VALUES, min_size=1, max_size=12), st.integers(1, 40))
def test_bins_hold_what_their_buckets_share_with_them(values, bins):
    """The definition, bucket by bucket: each spreads its count evenly from edge to edge."""
    histogram = _histogram(values)
    table = linear_bins(histogram, bins)
    if not table.size:
        return
    grid = np.append(table[:, 0], table[-1, 1])
    finite = np.isin(histogram.buckets, FINITE)
    below = np.zeros(bins + 1)
    counted = zip(*edges(histogram.buckets[finite]), histogram.counts[finite], strict=True)
    for low, high, count in counted:
        below += count * np.clip((grid - low) / (high - low), 0.0, 1.0)
    below[0], below[-1] = 0.0, finite @ histogram.counts
    # An edge is looked up as a float32: to 2^-24 of it, or 2^-21 of its bucket, an eighth wide.
    np.testing.assert_allclose(table[:, 2], np.diff(below), atol=2.0**-20 * len(values))


@pytest.mark.parametrize("least", [0.0, -5e-324])
def test_a_range_below_float32_is_one_too(least):
    """A float64 model may have values that all are zero to the buckets."""
    bins = linear_bins(_histogram([0.0, 1e-40]), limits=(least, 1e-310))
    assert (bins[0, 0], bins[-1, 1]) == (least, 1e-310)
    assert bins[:, 2].sum() == 2


def _limits(values):
    finite = [value for value in values if np.isfinite(value)]
    return (min(finite), max(finite)) if finite else (np.inf, -np.inf)


def _same(found, expected):
    assert len(found) == len(expected)
    for mine, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(mine, other)
