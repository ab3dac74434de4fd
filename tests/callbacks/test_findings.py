"""What the monitor says to be wrong during fit, to whom, when, and that training is as without."""

import json
import re
import time
import warnings

import keras
import numpy as np
import pytest
from keras import layers, ops
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util import tensor_util

from keras_initscope import VarianceMonitor
from keras_initscope.diagnosis import Evidence, engine, rule
from keras_initscope.diagnosis.course import Course, replay
from keras_initscope.writers import read_jsonlines

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 6)).astype(np.float32)
Y = X[:, :3] @ RNG.normal(size=(3, 2)).astype(np.float32)


def compiled(*parts, loss="mse", **last):
    keras.utils.set_random_seed(0)
    hidden = parts or [layers.Dense(8, "tanh", name="a"), layers.Dense(8, "tanh", name="b")]
    model = keras.Sequential(
        [keras.Input((6,)), *hidden, layers.Dense(2, name="out", **last)], name="net"
    )
    model.compile(keras.optimizers.SGD(0.05), loss, jit_compile=False)
    return model


def fit(model, monitor, x=X, y=Y, epochs=2):
    history = model.fit(x, y, batch_size=16, epochs=epochs, verbose=0, callbacks=[monitor])
    state = [np.asarray(ops.convert_to_tensor(v)) for v in model.variables]
    return history.history, state


def zeros():
    return layers.Dense(8, "tanh", kernel_initializer="zeros", name="zeros")


def sentences(recorded):
    return [str(w.message) for w in recorded if w.category is UserWarning]


@pytest.fixture
def said():
    """All that is said to the user."""
    with warnings.catch_warnings(record=True) as recorded:
        warnings.simplefilter("always")
        yield recorded


@pytest.fixture
def only_rule(monkeypatch):
    """Makes a function the only rule there is; then weights suffice, which are quick to measure."""
    monkeypatch.setattr(engine, "RULES", {})

    def register(judge, **kwargs):
        def asked(case):
            """Something is wrong.

            It does harm.

            Remedy: Do otherwise.
            """
            return judge(case)

        rule("W9", **kwargs)(asked)

    return register


def seen(certain):
    return Evidence(value=1.0, threshold=0.0, message="Seen.", layers=("a",), certain=certain)


def monitored(directory, **kwargs):
    kwargs = {"update_freq": 1, "quantities": ["kernel"], "outputs": [], **kwargs}
    return VarianceMonitor(directory, **kwargs)


def test_a_faulty_network_is_told_of_once_with_layer_evidence_and_remedy(tmp_path, said):
    monitor = VarianceMonitor(tmp_path, update_freq=1)
    fit(compiled(zeros(), kernel_initializer="zeros"), monitor)
    (finding,) = [each for each in monitor.findings if each.layer == "zeros"]
    (sentence,) = [text for text in sentences(said) if text.startswith(finding.code)]
    assert re.match(rf"{finding.code} {finding.title} \(\w+\) at step 0 in zeros", sentence)
    assert finding.remedy in sentence
    assert finding.step == 0
    assert len({text[:2] for text in sentences(said)}) == len(sentences(said))


def test_a_healthy_network_is_not_said_a_word_of(tmp_path, said):
    monitor = VarianceMonitor(tmp_path, update_freq=1)
    losses, _ = fit(compiled(), monitor, epochs=6)
    assert losses["loss"][-1] < losses["loss"][0]
    assert monitor.findings == []
    assert sentences(said) == []


