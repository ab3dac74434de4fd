"""`advise`: which initializer to pair with an activation, from theory alone.

Owns the choice and the alternatives.
"""

from __future__ import annotations

from functools import lru_cache
from math import inf, nan
from typing import Any

import keras
import numpy as np

from keras_initscope.activations import as_nonlinearity
from keras_initscope.arguments import choice, whole
from keras_initscope.diagnosis.signal import DEEP
from keras_initscope.inspection.choosing import AS_GOOD, GOOD, choice_of, chosen_of
from keras_initscope.inspection.corrections import CORRECTIONS
from keras_initscope.inspection.cost import cost_of
from keras_initscope.inspection.pairings import Candidate, paired
from keras_initscope.model_init import tailor
from keras_initscope.records import Advice, Alternative, Pairing
from keras_initscope.theory.criticality import Criticality, criticality
from keras_initscope.theory.fixedpoints import Case
from keras_initscope.theory.gains import gain
from keras_initscope.theory.moments import moment, power, second_moment
from keras_initscope.theory.nonlinearity import Nonlinearity
from keras_initscope.theory.propagation import STRUCTURES

_OTHERS = ("tanh", "relu", "selu", "elu", "gelu")


def advise(
    activation: Any,
    depth: int,
    width: int | None = None,
    structure: str = "plain",
    cost: bool = True,
) -> Advice:
    """Say which initializer to pair with an activation at a depth, and why.

    Use it before a model is written: it needs no model and no data. It walks from inputs of second
    moment 1 through the network of each initializer in question, and takes the simplest of those
    under which signal, gradient and what tells examples apart change least:

    ```
    strain = max(|trend of log q|, |trend of log g|, -trend of log (1 - c))
    ```

    over the whole depth, with `q` the second moment of the preactivations, `g` that of their
    gradients and `c` the correlation of two examples. Networks train up to a strain of about 6, six
    times the depth over which a signal falls by a factor of e, which is where `inspect` begins to
    find fault.

    Args:
        activation: Name, elementwise function or layer; see `keras_initscope.gain`.
        depth: Number of layers with weights and the activation, or of residual branches.
        width: Number of units of a layer, to say how far single networks lie from theory.
        structure: `"plain"`; `"residual"` for branches of one layer each that are added; or
            `"normalized"` for a normalization in front of every activation.
        cost: Whether to time the activation beside ReLU, which takes less than a second and is all
            that is measured here; everything else is theory, and the same each time.

    Returns:
        A `keras_initscope.records.Advice`: `initializer` and `bias_initializer` to pass on to
        layers, `code` as one would write it, the numbers of every pairing, and what would suit the
        depth better.

    Raises:
        ValueError: If the activation cannot be read, or `depth`, `width` or `structure` is none.

    Example:

    ```python
    import keras

    import keras_initscope as initscope

    advice = initscope.advise("relu", depth=30)
    print(advice)
    assert advice.trains and 'kernel_initializer="he_normal"' in advice.code

    layer = keras.layers.Dense(
        64,
        "relu",
        kernel_initializer=advice.initializer,
        bias_initializer=advice.bias_initializer,
    )
    assert "saturates" in initscope.advise("sigmoid", depth=30).chosen.verdict
    ```

    Reference:

    - [Schoenholz et al., 2017](https://arxiv.org/abs/1611.01232), for the depth that trains
    - [He et al., 2015](https://arxiv.org/abs/1502.01852), for the two gains
    """
    depth = whole("depth", depth, 2, "It counts the layers with the activation.")
    choice("structure", structure, STRUCTURES)
    if width is not None:
        width = whole("width", width, 1)
    phi = as_nonlinearity(activation)
    if not phi.max_slope > 0:
        raise ValueError(
            "Argument `activation` must be a function that changes with its input: of a constant "
            f"no initializer makes a network. Received: activation={activation!r}, of slope 0."
        )
    chosen, pairings = choice_of(activation, phi, depth, structure)
    pairing = next(each for each in pairings if each.code == chosen.code)
    point = _point(phi, chosen) if structure == "plain" else None
    return Advice(
        activation=phi.name,
        written=_written(phi.name),
        depth=depth,
        structure=structure,
        chosen=pairing,
        pairings=pairings,
        makers=(chosen.make, chosen.make_bias),
        forward_gain=_gain(phi, "forward"),
        backward_gain=_gain(phi, "backward"),
        case=str(point.case) if point else structure,
        chi_1=point.chi_1 if point else nan,
        variance_slope=point.variance_slope if point else nan,
        trainable_depth=point.trainable_depth if point else nan,
        cost=cost_of(activation) if cost else None,
        alternatives=_alternatives(activation, phi, depth, structure, pairing),
        notes=_notes(phi, depth, width, point, pairing, structure),
        corrections=CORRECTIONS.get(phi.name.partition("(")[0], ()),
    )


