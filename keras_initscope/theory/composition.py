"""How local maps add up over a network of chains and residual sums.

Owns the structure of a network, as far as kernel shaping asks for it, and the maximum over its
subnetworks (Martens et al., 2021, section 5; Zhang et al., 2022, section 3).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Local = Callable[[float], float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Residual:
    """A sum of two paths from the same input.

    Args:
        branch: What one path holds.
        shortcut: What the other holds; 0 for the identity.
        shortcut_share: Share of the sum's variance that the shortcut brings, between 0 and 1:
            `w^2` for the normalized sum `w x + sqrt(1 - w^2) f(x)`.

    Example:

    ```python
    block = Residual(branch=2, shortcut_share=0.8)
    assert composed(block, lambda x: x + 1, 0.0) == 0.8 * 0 + (1 - 0.8) * 2
    ```
    """

    branch: Structure
    shortcut: Structure = 0
    shortcut_share: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.shortcut_share <= 1:
            raise ValueError(
                "A share of a variance lies between 0 and 1. "
                f"Received: shortcut_share={self.shortcut_share}."
            )


Structure = int | Residual | tuple["Structure", ...]
"""A network: a number of activations in a row, a residual sum, or a tuple of these in a row."""


def composed(structure: Structure, local: Local, x: float) -> float:
    """The map of a whole network.

    Args:
        structure: A number of activations in a row, a `Residual`, or a tuple of these in a row.
        local: The map of one activation, of a correlation, a slope or a curvature. Affine layers
            between them leave it as it is.
        x: What comes in.

    Returns:
        What goes out; weighted sums of paths for residual sums.

    Example:

    ```python
    assert composed((2, 3), lambda x: 2 * x, 1.0) == 32
    ```
    """
    if isinstance(structure, int):
        for _ in range(structure):
            x = local(x)
        return x
    if isinstance(structure, Residual):
        share = structure.shortcut_share
        through = composed(structure.shortcut, local, x)
        return share * through + (1 - share) * composed(structure.branch, local, x)
    for part in structure:
        x = composed(part, local, x)
    return x


def maximal(structure: Structure, local: Local, x: float) -> float:
    """The largest value that any subnetwork gives: the subnetwork maximizing function.

    Since local maps do not decrease their argument, that is the whole network, or a branch alone,
    which a sum would have averaged with its shortcut.

    Args:
        structure: The network.
        local: The map of one activation, with `local(x) >= x`.
        x: What comes in.

    Returns:
        The largest output.

    Example:

    ```python
    blocks = (Residual(branch=3, shortcut_share=0.9),) * 2
    assert abs(composed(blocks, lambda x: x + 1, 0.0) - 0.6) < 1e-12
    assert maximal(blocks, lambda x: x + 1, 0.0) == 3
    ```
    """
    return max(composed(part, local, x) for part in (structure, *_paths(structure)))


def _paths(structure: Structure) -> list[Structure]:
    """The paths of all sums, to any depth."""
    if isinstance(structure, int):
        return []
    if isinstance(structure, Residual):
        inner: tuple[Structure, ...] = (structure.branch, structure.shortcut)
        return [*inner, *(path for part in inner for path in _paths(part))]
    return [path for part in dict.fromkeys(structure) for path in _paths(part)]
