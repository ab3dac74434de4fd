"""Layers that add or multiply noise in training, and those that pass tensors on.

Owns the dropout family, Gaussian noise, Identity, Masking, Rescaling and ActivityRegularization.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from keras_initscope.prediction.affine import rescaled
from keras_initscope.prediction.primitives import scaled
from keras_initscope.prediction.state import State, same_moments
from keras_initscope.prediction.transfer import UnpredictableError, transfer


def noised(x: State, factor: float, addition: float = 0.0) -> State:
    """`q' = factor q + addition`: independent noise of mean 1 (a factor) or 0 (an addition).

    The noise is drawn for every example, so that `p`, `r` and `mu` stay; backward `factor g`.
    """
    variances = None
    if x.variances is not None:
        variances = factor * x.variances + (factor - 1) * x.m + addition
    return same_moments(
        x,
        q=factor * x.q + addition,
        variances=variances,
        parents=(x,),
        through=None,
        parts=None,
        pull=lambda gradient: (gradient.changed(factor * gradient.g, gradient.r),),
    )


def _dropped(layer: Any, x: State, **_: Any) -> State:
    """Elements are kept with chance `1 - r` and divided by it (Srivastava et al., 2014)."""
    return noised(x, 1 / (1 - layer.rate))


def _dropped_maps(layer: Any, x: State, **_: Any) -> State:
    """Whole channels are dropped, so that two positions lose the same ones."""
    if getattr(layer, "data_format", None) == "channels_first":
        raise UnpredictableError("data_format='channels_first'; build the model with channels last")
    factor = 1 / (1 - layer.rate)
    made = noised(x, factor)
    return same_moments(made, r=factor * x.r, variances=made.variances, key=made.key)


def _gaussian_dropout(layer: Any, x: State, **_: Any) -> State:
    """Multiplied by `N(1, rate / (1 - rate))`: the same moments as dropout."""
    return noised(x, 1 / (1 - layer.rate))


def _gaussian_noise(layer: Any, x: State, **_: Any) -> State:
    return noised(x, 1.0, float(layer.stddev) ** 2)


def _alpha_dropout(layer: Any, x: State, **_: Any) -> State:
    """Dropped elements become `alpha'`, then `a x + b` (Klambauer et al., 2017, section 3).

    With `k = 1 - rate` and SELU's fixed point: `q' = a^2 (k q + (1-k) alpha'^2) + ...`.
    """
    keep, low = 1 - layer.rate, -1.0507009873554805 * 1.6732632423543772
    a = (keep + keep * low**2 * (1 - keep)) ** -0.5
    b = -a * low * (1 - keep)

    def crossed(moment: Any, kept: float) -> Any:
        """`E (a y + b)(a y' + b)`, `y = x` or `low`; `kept` is the chance that both are `x`."""
        one = keep - kept
        square = kept * moment + 2 * one * x.mu * low + (1 - kept - 2 * one) * low**2
        return a * a * square + 2 * a * b * mean + b * b

    mean = keep * x.mu + (1 - keep) * low
    return same_moments(
        x,
        q=crossed(x.q, keep),
        p=crossed(x.p, keep**2),
        r=crossed(x.r, keep**2),
        mu=a * mean + b,
        parents=(x,),
        through=None,
        parts=None,
        pull=lambda gradient: (gradient.times(a * a * keep),),
    )


def _handed_on(layer: Any, x: State, *_: Any, **__: Any) -> State:
    return x


def _regularized(layer: Any, x: State, **_: Any) -> State:
    return scaled(x, 1.0)


def _masked(layer: Any, x: State, **_: Any) -> State:
    """Without data no time step is known to be padding; with data some may be."""
    if x.values is not None and (x.values == layer.mask_value).all(axis=-1).any():
        raise UnpredictableError("some time steps are masked; theory takes all of them as seen")
    return scaled(x, 1.0)


@transfer.register(keras.layers.Rescaling)
def _(layer: Any, x: State, **_: Any) -> State:
    """`scale x + offset`."""
    many = max(np.size(layer.scale), np.size(layer.offset)) > 1
    if many and keras.config.image_data_format() == "channels_first":
        raise UnpredictableError("data_format='channels_first'; build the model with channels last")
    return rescaled(x, layer.scale, layer.offset)


_layers = keras.layers
for _kind, _rule in {
    _layers.Dropout: _dropped,
    _layers.SpatialDropout1D: _dropped_maps,
    _layers.SpatialDropout2D: _dropped_maps,
    _layers.SpatialDropout3D: _dropped_maps,
    _layers.GaussianDropout: _gaussian_dropout,
    _layers.GaussianNoise: _gaussian_noise,
    _layers.AlphaDropout: _alpha_dropout,
    _layers.Identity: _handed_on,
    _layers.ActivityRegularization: _regularized,
    _layers.Masking: _masked,
}.items():
    transfer.register(_kind, _rule)
