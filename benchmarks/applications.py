"""What theory predicts of `keras.applications`: `python -m benchmarks.applications`."""

import argparse
import time
from collections.abc import Iterator

import keras

from keras_initscope.prediction.signal import predict_signal
from keras_initscope.records import Snapshot

MODELS = sorted(name for name in dir(keras.applications) if name[0].isupper())


def build(name: str) -> keras.Model:
    keras.utils.clear_session()
    shape = {"input_shape": (224, 224, 3)} if name.startswith("MobileNetV3") else {}
    return getattr(keras.applications, name)(weights=None, **shape)


def predictions(names: list[str]) -> Iterator[tuple[str, Snapshot, float]]:
    for name in names:
        model = build(name)
        begin = time.perf_counter()
        snapshot = predict_signal(model)
        yield name, snapshot, time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", default=MODELS, choices=MODELS)
    print("| model | layers | forward unknown | gradient unknown | seconds |")
    print("|---|---|---|---|---|")
    for name, snapshot, seconds in predictions(parser.parse_args().only):
        forward = snapshot.profile("activation", "variance")
        back = snapshot.profile("activation_gradient", "variance")
        total = len(forward) + len(snapshot.unknown)
        print(
            f"| {name} | {total} | {total - len(forward)} | {total - len(back)} | {seconds:.2f} |",
            flush=True,
        )
        if snapshot.unknown:
            print("  ", next(iter(snapshot.unknown.items())))


if __name__ == "__main__":
    main()
