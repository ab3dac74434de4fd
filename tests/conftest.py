"""For all tests."""

import gc


def pytest_collection_modifyitems(items):
    """What takes longest comes first, or one worker would be left with it in the end."""
    items.sort(key=lambda item: "whole_protocol" not in item.name)


def pytest_collection_finish(session):
    """What is loaded by now stays: looking for garbage in it takes a second each time."""
    gc.collect()
    gc.freeze()
