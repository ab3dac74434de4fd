"""What a browser draws on TensorBoard's pages, and that our data make none of them complain."""

import numpy as np
import pytest
from end_to_end.dashboard import serve

from keras_initscope.buckets import collect
from keras_initscope.records import Quantity, Snapshot, StepInfo, Tap, TensorStats
from keras_initscope.writers import TensorBoardWriter
from keras_initscope.writers.tags import tag_of

PAGES = ["histograms", "distributions", "timeseries"]
BANDS = 8  # areas between the nine quantiles of a distribution chart
STEPS = 6


def opened(browser, server, page, pattern, tags, steps):
    """Open a page and return its charts when those of `tags` are drawn, free of errors."""
    browser.open(server, page, pattern)
    charts = browser.wait_for(tags, BANDS if page == "distributions" else steps)
    assert not [tag for tag in tags if charts[tag]["broken"]]
    assert browser.errors() == []
    return charts


@pytest.mark.parametrize("page", PAGES)
def test_a_deep_network_over_time(browser, served_deep, deep_run, page, picture):
    activations = [s for s in deep_run.history[0].stats if s.tap.quantity == Quantity.ACTIVATION]
    tags = [tag_of(stats.tap) for stats in activations if stats.tap.layer != "digit"]
    assert len(tags) == 12
    seen = tags[:4] if page == "timeseries" else tags  # charts out of sight are not drawn
    steps = len(deep_run.history)
    charts = opened(browser, served_deep, page, "^activation/.*dense", seen, steps)
    for tag in seen:  # training changes each layer, so no two steps have the same shape
        assert charts[tag]["tall"] == charts[tag]["different"] == charts[tag]["paths"], tag
        assert charts[tag]["paths"] == (BANDS if page == "distributions" else steps), tag
    browser.driver.save_screenshot(str(picture(f"tensorboard_{page}.png")))


def test_theory_and_measurement_are_curves_in_one_chart(browser, served_deep, picture):
    listed = served_deep.tags("scalars")
    runs = [run for run in listed if run.startswith("depth/")]
    assert {"depth/theory", "depth/step_0"} <= set(runs)
    tags = sorted(listed["depth/theory"])
    assert all(listed[run] == set(tags) for run in runs)
    lines = 2 * len(runs)  # as it is and smoothed
    charts = opened(browser, served_deep, "timeseries", "^depth/", tags[:2], lines)
    for tag in tags[:2]:
        assert charts[tag]["paths"] == charts[tag]["different"] == charts[tag]["tall"] == lines
    browser.driver.save_screenshot(str(picture("tensorboard_depth.png")))


def test_what_is_wrong_is_a_page_of_text(browser, served_deep, deep_run, picture):
    """Signal and gradient die on their way: what, where and what to do, as a person reads it."""
    finding = deep_run.findings[0]
    assert finding.code == "F1"
    text = browser.text(served_deep, finding.title)
    assert f"{finding.code} {finding.title}" in text
    assert finding.layer in text
    assert "What to do" in text
    assert "**" not in text
    assert "###" not in text
    browser.driver.save_screenshot(str(picture("tensorboard_text.png")))


@pytest.mark.parametrize("quantity", ["bias", "kernel_update", "log10_abs_kernel_gradient"])
def test_every_kind_of_layer(browser, served, mixed_run, quantity):
    listed = {tag for tag in served.tags("histograms")["train"] if tag.startswith(f"{quantity}/")}
    assert len(listed) >= 4
    steps = sum(snapshot.step > 0 for snapshot in mixed_run.history) - 1
    charts = opened(browser, served, "histograms", f"^{quantity}/", listed, steps)
    assert all(charts[tag]["tall"] >= steps for tag in listed)


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """TensorBoard over tensors that have no spread, or no finite value."""
    directory = tmp_path_factory.mktemp("odd")
    writer = TensorBoardWriter(str(directory / "logs"))
    for step in range(STEPS):
        stats = tuple(measured(depth, *case, step) for depth, case in enumerate(ODD.items()))
        info = StepInfo(loss=None, learning_rate=None, time=1e9 + step)
        writer.write(Snapshot(step=step, info=info, stats=stats), {})
    writer.close()
    with serve(directory / "logs", directory / "output.txt", load_fast=False) as server:
        yield server


def spread(step):
    return np.random.default_rng(step).normal(size=64)


ODD = {
    "zeros": lambda step: np.zeros(64),
    "ones": lambda step: np.ones(64),
    "zeros_first": lambda step: 0.01 * step * spread(step),
    "ones_first": lambda step: 1.0 + 0.01 * step * spread(step),
    "rising": lambda step: np.full(64, 1.0 + step / 10.0),
    "once_not_finite": lambda step: spread(step) if step != 2 else np.full(64, np.nan),
    "never_finite": lambda step: np.full(64, np.inf),
}


def measured(depth, layer, values_at, step):
    values = np.asarray(values_at(step), np.float32)
    finite = values[np.isfinite(values)]
    return TensorStats(
        tap=Tap(layer=layer, quantity=Quantity.ACTIVATION, depth=depth, size=values.size),
        values={
            "minimum": float(finite.min(initial=np.inf)),
            "maximum": float(finite.max(initial=-np.inf)),
        },
        histogram=collect(values),
    )


@pytest.mark.parametrize("page", PAGES)
def test_tensors_without_spread(browser, odd, page, tmp_path):
    tags = [tag_of_odd(layer) for layer in ODD]
    seen = tags[:4] if page == "timeseries" else tags[:6]
    charts = opened(browser, odd, page, "^activation/", seen, STEPS)
    for tag in seen:  # an axis around the value, with no label of forty decimals
        assert max(map(len, charts[tag]["labels"])) <= 6, charts[tag]["labels"]
    if page != "distributions":  # there a constant is a line
        assert charts[tags[0]]["tall"] == charts[tags[1]]["tall"] == STEPS
    browser.driver.save_screenshot(str(tmp_path / f"odd_{page}.png"))


def test_what_has_no_finite_value_is_drawn_flat(browser, odd):
    charts = opened(browser, odd, "histograms", "^activation/", [tag_of_odd("never_finite")], STEPS)
    assert charts[tag_of_odd("never_finite")]["tall"] == 0
    assert charts[tag_of_odd("once_not_finite")]["tall"] == STEPS - 1


def tag_of_odd(layer):
    return f"activation/{list(ODD).index(layer):03d}_{layer}"
