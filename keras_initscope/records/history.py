"""The snapshots of one run that are remembered.

Owns how many they are, and which of them.
"""

from __future__ import annotations

from keras_initscope.records.snapshot import Snapshot

#: Records of tensors, some kilobytes each, that a history holds at most.
_REMEMBERED = 20_000


def remember(history: list[Snapshot], snapshot: Snapshot) -> None:
    """Append a snapshot; thin a long history out evenly, first and last kept."""
    history.append(snapshot)
    if len(history) * len(snapshot.stats) > _REMEMBERED:
        del history[1:-1:2]
