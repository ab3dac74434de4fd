"""A fingerprint moves with code and data that a function uses, and with nothing else."""

import functools
import subprocess
import sys
import threading

import keras
import numpy as np
import pytest

from keras_initscope.sweeps import SweepError
from keras_initscope.sweeps.identity import fingerprint

SCRIPT = """
import functools
import numpy as np
from dataclasses import dataclass
RATE = {rate}
@dataclass(frozen=True)
class Settings:
    width: int
    def area(self):
        return self.width * {area}
def helper(x):
    # {comment}
    return {{"y": x * RATE, "keys": {{"b", "a", "c"}}}}
def job(x, settings=Settings({width})):
    def inner():
        return helper(x)
    return inner(), settings.area(), np.tanh(x)
wrapped = functools.partial(functools.cache(job), {bound})
from keras_initscope.sweeps.identity import fingerprint
print(fingerprint(wrapped))
"""
AS_IT_IS = {"rate": 2, "area": 3, "width": 4, "bound": 5, "comment": "a remark"}


def printed(**changed):
    """The fingerprint that a process of its own finds; text hashes differ from one to the next."""
    script = SCRIPT.format(**{**AS_IT_IS, **changed})
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.mark.slow
def test_it_is_the_same_in_another_process_and_moves_with_each_part():
    first = printed()
    assert len(first) == 16
    assert printed(comment="another remark") == first
    for name in ("rate", "area", "width", "bound"):
        assert printed(**{name: 9}) != first, name


def closing_over(value):
    return lambda: value


SAME = [
    (lambda: np.arange(6.0), lambda: np.arange(6.0)),
    (lambda: keras.losses.Huber(0.5), lambda: keras.losses.Huber(0.5)),
    (lambda: {"a", "b", "c", "d"}, lambda: {"d", "c", "b", "a"}),
    (lambda: np.random.default_rng(0), lambda: np.random.default_rng(0)),
    (lambda: functools.partial(pow, 2), lambda: functools.partial(pow, 2)),
]
DIFFERENT = [
    (1, 1.0),
    (1, True),
    (1, "1"),
    ("a", b"a"),
    ((1, (2, 3)), ((1, 2), 3)),
    ({"a": 1}, {"a": 2}),
    (np.arange(6.0), np.arange(6)),
    (np.arange(6.0), np.arange(6.0).reshape(2, 3)),
    (np.array(["a", None]), np.array(["a", 1], object)),
    (keras.losses.Huber(0.5), keras.losses.Huber(0.25)),
    (np.random.default_rng(0), np.random.default_rng(1)),
    (functools.partial(pow, 2), functools.partial(pow, 3)),
    ("text".upper, "other".upper),
    (np.tanh, np.sinh),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_what_is_alike_has_the_same(one, other):
    assert fingerprint(closing_over(one())) == fingerprint(closing_over(other()))


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_what_is_not_has_another(one, other):
    assert fingerprint(closing_over(one)) != fingerprint(closing_over(other))


def test_a_function_that_calls_itself_ends():
    def down(n):
        return down(n - 1) if n else 0

    assert fingerprint(down) == fingerprint(down)


def left(x):
    return x


def right(x):
    return -x


def test_what_is_met_again_is_told_from_other_things_met_before():
    table = {"a": left, "b": right, "c": left}
    assert fingerprint(table) == fingerprint(dict(table))
    assert fingerprint(table) != fingerprint({**table, "c": right})


def test_equal_tuples_need_not_be_the_same_object():
    one = (1, "a")
    assert fingerprint([one, one]) == fingerprint([one, tuple(iter(one))])


NETS = """
import threading
from deeper import FACTOR
WIDTH = {width}
nets = threading.Lock()
def value(x={default}):
    return WIDTH
"""
MAIN = """
import sys
import nets
import parts.inner
from nets import value
from keras_initscope.sweeps.identity import fingerprint

def by_attribute():
    return nets.value()

def by_name():
    return value()

def within():
    from nets import value
    return value()

def by_any_name(name):
    return getattr(nets, name)()

def of_a_package():
    return parts.inner.RATE

nets.WIDTH = int(sys.argv[1])
for each in (by_attribute, by_name, within, by_any_name, of_a_package):
    print(fingerprint(each))
"""


def of_a_project(folder, mutated=0, **changed):
    """Fingerprints of the functions of a script that has modules beside it."""
    numbers = {"width": 3, "default": 4, "factor": 5, "rate": 6, **changed}
    (folder / "parts").mkdir(exist_ok=True)
    files = {
        "main.py": MAIN,
        "nets.py": NETS.format(**numbers),
        "deeper.py": f"FACTOR = {numbers['factor']}\n",
        "parts/__init__.py": "",
        "parts/inner.py": f"RATE = {numbers['rate']}\n",
    }
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    command = [sys.executable, "main.py", str(mutated)]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.split()


@pytest.mark.slow
def test_modules_beside_the_script_are_the_users_own(tmp_path):
    first = of_a_project(tmp_path)
    assert of_a_project(tmp_path) == first  # now from the compiled files

    def moved(**changed):
        return [a != b for a, b in zip(first, of_a_project(tmp_path, **changed), strict=True)]

    assert moved(width=33) == [True, False, True, True, False]  # `value` is given another one
    assert moved(mutated=1) == [True, True, False, False, False]
    assert moved(default=44) == [True, True, True, True, False]
    assert moved(factor=55) == [True, False, True, True, False]
    assert moved(rate=66) == [False, False, False, False, True]


class Ring:
    def __init__(self):
        self.members = {self}


def test_a_set_within_itself_ends():
    assert fingerprint(Ring()) == fingerprint(Ring())


def test_what_nobody_can_tell_apart_is_refused():
    with pytest.raises(SweepError, match=r"Nobody can tell whether <unlocked _thread\.lock"):
        fingerprint(closing_over(threading.Lock()))


def test_what_an_installed_package_does_is_named_and_not_entered():
    assert fingerprint(keras.datasets.mnist.load_data) != fingerprint(
        keras.datasets.cifar10.load_data
    )


def class_with(rate):
    class Model:
        __slots__ = ("x",)

        @property
        def rate(self):
            return 2 * rate

        @staticmethod
        def twice(x):
            return 2 * x

        @classmethod
        def made(cls):
            return cls()

        @functools.cached_property
        def kept(self):
            return rate

    return Model


def test_a_class_of_the_users_is_seen_into():
    assert fingerprint(class_with(1)) == fingerprint(class_with(1)) != fingerprint(class_with(2))
