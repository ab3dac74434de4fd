"""What TensorBoard itself says it has read from a log directory."""

import numpy as np
import pytest

from keras_initscope.measurement.histograms import SAMPLE
from keras_initscope.writers.tags import tag_of

SIGNAL = {"activation", "activation_gradient"}
AROUND_ACTIVATION = SIGNAL | {"preactivation", "preactivation_gradient"}
WEIGHTS = {"kernel", "kernel_gradient", "kernel_update", "bias", "bias_gradient"}

#: By the layers' names, what each has. Reading it off the history alone would not notice a quantity
#: that is never measured.
EXPECTED = {
    "image": {"activation"},  # with no weights before it, no gradient is taken there
    "conv": AROUND_ACTIVATION | WEIGHTS,
    "norm": SIGNAL,
    "norm/gamma": {"kernel", "kernel_gradient", "kernel_update"},
    "norm/beta": {"bias", "bias_gradient"},
    "relu": SIGNAL,
    "dropout": SIGNAL,
    "lines": SIGNAL,
    "lstm": SIGNAL,
    "lstm/lstm_cell": WEIGHTS,
    "lstm/lstm_cell/candidate": {"preactivation"},
    "lstm/lstm_cell/recurrent_kernel": {"kernel", "kernel_gradient", "kernel_update"},
    "dense_1": AROUND_ACTIVATION | WEIGHTS,
    # The crossentropy goes back to the logits, past the softmax.
    "digit": AROUND_ACTIVATION - {"activation_gradient"} | WEIGHTS,
}


def entries_by_tag(history):
    """Tag to `(step, stats)` in the order of steps."""
    found = {}
    for snapshot in history:
        for stats in snapshot.stats:
            found.setdefault(tag_of(stats.tap), []).append((snapshot.step, stats))
    return found


def test_every_quantity_that_each_layer_has_is_listed(served, mixed_run):
    found = {}
    for tag in served.tags("histograms")["train"]:
        quantity, _, address = tag.partition("/")
        layer = address.partition("_")[2]
        if not quantity.startswith("log10_abs_"):
            found.setdefault(layer, set()).add(quantity)
    assert found == EXPECTED


@pytest.mark.parametrize("plugin", ["histograms", "distributions"])
def test_what_the_monitor_saw_is_what_is_listed(served, mixed_run, plugin):
    plain = set(entries_by_tag(mixed_run.history))
    logs = {f"log10_abs_{tag}" for tag in plain if "_gradient/" in tag or "_update/" in tag}
    assert logs
    assert served.tags(plugin) == {"train": plain | logs}


def test_scalars_of_the_whole_network_are_listed(served):
    tags = served.tags("scalars")["train"]
    assert {"signal/forward_slope", "signal/backward_slope", "signal/monitor_overhead"} <= tags
    assert {tag.split("/")[0] for tag in tags} == {"signal"}


def test_of_a_healthy_network_the_page_says_that_nothing_is_wrong(served, mixed_run):
    assert mixed_run.findings == []
    assert served.tags("text") == {"train": {"findings", "report"}}
    (page,) = served.get("plugin/text/text", run="train", tag="findings")
    assert (page["step"], page["text"]) == (0, "<p>Nothing is found to be wrong.</p>")


def test_depth_profiles_stand_at_the_depths_of_the_layers(served, mixed_run):
    for run, snapshot in (
        ("depth/theory", mixed_run.prediction),
        ("depth/step_0", mixed_run.history[0]),
    ):
        for tag, quantity in (
            ("depth/activation_variance", "activation"),
            ("depth/gradient_variance", "preactivation_gradient"),
        ):
            points = served.get("plugin/scalars/scalars", run=run, tag=tag)
            found = {step: value for _, step, value in points}
            expected = {
                entry.tap.depth: entry.values["variance"]
                for entry in snapshot.stats
                if entry.tap.quantity == quantity
            }
            assert expected
            assert {depth: found[depth] for depth in expected} == pytest.approx(expected, rel=1e-6)


def test_scalars_stand_at_the_steps_of_the_snapshots(served, mixed_run):
    points = served.get("plugin/scalars/scalars", run="train", tag="signal/forward_slope")
    assert [step for _, step, _ in points] == [snapshot.step for snapshot in mixed_run.history]
    assert np.isfinite([value for _, _, value in points]).all()


def test_histograms_hold_every_sampled_element_at_every_step(served, mixed_run):
    for tag, entries in entries_by_tag(mixed_run.history).items():
        answer = served.get("plugin/histograms/histograms", run="train", tag=tag)
        assert [step for _, step, _ in answer] == [step for step, _ in entries], tag
        for (_, _, bins), (_, stats) in zip(answer, entries, strict=True):
            left, right, counts = np.array(bins).T
            assert np.isfinite([left, right]).all(), tag
            assert (left <= right).all(), tag
            assert (left[1:] == right[:-1]).all(), tag
            assert counts.sum() == pytest.approx(stats.histogram.total), tag
            assert min(stats.tap.size, SAMPLE // 4) <= stats.histogram.total <= SAMPLE, tag
            if stats.tap.size <= SAMPLE:
                assert stats.histogram.total == stats.tap.size, tag
            assert left[0] >= stats.values["minimum"], tag
            assert right[-1] <= stats.values["maximum"], tag


def test_one_tensor_is_large_enough_to_be_sampled(mixed_run):
    assert mixed_run.history[0].find("activation", "conv").tap.size > SAMPLE


def test_log_histograms_are_in_decades(served, mixed_run):
    tag = next(tag for tag in entries_by_tag(mixed_run.history) if tag.startswith("kernel_grad"))
    answer = served.get("plugin/histograms/histograms", run="train", tag=f"log10_abs_{tag}")
    stats = entries_by_tag(mixed_run.history)[tag][0][1]
    greatest = max(-stats.values["minimum"], stats.values["maximum"])
    right = answer[0][2][-1][1]
    assert right == pytest.approx(np.log10(greatest), abs=0.06)  # a bucket is 0.05 decades at most


def test_distributions_are_ordered_quantiles(served, mixed_run):
    for tag in entries_by_tag(mixed_run.history):
        answer = served.get("plugin/distributions/distributions", run="train", tag=tag)
        for _, _, quantiles in answer:
            values = np.array([value for _, value in quantiles])
            assert np.isfinite(values).all(), tag
            assert (np.diff(values) >= 0).all(), tag


def test_what_starts_as_a_constant_starts_as_a_spike(served):
    for tag, constant in [("bias/001_conv", 0.0), ("kernel/002_norm/gamma", 1.0)]:
        answer = served.get("plugin/histograms/histograms", run="train", tag=tag)
        assert answer[0][2] == [[constant, constant, 12.0]]
        assert len(answer[1][2]) == 30


def test_the_report_is_a_text_and_two_images(served, mixed_run):
    assert "report" in served.get("plugin/text/tags")["train"]
    (shown,) = served.get("plugin/text/text", run="train", tag="report")
    assert shown["step"] == mixed_run.history[-1].step
    for part in ("<h2>What is wrong", "<table>", "<td><code>conv</code></td>"):
        assert part in shown["text"]
    assert set(served.get("plugin/images/tags")["train"]) == {"report/depth", "report/heatmap"}
    for name in ("depth", "heatmap"):
        query = {"run": "train", "tag": f"report/{name}", "sample": 0}
        (image,) = served.get("plugin/images/images", **query)
        assert image["step"] == mixed_run.history[-1].step
