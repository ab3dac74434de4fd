"""A preset with its parameters fixed, to take apart or to run.

Owns what a person does with one network of a preset: its model, its data, its training. What a
preset does with all of them is its function's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

from keras_initscope.presets.data import Data
from keras_initscope.presets.result import Expectation, PresetError, Result
from keras_initscope.text import did_you_mean


class Trial(NamedTuple):
    """One network of a preset, ready to train.

    Args:
        model: Compiled where there is something to train, its weights drawn from a seed.
        data: What it learns.
        steps: Training steps of the protocol; 0 where nothing is trained.
        batch: Examples a step.
        in_turn: Whether the steps take the examples in their order, over and over, or draw them.
    """

    model: keras.Model
    data: Data
    steps: int = 0
    batch: int = 32
    in_turn: bool = False

    def order(self, seed: int) -> NDArray[np.int64]:
        """Which examples the steps learn from, one step behind the other."""
        make = batches_in_turn if self.in_turn else drawn_batches
        return make(len(self.data.train_x), self.steps, self.batch, seed)


@dataclass(frozen=True, slots=True)
class Costly:
    """A network that takes long to make, because it is pretrained or very deep.

    Args:
        make: Makes it from a seed.
        like: Makes another at once that has the same data and the same training.
    """

    make: Callable[[int], Trial]
    like: Callable[[int], Trial]

    def __call__(self, seed: int) -> Trial:
        """The network itself."""
        return self.make(seed)


#: Names of networks to what builds one from a seed, a `Costly` among them.
Networks = Mapping[str, Callable[[int], Trial]]


def drawn_batches(examples: int, steps: int, batch: int, seed: int) -> NDArray[np.int64]:
    """Which examples each step learns from, drawn at random, one step behind the other."""
    return np.random.default_rng(seed).integers(examples, size=steps * batch)


def batches_in_turn(examples: int, steps: int, batch: int, seed: int = 0) -> NDArray[np.int64]:
    """Whole batches in the order of the examples, over and over."""
    return np.resize(np.arange(max(1, examples // batch) * batch) % examples, steps * batch)


@dataclass(frozen=True, kw_only=True, slots=True)
class Experiment:
    """A preset with its parameters fixed.

    Args:
        name: Name of the preset.
        summary: What it shows, in one line.
        parameters: The values of all its parameters.
        seed: What all that is random follows from.
        expects: What its table must show. The preset's claims are about its own protocol; with
            values of your own for parameters some of them hold, or none.

    Example:

    ```python
    from keras_initscope import presets

    experiment = presets.build("he-2015", depth=4, steps=50)
    assert experiment.networks == ("4 layers, glorot", "4 layers, he")
    model = experiment.model("4 layers, he")  # compiled, its weights drawn
    history = experiment.fit("4 layers, he")  # of a new one, on the data of the preset
    assert model.count_params() == history.model.count_params()
    ```
    """

    name: str
    summary: str
    parameters: Mapping[str, Any]
    seed: int
    expects: tuple[Expectation, ...]
    trials: Networks
    runner: Callable[..., Result]

    @property
    def networks(self) -> tuple[str, ...]:
        """Names of the networks that the preset compares."""
        return tuple(self.trials)

    def model(self, network: str | None = None) -> keras.Model:
        """One of the networks before training.

        Args:
            network: One of `networks`; the last one if `None`.

        Returns:
            A new model with its weights drawn, compiled if the preset trains it.

        Raises:
            PresetError: If there is no such network.
        """
        return self._trial(network).model

    def data(self, network: str | None = None) -> Data:
        """What one of the networks learns.

        Args:
            network: One of `networks`; the last one if `None`.

        Returns:
            `train_x`, `train_y`, `test_x` and `test_y`.

        Raises:
            PresetError: If there is no such network, or its data cannot be had.
        """
        return self._like(network).data

    def protocol(self, network: str | None = None) -> dict[str, Any]:
        """How one of the networks is trained.

        Args:
            network: One of `networks`; the last one if `None`.

        Returns:
            `steps`, training steps, `batch_size`, examples a step, and `optimizer`, its own
            settings. Where the preset looks at networks before training, `{"steps": 0,
            "batch_size": 0, "optimizer": {}}`.

        Raises:
            PresetError: If there is no such network.
        """
        trial = self._like(network)
        if not trial.steps:
            return {"steps": 0, "batch_size": 0, "optimizer": {}}
        settings = trial.model.optimizer.get_config()
        return {"steps": trial.steps, "batch_size": trial.batch, "optimizer": settings}

    def fit(self, network: str | None = None, callbacks: Sequence[Any] = ()) -> Any:
        """Train one of the networks as the preset does.

        Args:
            network: One of `networks`; the last one if `None`.
            callbacks: For `fit`, such as a `VarianceMonitor`.

        Returns:
            What Keras' `fit` returns; its `model` is the one that was trained.

        Raises:
            PresetError: If there is no such network, or the preset trains none.
        """
        trial = self._trial(network)
        if not trial.steps:
            raise PresetError(
                f"{self.name!r} looks at networks before training and has no protocol to train "
                "this one by. `run()` takes the look; `model()` is what it looks at."
            )
        order = trial.order(self.seed)
        return trial.model.fit(
            trial.data.train_x[order],
            trial.data.train_y[order],
            batch_size=trial.batch,
            shuffle=False,
            verbose=0,
            callbacks=list(callbacks),
        )

    def run(
        self,
        seeds: int | None = None,
        log_dir: Any = None,
        progress: Callable[[str], None] | None = None,
        jobs: int = 1,
    ) -> Result:
        """Run the whole preset.

        Args:
            seeds: From how many seeds; from one if `None`. A preset whose table
                is of means over seeds, which has a parameter `seeds`, takes them for that.
            log_dir: Directory for its files; with `None` no file is kept.
            progress: Called with a line of text now and then; with several jobs, when a seed ends.
            jobs: How many seeds at once, each in a process of its own; -1 for as many as there are
                cores. Of what a preset does with seeds itself it changes nothing.

        Returns:
            The table, the verdict on each expectation and the files written.

        Raises:
            PresetError: If the number of seeds or of jobs is none, the directory cannot be
                written, or a process dies.
        """
        return self.runner(seeds, log_dir, progress, jobs)

    def _trial(self, network: str | None) -> Trial:
        return self._builder(network)(self.seed)

    def _like(self, network: str | None) -> Trial:
        """The same, with another model where its own takes long."""
        build = self._builder(network)
        return (build.like if isinstance(build, Costly) else build)(self.seed)

    def _builder(self, network: str | None) -> Callable[[int], Trial]:
        if network is None:
            network = self.networks[-1]
        if network not in self.trials:
            raise PresetError(
                f"{self.name!r} has no network {network!r}. {did_you_mean(network, self.trials)}"
                f"Its networks: {'; '.join(self.networks)}."
            )
        return self.trials[network]
