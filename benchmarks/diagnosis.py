"""How many faults the rules find, and how often they cry wolf: precision and recall.

`python -m benchmarks.diagnosis [--part tables images ...] [--only REGEX] [--seeds 5] [--fits 2]`
judges a part and prints each miss and each false alarm as it is found.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Iterable, Iterator

from benchmarks.measuring import Row, say, table
from benchmarks.zoo.faulty import DATA, HEADS, TRAINING
from benchmarks.zoo.faulty_weights import WEIGHTS
from benchmarks.zoo.healthy_images import IMAGES
from benchmarks.zoo.healthy_sequences import SEQUENCES
from benchmarks.zoo.healthy_tables import TABLES
from benchmarks.zoo.judging import Verdict, judged
from benchmarks.zoo.large import LARGE, LARGE_FAULTY
from benchmarks.zoo.scores import scored
from benchmarks.zoo.subject import Subject

PARTS: dict[str, dict[str, Subject]] = {
    "tables": TABLES,
    "images": IMAGES,
    "sequences": SEQUENCES,
    "weights": WEIGHTS,
    "data": DATA,
    "heads": HEADS,
    "training": TRAINING,
    "large": LARGE | LARGE_FAULTY,
}
SEEDS, FITS = 5, 1


def remarks(verdict: Verdict) -> Iterator[str]:
    """What is wrong with a verdict, a line each."""
    label = f"{verdict.name} | seed {verdict.seed} | {verdict.look}"
    if verdict.error:
        yield f"ERROR | {label} | {verdict.error}"
    for each in verdict.false_alarms:
        kind = "FALSE ALARM" if verdict.subject.is_healthy else "BESIDE THE FAULT"
        yield (
            f"{kind} | {label} | {each.code} {each.severity} | step {each.step} | "
            f"{each.layer} ({len(each.layers)}) | value {each.value:.4g} against "
            f"{each.threshold:.4g} | {each.title}. {each.message}"
        )
    if verdict.is_missed:
        wanted, named = "/".join(verdict.subject.wanted), sorted(verdict.codes) or "nothing"
        yield f"MISS | {label} | wanted {wanted}, said {named} | loss {verdict.losses}"
    if verdict.look == "fit" and verdict.subject.is_healthy and not verdict.has_trained:
        yield f"DOES NOT TRAIN | {label} | loss {verdict.losses}"


def verdicts(parts: Iterable[str], seeds: int, fits: int, pattern: str = "") -> Iterator[Verdict]:
    """All of some parts, remarked upon as they come; of a large network one look."""
    for part in parts:
        for name, subject in PARTS[part].items():
            if not re.search(pattern, name):
                continue
            begin = time.perf_counter()
            number = (1, 0) if part == "large" else (seeds, fits)
            for verdict in judged(name, subject, *number):
                for remark in remarks(verdict):
                    print(remark, flush=True)
                yield verdict
            say(f"{name}, {time.perf_counter() - begin:.0f} s")


def run(quick: bool) -> list[Row]:
    """Each network with five seeds, the large with one; quick: the small with one."""
    parts = [part for part in PARTS if not (quick and part == "large")]
    return scored(verdicts(parts, 1 if quick else SEEDS, FITS))


def main() -> None:
    """Judge some networks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--only", default="", help="a regular expression of names")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--fits", type=int, default=FITS)
    options = parser.parse_args()
    found = verdicts(options.part, options.seeds, options.fits, options.only)
    print(table(scored(found)))


if __name__ == "__main__":
    main()
