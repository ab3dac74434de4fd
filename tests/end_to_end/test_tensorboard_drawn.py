"""What a browser draws on TensorBoard's pages, and that our data make none of them complain."""

import pytest

from keras_initscope.writers.tensorboard import tag_of

PAGES = ["histograms", "distributions", "timeseries"]
QUANTILES = 8  # areas between the nine quantiles of a distribution chart


def tags_of(run, quantity):
    return [tag_of(stats.tap) for stats in run.history[0].stats if stats.tap.quantity == quantity]


def opened(browser, server, page, pattern, run, tags):
    """Open a page and return its charts when they are drawn."""
    browser.open(server, page, pattern)
    steps = len(run.history)
    charts = browser.wait_for(tags, QUANTILES if page == "distributions" else steps)
    for tag in tags:
        assert not charts[tag]["broken"], tag
    assert browser.errors() == []
    return charts


@pytest.mark.parametrize("page", PAGES)
def test_histograms_of_a_deep_network_are_drawn(browser, served_deep, deep_run, page, picture):
    tags = tags_of(deep_run, "activation")
    assert len(tags) == 13
    shown = tags[:4] if page == "timeseries" else tags[:9]  # the others are out of sight
    charts = opened(browser, served_deep, page, "^activation/.*dense", deep_run, shown)
    for tag in shown:  # each step has a shape of its own
        assert charts[tag]["shapes"] > len(deep_run.history) / 2 or page == "distributions"
    browser.driver.save_screenshot(str(picture(f"tensorboard_{page}.png")))
