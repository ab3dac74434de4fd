"""Weights as numbers."""

import keras


def numbers(tensor):
    """In double precision, whatever dtype they were drawn in."""
    return keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float64"))


def gram(matrix):
    """The products of its columns."""
    return matrix.T @ matrix
