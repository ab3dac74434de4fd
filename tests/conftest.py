"""For all tests."""

import gc


def pytest_collection_finish(session):
    """What is loaded by now stays: looking for garbage in it takes a second each time."""
    gc.collect()
    gc.freeze()
