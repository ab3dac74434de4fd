"""Which initializer goes with an activation at a depth, and why.

Owns the words of an advice. Computes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import nan
from typing import Any

from keras_initscope.records.cost import Cost
from keras_initscope.text import aligned, bulleted, markdown_table, number_text

_WIDTH = 100  # characters a line
_COLUMNS = ("initializer", "n Var w", "Var b", "signal", "gradient", "apart", "verdict")
_LEFT = (True, False, False, False, False, False, True)
_LEGEND = (
    "n: inputs of a unit. signal: factor of the root mean square of the preactivations, from the\n"
    "first layer to the last; gradient: likewise on the way back. apart: share of the signal that\n"
    "tells examples apart in the last layer."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Pairing:
    """What an activation does over the depth with one initializer.

    Args:
        name: The initializer.
        code: How to write it.
        bias_code: How to write the initializer of the biases.
        weight_variance: Weight variance times fan-in, `n Var w`.
        bias_variance: Variance of the biases.
        signal: Factor of the root mean square of the preactivations from first to last layer.
        gradient: Factor of that of the gradient on its way back.
        apart: Share of the last layer's signal that tells examples apart, between 0 and 1, by
            their directions (in deep narrow networks their sizes come apart too); `None` where
            signal or gradient are lost anyway.
        saturated: Share of the last layer's inputs at which the activation is flat; of a rectifier
            where it is not next to 0.
        mean: Mean of the last layer's activations over their root mean square; 0 is zero-centred,
            `nan` where that leaves all numbers behind.
        slope: Mean slope of the activation, as a share of the greatest, where it is least.
        strain: The largest trend over the depth of the logarithm of any of the three second
            moments, in nats; 6 is the most that trains.
        verdict: `"trains"`, or what keeps it from that.
    """

    name: str
    code: str
    bias_code: str
    weight_variance: float
    bias_variance: float
    signal: float
    gradient: float
    apart: float | None
    saturated: float
    mean: float
    slope: float
    strain: float
    verdict: str

    @property
    def trains(self) -> bool:
        """Whether theory says that such a network trains."""
        return self.verdict.startswith("trains")


@dataclass(frozen=True, kw_only=True, slots=True)
class Alternative:
    """What would suit the depth better.

    Args:
        words: What to change.
        code: How to write it.
        strain: As in `Pairing`, with it.
    """

    words: str
    code: str
    strain: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Advice:
    """Which initializer goes with an activation at a depth, and why.

    `print(advice)` shows it, a notebook shows it as Markdown.

    Args:
        activation: Name of the activation.
        written: The activation as it is given to a layer, in code.
        depth: Number of layers.
        structure: `"plain"`, `"residual"` or `"normalized"`.
        chosen: What is recommended.
        pairings: That and the other initializers one would think of.
        makers: Makes the recommended initializers, of the weights and of the biases.
        forward_gain: `E[f(z)^2] ** -1/2`, `z ~ N(0, 1)`.
        backward_gain: `E[f'(z)^2] ** -1/2`.
        case: What the variance does over many layers, by name, as in `criticality`.
        chi_1: Factor of the squared gradient a layer, far from the input.
        variance_slope: Slope `dV` of the variance map at its fixed point; stable below 1.
        trainable_depth: About `6 xi_c` layers, where that is known.
        cost: What it costs beside ReLU, as timed on this machine; `None` where it was not.
        alternatives: What would suit the depth better, best first.
        notes: What else a reader must know, a sentence each.
        corrections: What is often said of it, and is not so.
    """

    activation: str
    written: str
    depth: int
    structure: str
    chosen: Pairing
    pairings: tuple[Pairing, ...]
    makers: tuple[Any, Any]
    forward_gain: float
    backward_gain: float
    case: str
    chi_1: float = nan
    variance_slope: float = nan
    trainable_depth: float = nan
    cost: Cost | None = None
    alternatives: tuple[Alternative, ...] = ()
    notes: tuple[str, ...] = ()
    corrections: tuple[str, ...] = ()

    @property
    def initializer(self) -> Any:
        """A Keras initializer for the kernels; a new one each time, for layers must not share."""
        return self.makers[0]()

    @property
    def bias_initializer(self) -> Any:
        """A Keras initializer for the biases, a new one each time."""
        return self.makers[1]()

    @property
    def trains(self) -> bool:
        """Whether theory says that a network with the recommended initializer trains."""
        return self.chosen.trains

    @property
    def code(self) -> str:
        """The lines to write, imports included."""
        code, bias = self.chosen.code, self.chosen.bias_code
        imports = ["import keras"]
        if "initscope." in code + bias:
            imports.append("import keras_initscope as initscope")
        arguments = [f"kernel_initializer={code}"]
        arguments += [f"bias_initializer={bias}"] if bias != '"zeros"' else []
        lines = [f"    {each}," for each in ("units", self.written, *arguments)]
        return "\n".join([*imports, "", "layer = keras.layers.Dense(", *lines, ")"])

    def markdown(self) -> str:
        """The advice as Markdown."""
        table = markdown_table(_COLUMNS, [_cells(each) for each in self.pairings], _LEFT)
        parts = [
            f"**{self._headline()}**",
            f"```python\n{self.code}\n```",
            bulleted(self._reasons()),
            table,
            _LEGEND,
            *(f"{title}\n\n{bulleted(points)}" for title, points in self._more("`") if points),
        ]
        return "\n\n".join(parts) + "\n"

    def __str__(self) -> str:
        table = aligned(_COLUMNS, [_cells(each) for each in self.pairings], _LEFT)
        parts = [
            self._headline(),
            self.code,
            bulleted(self._reasons(), _WIDTH),
            table,
            _LEGEND,
            *(f"{title}\n{bulleted(points, _WIDTH)}" for title, points in self._more("") if points),
        ]
        return "\n\n".join(parts)

    def _repr_markdown_(self) -> str:
        return self.markdown()

    def _headline(self) -> str:
        kind = "" if self.structure == "plain" else f"{self.structure} "
        what = "branches" if self.structure == "residual" else "layers"
        return (
            f"{self.activation}, {self.depth} {kind}{what}: {self.chosen.name}"
            f"{' with ' + self.chosen.bias_code if self.chosen.bias_variance else ''}; "
            f"{self.chosen.verdict}"
        )

    def _reasons(self) -> list[str]:
        found = [
            f"Gain {self.forward_gain:.4g} forward, {self.backward_gain:.4g} backward: n Var w "
            f"would be {self.forward_gain**2:.4g} for the signal and {self.backward_gain**2:.4g} "
            "for the gradient at unit variance.",
        ]
        if self.structure == "plain":
            found.append(self._stability())
        found += [self._working_range()] if self.chosen.mean == self.chosen.mean else []
        found += [] if self.cost is None else [str(self.cost)]
        return [*found, *self.notes]

    def _working_range(self) -> str:
        mean = self.chosen.mean
        centred = "zero-centred" if abs(mean) < 0.05 else "not zero-centred"
        return (
            f"The last layer's activations are {centred}: mean over root mean square {mean:.2g}. "
            f"{100 * self.chosen.saturated:.0f} % of them are saturated."
        )

    def _stability(self) -> str:
        known = [
            text
            for text, value in (
                (f"factor of the squared gradient a layer {self.chi_1:.4g}", self.chi_1),
                (f"slope dV of the variance map {self.variance_slope:.4g}", self.variance_slope),
                (_depth_text(self.trainable_depth), self.trainable_depth),
            )
            if value == value
        ]
        return ", ".join([f"Far from the input the variance is {self.case}", *known]) + "."

    def _more(self, quote: str) -> list[tuple[str, list[str]]]:
        better = [
            f"{each.words}: {quote}{each.code}{quote} (strain {each.strain:.2g} in place of "
            f"{self.chosen.strain:.2g}; 6 is the most that trains)"
            for each in self.alternatives
        ]
        return [
            ("What would suit this depth better:", better),
            ("What is often said, and is not so:", list(self.corrections)),
        ]


def _depth_text(depth: float) -> str:
    return "no limit in depth" if depth > 1e6 else f"trainable depth about {depth:.0f} layers"


def _cells(each: Pairing) -> list[str]:
    return [
        each.name,
        number_text(each.weight_variance),
        number_text(each.bias_variance),
        number_text(each.signal, 2),
        number_text(each.gradient, 2),
        number_text(each.apart, 2),
        each.verdict,
    ]
