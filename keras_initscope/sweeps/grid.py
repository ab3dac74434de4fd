"""The grid of a comparison, and how each of its networks is trained.

Owns what may be varied and the defaults. Builds and trains nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import keras

from keras_initscope.arguments import choice, flag, whole
from keras_initscope.sweeps.cells import Plain, SweepError

#: Names, or name to what `build` receives in its place.
Named = Sequence[str] | Mapping[str, Any]

_INITIALIZERS = ("glorot_normal", "he_normal", "lecun_normal")
_ACTIVATIONS = ("relu", "tanh")


@dataclass(frozen=True, kw_only=True, slots=True)
class Grid:
    """What to compare: every combination of these is a network.

    Args:
        initializers: For the argument `initializer` of `build`: names such as `"he_normal"` or
            `"keras_initscope>HeAverageNormal"`; or a mapping of names of your own to functions,
            each of which makes an initializer from a `keras.random.SeedGenerator`. `None` takes
            those named after Glorot, He and LeCun, if `build` has the argument.
        activations: For its argument `activation`: names, or a mapping of names to functions.
            `None` takes ReLU and tanh, if `build` has the argument.
        depths: For its argument `depth`. `None` leaves it to `build`.
        learning_rates: For the optimizer.
        seeds: For weights, order of the examples, dropout and all else that is random.
        others: Further arguments of `build` with their values, such as `{"width": (64, 256)}`.

    Example:

    ```python
    from keras_initscope.initializers import HeAverageNormal
    from keras_initscope.sweeps import Grid

    grid = Grid(
        initializers={
            "he": lambda seed: "he_normal",
            "average": lambda seed: HeAverageNormal(seed=seed),
        },
        depths=(5, 20),
        seeds=(0, 1, 2),
    )
    ```
    """

    initializers: Named | None = None
    activations: Named | None = None
    depths: Sequence[int] | None = None
    learning_rates: Sequence[float] = (0.1, 0.01)
    seeds: Sequence[int] = (0,)
    others: Mapping[str, Sequence[Plain]] = field(default_factory=dict)

    def cells(self, build: Callable[..., Any]) -> list[dict[str, Plain]]:
        """One mapping of names to values for each combination.

        Args:
            build: What makes the networks.

        Returns:
            The cells, the seed varying fastest.

        Raises:
            SweepError: If `build` does not take what is to be varied, or there is nothing to vary.
        """
        taken = _arguments_of(build)
        asked = {
            "initializer": self.initializers,
            "activation": self.activations,
            "depth": self.depths,
            **self.others,
        }
        defaults = {"initializer": _INITIALIZERS, "activation": _ACTIVATIONS}
        for name, known in defaults.items():
            if asked[name] is None and name in taken:
                asked[name] = known
        varied = {name: values for name, values in asked.items() if values is not None}
        _check_taken(varied, taken)
        columns = {**varied, "learning_rate": self.learning_rates, "seed": self.seeds}
        listed = {name: _listed(name, values) for name, values in columns.items()}
        return [dict(zip(listed, values, strict=True)) for values in product(*listed.values())]


@dataclass(frozen=True, kw_only=True, slots=True)
class Training:
    """How each network of a comparison is trained.

    Args:
        loss: As for `compile`. `None` where `build` returns a model that is compiled: then that
            model's loss, metrics and optimizer are taken, and only its learning rate is set.
        metrics: As for `compile`.
        optimizer: Name of a Keras optimizer, or a function that makes one from a learning rate.
        epochs: Passes over the examples.
        steps: Training steps in place of `epochs`.
        batch_size: Examples a step.
        objective: Name of the column by which networks are ranked.
        goal: `"min"` or `"max"`, what of it is best.
        look: Whether to `inspect` each network before it trains: columns `findings`,
            `signal_left` and `gradient_left`. Takes some seconds a network.
        together: Whether to train networks that differ in initial weights, seed and learning rate
            alone as one computation, up to 64 at once, and not each by a `fit` of its own. It
            pays where networks are small and many, for then most of a `fit` is tracing and what
            each step costs beside its arithmetic; a network that keeps all cores busy gains
            nothing. Numbers are those of `fit`, in the same order of the examples, but for
            rounding, which grows in networks that are chaotic or diverge. Networks that cannot
            be trained so are trained one by one, and a line of `progress` says why. Needs Keras
            on TensorFlow.
    """

    loss: Any = None
    metrics: Sequence[Any] = ()
    optimizer: str | Callable[[float], Any] = "sgd"
    epochs: int = 5
    steps: int | None = None
    batch_size: int = 32
    objective: str = "loss"
    goal: str = "min"
    look: bool = True
    together: bool = False

    def __post_init__(self) -> None:
        whole("epochs", self.epochs)
        whole("batch_size", self.batch_size)
        if self.steps is not None:
            whole("steps", self.steps)
        choice("goal", self.goal, ("min", "max"))
        flag("look", self.look)
        flag("together", self.together)


def _arguments_of(build: Callable[..., Any]) -> dict[str, Any]:
    if not callable(build) or isinstance(build, keras.Layer):
        raise SweepError(
            f"`build` must be a function that returns a Keras model. Received: {build!r}."
        )
    return dict(inspect.signature(build).parameters)


def _check_taken(varied: Mapping[str, Any], taken: Mapping[str, Any]) -> None:
    takes_any = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in taken.values())
    missing = [name for name in varied if name not in taken]
    if missing and not takes_any:
        raise SweepError(
            f"`build` must take what the grid varies, as keyword arguments. Received: one that "
            f"takes {list(taken)} and lacks {missing}. Add them to its arguments, or leave them "
            "out of the grid."
        )


def _listed(name: str, values: Any) -> list[Plain]:
    if isinstance(values, str) or not isinstance(values, Sequence | Mapping) or not values:
        raise SweepError(
            f"The grid needs at least one {name}, in a tuple or list. Received: {values!r}."
        )
    return list(values)
