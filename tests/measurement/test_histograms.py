"""Samples are even and unbiased."""

from math import gcd, prod

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops
from measuring import measure

from benchmarks.histogram import measure_kernel
from benchmarks.measuring import alone
from keras_initscope.buckets import BUCKETS
from keras_initscope.measurement import histograms
from keras_initscope.measurement.histograms import RUN, SAMPLE, stride_for

SHAPES = st.lists(st.integers(1, 200), min_size=1, max_size=4).map(tuple)


@settings(max_examples=200, deadline=None)
@given(SHAPES, st.integers(0, 300_000_000))
def test_the_stride_is_coprime_to_every_dimension_and_keeps_the_sample_small(layout, size):
    stride = stride_for(size, layout)
    assert -(-size // stride) <= SAMPLE
    if stride > 1:
        assert all(gcd(stride, dim) == 1 for dim in layout)
    else:
        assert size <= SAMPLE


@settings(max_examples=100, deadline=None)
@given(SHAPES, st.integers(0, 300_000_000))
def test_the_stride_found_in_the_graph_is_coprime_to_small_factors(layout, size):
    stride = int(histograms._stride_in_graph(tf.constant(size), layout))
    assert -(-size // stride) <= SAMPLE
    if stride > 1:
        small = 2 * 3 * 5 * 7 * 11 * 13
        assert gcd(stride, prod(gcd(dim, small**8) for dim in layout)) == 1


@pytest.mark.parametrize("units", [1, 2, 64, 100, 1024])
def test_a_sample_takes_every_channel_equally_often(units):
    examples = 400_000 // units
    flat = ops.tile(ops.arange(units), (examples,))[None, :]
    sampled = np.asarray(histograms.sample(flat, (units,)))[0]
    counts = np.bincount(sampled, minlength=units)
    # In whole rounds through the channels they are equal; a last round may be a part of one.
    assert counts.max() - counts.min() <= RUN
    assert SAMPLE / 2 < sampled.size <= SAMPLE


@pytest.mark.parametrize("shape", [(40_001, 7), (50_000, 3), (3_001, 64)], ids=str)
def test_each_tensor_of_a_stack_is_sampled_in_the_same_places(shape):
    flat = np.arange(2 * np.prod(shape)).reshape(2, -1)
    first, second = np.asarray(histograms.sample(ops.array(flat), shape[1:]))
    np.testing.assert_array_equal(second, first + np.prod(shape))
    alone = np.asarray(histograms.sample(ops.array(flat[:1]), shape[1:]))
    np.testing.assert_array_equal(alone, first[None])
    assert np.unique(first).size == first.size


def test_small_tensors_are_counted_whole():
    flat = ops.reshape(ops.arange(SAMPLE), (1, -1))
    assert histograms.sample(flat, (SAMPLE,)).shape == (1, SAMPLE)


@pytest.mark.parametrize("shape", [(64, 32, 32, 16), (64, 64, 64, 1), (2048, 128, 3)], ids=str)
def test_a_sampled_signal_favours_no_place(shape):
    """Each column of the image is a bucket of its own here: all must be sampled alike."""
    places = shape[-2]
    values = np.broadcast_to(2.0 ** np.arange(places)[:, None] / 2.0**64, shape)
    histogram = measure([ops.array(values, "float32")]).histogram
    assert histogram.counts.size == places
    expected = histogram.total / places
    np.testing.assert_allclose(histogram.counts, expected, rtol=0.15)


def test_a_sampled_histogram_is_unbiased():
    """Counts scatter about the whole tensor's shares by no more than drawing at random would."""
    values = np.random.default_rng(4).normal(size=(4_096, 256)).astype(np.float32)
    histogram = measure([ops.array(values)]).histogram
    shares = np.bincount(values.ravel().view(np.uint32) >> 20, minlength=BUCKETS) / values.size
    found = np.zeros(BUCKETS)
    found[histogram.buckets] = histogram.counts
    expected = histogram.total * shares
    big = expected >= 5
    chi_square = np.sum((found[big] - expected[big]) ** 2 / expected[big])
    freedom = np.count_nonzero(big)
    assert chi_square < freedom + 4 * np.sqrt(2 * freedom)


def test_batches_of_unknown_size_are_sampled_alike():
    @tf.function(input_signature=[tf.TensorSpec((None, 64), tf.float32)])
    def sampled(values):
        return histograms.sample(tf.reshape(values, (1, -1)), (64,))

    values = tf.reshape(tf.range(20_000 * 64, dtype=tf.float32), (-1, 64))
    stride = stride_for(20_000 * 64, (64,))
    np.testing.assert_array_equal(sampled(values)[0], np.arange(0, 20_000 * 64, stride))
    assert sampled(values[:10]).shape == (1, 640)


@pytest.mark.slow
def test_a_huge_kernel_is_measured_without_a_spike_of_memory():
    """Statistics and histogram of 50 million elements take less than a byte an element."""
    assert alone(measure_kernel, 50_000_000)["bytes"] < 50_000_000