def _written(name: str) -> str:
    """The name where Keras knows it, else what the caller has."""
    try:
        keras.activations.get(name)
    except ValueError:
        return "activation"
    return f'"{name}"'


def _point(phi: Nonlinearity, chosen: Candidate) -> Criticality:
    return criticality(phi, chosen.bias_variance, chosen.weight_variance, chosen.weight_variance)


def _gain(phi: Nonlinearity, mode: str) -> float:
    try:
        return gain(phi, mode)
    except ValueError:
        return inf


@lru_cache(maxsize=256)
def _best(name: str, depth: int) -> Pairing:
    return chosen_of(name, as_nonlinearity(name), depth, "plain")


def _alternatives(
    activation: Any, phi: Nonlinearity, depth: int, structure: str, own: Pairing
) -> tuple[Alternative, ...]:
    """What strains less by more than the difference between simple and best."""
    if own.strain <= GOOD:
        return ()
    found = []
    if structure == "plain":
        found += [
            Alternative(words=f"take {name}", code=best.code, strain=best.strain)
            for name in _OTHERS
            if name != phi.name and (best := _best(name, depth)).trains
        ]
        found += _tailored(activation, depth)
    found += [
        _structural(activation, phi, depth, other) for other in STRUCTURES[1:] if other != structure
    ]
    better = [each for each in found if each.strain < min(own.strain - AS_GOOD, DEEP)]
    return tuple(sorted(better, key=lambda each: each.strain)[:5])


def _tailored(activation: Any, depth: int) -> list[Alternative]:
    try:
        made = tailor(depth, activation)
    except ValueError:  # it has no shape to change, or none that suits the depth
        return []
    orthogonal = "initscope.initializers.ScaledOrthogonal()"
    own = Candidate(name="", code=orthogonal, weight_variance=1.0, make=object)
    strain = paired(as_nonlinearity(made), own, depth, "plain").strain
    words = "transform the activation to suit the depth"
    return [Alternative(words=words, code="initscope.tailor(model)", strain=strain)]


def _structural(activation: Any, phi: Nonlinearity, depth: int, structure: str) -> Alternative:
    chosen = chosen_of(activation, phi, depth, structure)
    if structure == "residual":
        words, code = "add residual connections", chosen.code
    else:
        words = "put a normalization in front of each activation"
        code = "keras.layers.BatchNormalization()"
    return Alternative(words=words, code=code, strain=chosen.strain)


def _notes(
    phi: Nonlinearity,
    depth: int,
    width: int | None,
    point: Criticality | None,
    pairing: Pairing,
    structure: str,
) -> tuple[str, ...]:
    notes = []
    if not phi.is_continuous:
        notes.append("It jumps: two close inputs part at any weight variance.")
    if point and point.case in (Case.UNSTABLE, Case.DIVERGENT) and point.advice:
        notes.append(point.advice)
    if point and pairing.bias_variance == 0 and point.case is Case.SCALE_INVARIANT:
        notes.append(
            "Noise of finite width adds up over depth; orthogonal weights have less of it."
        )
    if structure == "residual":
        notes.append("It is for the last weights of each branch; others in it take their own gain.")
    if structure == "normalized":
        notes.append("The scale of the weights is divided out again: any initializer will do.")
    if width is not None:
        notes += [_conditioning(width, pairing.mean)]
        notes += _scatter(phi, depth, width, point)
    return tuple(notes)


def _conditioning(width: int, mean: float) -> str:
    """`1 + n mean^2 / Var`, for activations of root mean square 1 (LeCun, Kanter & Solla 1991)."""
    condition = 1 + width * mean**2 / max(1 - mean**2, 1e-300)
    return f"Conditioning of a layer of {width} inputs: {condition:.3g}, where 1 is zero-centred."


def _scatter(phi: Nonlinearity, depth: int, width: int, point: Criticality | None) -> list[str]:
    """How far single networks lie apart, unless the next layers mend what one is off by."""
    if point is None or point.variance_slope < 0.9:
        return []
    q = point.q if 0 < point.q < inf else 1.0
    square = power(phi)
    fourth = float(moment(phi, lambda x: square(x) ** 2, q))
    spread = (fourth / float(second_moment(phi, q)) ** 2 - 1) / width * depth
    return [
        f"Of networks of width {width} two in three lie within a factor of "
        f"{np.exp(min(spread, 100.0) ** 0.5):.2g} of the median in mean square."
    ]
