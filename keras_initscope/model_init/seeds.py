"""An initializer with a seed that belongs to one weight.

Owns how seeds are found from names, so that no two weights start alike and none depends on which
others there are.
"""

from __future__ import annotations

import hashlib
from functools import singledispatch
from typing import Any

import keras

from keras_initscope.initializers import Gated


def seed_of(key: str) -> int:
    """A seed for a name, the same in every process."""
    digest = hashlib.blake2b(key.encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") >> 1


@singledispatch
def seeded(initializer: Any, key: str) -> Any:
    """A copy of an initializer whose seed is found from `key` and the seed that it has.

    One that has no seed is handed back, and so is one that draws from a `SeedGenerator`, which
    gives new values each time.

    Args:
        initializer: A Keras initializer.
        key: Name of what is drawn.

    Returns:
        The initializer to draw with.

    Example:

    ```python
    import keras

    from keras_initscope.model_init.seeds import seeded

    he = keras.initializers.HeNormal()
    a, b = (seeded(he, key)((64, 64)) for key in ("a/kernel", "b/kernel"))
    assert abs(float(keras.ops.mean(a * b))) < 0.01
    ```
    """
    if not isinstance(initializer, keras.initializers.Initializer):
        return initializer
    config = initializer.get_config()
    if "seed" not in config or isinstance(initializer.seed, keras.random.SeedGenerator):
        return initializer
    own = initializer.__dict__.get("_init_seed")  # `None` where the user gave no seed
    return type(initializer).from_config({**config, "seed": seed_of(f"{key}/{own}")})


@seeded.register(Gated)
def _(initializer: Any, key: str) -> Any:
    several = isinstance(initializer.inner, list)
    inner = initializer.inner if several else [initializer.inner] * initializer.gates
    return Gated([seeded(each, f"{key}/{k}") for k, each in enumerate(inner)])