@pytest.mark.parametrize("on_finding", ["ignore", "warn", "stop", [].append])
@pytest.mark.filterwarnings("ignore:W9")
def test_training_is_the_same_whatever_is_found(on_finding, tmp_path, only_rule):
    """A warning, which stops nothing."""
    only_rule(lambda case: seen(certain=False))
    plain = fit(compiled(), keras.callbacks.Callback())
    watched = fit(compiled(), monitored(tmp_path, on_finding=on_finding))
    assert repr(watched[0]) == repr(plain[0])
    for mine, theirs in zip(watched[1], plain[1], strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize(
    ("on_finding", "certain", "stops"),
    [("stop", True, True), ("stop", False, False), ("warn", True, False)],
)
def test_an_alarm_ends_training_where_that_is_asked_for(
    on_finding, certain, stops, tmp_path, only_rule, said
):
    """Of 40 steps it is seen at the third one, and training ends soon after."""
    only_rule(lambda case: seen(certain) if case.snapshot.step >= 3 else None)
    model, monitor = compiled(), monitored(tmp_path, on_finding=on_finding)
    fit(model, monitor, epochs=10)
    assert (int(model.optimizer.iterations) < 40) == stops
    assert bool(model.stop_training) == stops
    assert [each.step for each in monitor.findings] == [3]
    (sentence,) = sentences(said)
    assert ("Training stops here" in sentence) == stops


def test_an_alarm_of_the_last_look_is_told(tmp_path, only_rule, said):
    only_rule(lambda case: seen(certain=True) if case.snapshot.step == 7 else None)
    fit(compiled(), monitored(tmp_path, on_finding="stop"))
    (sentence,) = sentences(said)
    assert "at step 7" in sentence


def test_it_is_told_while_training_goes_on_and_not_at_the_next_look(tmp_path, only_rule):
    """Within the epoch, of which nothing is looked at between its first and its last step."""
    model, told = compiled(), []

    def slow(case):  # so that it cannot be told by the look itself
        time.sleep(0.3)
        return seen(certain=False)

    only_rule(slow)

    class Patient(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            time.sleep(0.0 if told else 0.1)

    monitor = monitored(
        tmp_path,
        update_freq=10**6,
        on_finding=lambda finding: told.append(int(model.optimizer.iterations)),
    )
    model.fit(X, Y, batch_size=2, verbose=0, callbacks=[monitor, Patient()])
    assert [each.step for each in monitor.history] == [0, 31]
    assert len(told) == 1
    assert told[0] < 31


def test_the_report_that_is_written_knows_what_the_probe_shows(tmp_path, only_rule, said):
    only_rule(lambda case: seen(certain=False) if case.probe else None)
    monitor = monitored(tmp_path, outputs=["report"], probe=(X[:8], Y[:8]))
    fit(compiled(), monitor)
    (finding,) = monitor.findings
    (told,) = [
        each.markdown for each in monitor.report().sections if finding.title in each.markdown
    ]
    assert told in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_a_function_may_change_the_training_and_end_it(tmp_path, only_rule):
    """It is called in the thread that trains, and may look at the monitor itself."""
    only_rule(lambda case: seen(certain=False))
    model, looked = compiled(), []

    def stop(finding):
        looked.append(list(monitor.findings))
        model.stop_training = True

    monitor = monitored(tmp_path, on_finding=stop)
    fit(model, monitor, epochs=10)
    assert int(model.optimizer.iterations) < 40
    assert [[each.code for each in listed] for listed in looked] == [["W9"]]


def test_a_function_that_fails_harms_nothing(tmp_path, only_rule, said):
    only_rule(lambda case: seen(certain=case.snapshot.step >= 3))
    monitor = monitored(tmp_path, on_finding=lambda finding: 1 / 0)
    losses, _ = fit(compiled(), monitor)
    assert len(losses["loss"]) == 2
    assert [each.step for each in monitor.history] == list(range(8))
    (sentence,) = sentences(said)
    assert "on_finding failed on finding W9" in sentence


def test_a_rule_at_fault_harms_nothing_and_is_told_once(tmp_path, only_rule, said):
    only_rule(lambda case: {}["missing"])
    monitor = monitored(tmp_path, outputs=("tensorboard", "snapshots"))
    plain, watched = fit(compiled(), keras.callbacks.Callback()), fit(compiled(), monitor)
    for mine, theirs in zip(watched[1], plain[1], strict=True):
        np.testing.assert_array_equal(mine, theirs)
    (sentence,) = sentences(said)
    assert "cannot judge step 0" in sentence
    assert "KeyError: 'missing'" in sentence
    assert [s.step for s in read_jsonlines(str(tmp_path))[1]] == list(range(8))
    tags = EventAccumulator(str(tmp_path / "train")).Reload().Tags()["tensors"]
    assert "kernel/000_a" in tags
    assert not {"findings", "signal/findings"} & set(tags)


def test_each_fit_begins_with_no_findings(tmp_path, only_rule, said):
    only_rule(lambda case: seen(certain=False))
    monitor, model = monitored(tmp_path), compiled()
    for _ in range(2):
        fit(model, monitor, epochs=1)
    assert len(sentences(said)) == 2
    assert [each.step for each in monitor.findings] == [4]
    fit(compiled(), monitored(tmp_path, on_finding="ignore"))
    assert len(sentences(said)) == 2


def test_a_fit_that_breaks_off_has_said_what_was_found(tmp_path, only_rule, said):
    only_rule(lambda case: seen(certain=False))

    class Interrupt(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise KeyboardInterrupt

    monitor = monitored(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        compiled().fit(X, Y, verbose=0, callbacks=[monitor, Interrupt()])
    assert [each.code for each in monitor.findings] == ["W9"]
    assert len(sentences(said)) == 1


def test_rules_know_what_was_measured_before_and_what_was_predicted(tmp_path, only_rule):
    cases = []
    only_rule(cases.append)
    monitor = monitored(
        tmp_path, quantities=["kernel", "activation"], outputs=["depth"], probe=(X[:8], Y[:8])
    )
    fit(compiled(), monitor)
    assert [len(case.earlier) for case in cases] == list(range(8))
    assert cases[5].earlier[3] is monitor.history[3]
    assert cases[5].probe == tuple(monitor.probe_history[:5])
    assert "drift" in cases[5].probe[-1].find("activation", "a").values
    assert all(case.predicted is monitor.prediction is not None for case in cases)
    assert cases[0].model.planned_steps == 8


@pytest.mark.parametrize(
    ("kwargs", "asked"),
    [
        ({}, {"K", "A", "whole"}),
        ({"quantities": ["kernel"]}, {"K", "whole"}),
        ({"quantities": ["activation"]}, {"A"}),
        ({"layers": "^a$"}, {"K", "A"}),
    ],
)
def test_rules_that_lack_what_they_need_are_not_asked(kwargs, asked, tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "RULES", {})
    found = set()
    kinds = {
        "K": {"needs": ["kernel"]},
        "A": {"needs": ["activation"]},
        "whole": {"needs": ["kernel"], "whole": True},
    }
    for number, (name, needs) in enumerate(kinds.items(), 1):

        def judge(case, name=name):
            """Something is wrong.

            It does harm.

            Remedy: Do otherwise.
            """
            found.add(name)

        rule(f"W{number}", **needs)(judge)
    fit(compiled(), monitored(tmp_path, **{"quantities": "all", "update_freq": 100, **kwargs}))
    assert found == asked


NETWORKS = {
    "healthy": (compiled, X, Y),
    "zeros": (lambda: compiled(zeros(), layers.Dense(8, "tanh", name="b")), X, Y),
    "not_a_number": (compiled, np.where(X > 2.0, np.nan, X), Y),
    "beside_the_loss": (
        lambda: compiled(loss="sparse_categorical_crossentropy", activation="relu"),
        X,
        (Y[:, 0] > 0).astype(int),
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_read_back_is_judged_as_it_was(name, tmp_path):
    build, x, y = NETWORKS[name]
    monitor = VarianceMonitor(tmp_path, update_freq=2, on_finding="ignore", probe=(x, y))
    fit(build(), monitor, x, y, epochs=6)
    model, snapshots = read_jsonlines(str(tmp_path))
    course = Course(model)
    looks = list(replay(course, snapshots, read_jsonlines(str(tmp_path / "probe"))[1]))
    assert repr(course.findings) == repr(monitor.findings)  # NaN equal to NaN
    assert bool(course.findings) == (name != "healthy")
    scalars = [len(found) for _, found in looks]
    assert [number for number, _ in _written(tmp_path, "signal/findings")] == scalars


def _written(directory, tag):
    accumulator = EventAccumulator(str(directory / "train"), size_guidance={"tensors": 0}).Reload()
    return [
        (tensor_util.make_ndarray(event.tensor_proto).item(), event.step)
        for event in accumulator.Tensors(tag)
    ]


def test_tensorboard_gets_findings_when_they_change(tmp_path, only_rule):
    """From none to a warning, an alarm and none again, each as page and as JSON text."""
    stages = {1: False, 2: False, 3: True, 4: True}
    only_rule(lambda c: seen(stages[c.snapshot.step]) if c.snapshot.step in stages else None)
    fit(compiled(), monitored(tmp_path, outputs=["tensorboard"], on_finding="ignore"))
    pages, texts = _written(tmp_path, "findings"), _written(tmp_path, "initscope/findings")
    assert [step for _, step in pages] == [step for _, step in texts] == [0, 1, 3, 5]
    listed = [json.loads(text) for text, _ in texts]
    assert [[each["severity"] for each in found] for found in listed] == [
        [],
        ["warning"],
        ["alarm"],
        [],
    ]
    assert [number for number, _ in _written(tmp_path, "signal/findings")] == [
        0.0,
        *[1.0] * 4,
        *[0.0] * 3,
    ]
