"""The command line: `initscope list | run | catalogue | inspect | rules | report`.

Owns arguments, printing and exit codes: 0 when all expectations are met or all is told, 1 when an
expectation failed, 2 when a command cannot be carried out, 130 when it is interrupted. Never
computes anything itself.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from functools import partial
from io import StringIO
from pathlib import Path
from textwrap import fill
from typing import Any

from keras_initscope import __version__, presets
from keras_initscope.batches import BatchError
from keras_initscope.diagnosis import RULES
from keras_initscope.inspection import InspectionError, has_loss, loading
from keras_initscope.inspection.look import look
from keras_initscope.inspection.recorded import report_of_run
from keras_initscope.presets import PresetError, Result
from keras_initscope.presets.catalogue import write_catalogue
from keras_initscope.presets.digits import digits
from keras_initscope.presets.workers import in_processes
from keras_initscope.records import FitReport, Report
from keras_initscope.text import aligned, did_you_mean
from keras_initscope.writers import write_report

_WIDTH = 100  # characters a line
_JOBS, _JOBS_OF_ALL = 1, 2  # a preset can take gigabytes of memory

#: Of the table of all presets: name, seconds and outcome.
_Row = tuple[str, str, str]


class CommandError(ValueError):
    """A command that cannot be carried out."""


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out one command.

    Args:
        argv: The arguments after the program's name; those of the process if `None`.

    Returns:
        The exit code.

    Example:

    ```python
    from keras_initscope.cli import main

    assert main(["list"]) == 0
    ```
    """
    try:
        arguments = _parser().parse_args(argv)
    except SystemExit as stop:  # argparse has printed help, the version or what is wrong
        return int(stop.code or 0)
    try:
        return int(arguments.command(arguments))
    except (BatchError, CommandError, InspectionError, PresetError) as error:
        print(f"initscope: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("initscope: interrupted.", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="initscope",
        description="See whether a deep Keras network can train, and start it right.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    listing = commands.add_parser("list", help="list the preset experiments")
    listing.set_defaults(command=_list)

    run = commands.add_parser("run", help="run a preset experiment, or all of them")
    which = run.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "name", metavar="NAME", nargs="?", help="one of those that `initscope list` shows"
    )
    which.add_argument("--all", action="store_true", help="run all presets, whatever comes of one")
    run.add_argument(
        "--log-dir", metavar="D", help="directory for its files (default: runs/NAME)", type=Path
    )
    run.add_argument("--seed", metavar="N", help="seed (default: %(default)s)", type=int, default=0)
    run.add_argument("--seeds", metavar="K", help="run from K seeds", type=int)
    run.add_argument(
        "--jobs",
        metavar="J",
        help="of several seeds, or of all presets, how many at once; -1: as many as cores "
        f"(default: {_JOBS}, with --all {_JOBS_OF_ALL})",
        type=int,
    )
    run.add_argument("--quick", action="store_true", help="take the shorter protocol")
    run.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="a parameter of the preset, such as depth=30; several values are separated by commas",
    )
    run.set_defaults(command=_run)

    catalogue = commands.add_parser(
        "catalogue", help="write a document of all presets that were run"
    )
    catalogue.add_argument(
        "runs", metavar="RUNS", type=Path, help="the --log-dir of `initscope run --all`"
    )
    catalogue.add_argument(
        "--out", metavar="F", type=Path, default="presets.md", help="(default: %(default)s)"
    )
    catalogue.set_defaults(command=_catalogue)

    look = commands.add_parser("inspect", help="see what a model does with signal and gradient")
    look.add_argument("model", metavar="MODEL.keras", help="as model.save writes it")
    look.add_argument(
        "--data",
        metavar="D",
        required=True,
        help="digits (those of scikit-learn), or a .npz file with an array x and optionally y",
    )
    look.add_argument(
        "--loss", metavar="L", help='name of a Keras loss such as "mse" (default: the compiled one)'
    )
    look.add_argument("--out", metavar="D", help="directory for report.md and depth.png", type=Path)
    look.add_argument(
        "--remedies", action="store_true", help="try on copies what removes what is found"
    )
    look.add_argument(
        "--unsafe", action="store_true", help="let the file run Python code (Lambda layers)"
    )
    look.set_defaults(command=_inspect)

    rules = commands.add_parser("rules", help="list what a network is judged by")
    rules.add_argument("code", metavar="CODE", nargs="?", help="explain this one, such as F1")
    rules.set_defaults(command=_rules)

    report = commands.add_parser("report", help="tell what was wrong in a run that was monitored")
    report.add_argument("log_dir", metavar="LOGDIR", type=Path, help="as given to VarianceMonitor")
    report.add_argument(
        "--out", metavar="D", help="directory for report.md and pictures", type=Path
    )
    report.set_defaults(command=_report)
    return parser


def _list(arguments: argparse.Namespace) -> int:
    names = presets.names()
    width = max(map(len, names))
    for name in names:
        print(f"{name:{width}}  {presets.get(name).summary}")
    return 0


def _run(arguments: argparse.Namespace) -> int:
    if not arguments.all:
        log_dir = arguments.log_dir or Path("runs") / arguments.name
        jobs = _JOBS if arguments.jobs is None else arguments.jobs
        return 0 if _run_one(arguments, arguments.name, log_dir, jobs).met else 1
    if arguments.set:
        raise CommandError("--set is for one preset: name it, in place of --all.")
    return _run_all(arguments)


def _run_one(arguments: argparse.Namespace, name: str, log_dir: Path, jobs: int) -> Result:
    values = presets.parsed(name, arguments.set)
    experiment = presets.build(name, arguments.seed, arguments.quick, **values)
    print(f"{name}: {experiment.summary}\n", flush=True)
    result = experiment.run(arguments.seeds, log_dir, _progress(), jobs)
    print(f"\n{result}\n")
    print("\n".join(f"wrote {path}" for path in result.files))
    print(_conclusion(result))
    return result


def _run_all(arguments: argparse.Namespace) -> int:
    """All of them, whatever becomes of one; a table of them at the end, of those there are."""
    jobs = _JOBS_OF_ALL if arguments.jobs is None else arguments.jobs
    if jobs < 1 and jobs != -1:
        raise CommandError(f"--jobs must be 1 or more, or -1 for all cores. Received: {jobs}.")
    folder, rows = arguments.log_dir or Path("runs"), list[_Row]()
    try:
        if jobs == 1:
            for name in presets.names():
                rows.append(_run_one_of_all(arguments, name, folder / name))
                print(flush=True)
        else:  # where a process is at home does not matter
            places = [(name, folder.absolute() / name) for name in presets.names()]
            calls = [partial(_with_its_text, arguments, *place) for place in places]
            print(
                f"{len(calls)} presets, {_at_once(jobs)}; each is told of at its end.\n", flush=True
            )
            for row, text in in_processes(calls, jobs, "presets"):
                rows.append(row)
                print(text, flush=True)
    finally:
        head = ("preset", "seconds", "outcome")
        print(aligned(head, sorted(rows), (True, False, True)), flush=True)
    return int(any("FAILED" in outcome for _, _, outcome in rows))


def _at_once(jobs: int) -> str:
    return "as many at a time as there are cores" if jobs == -1 else f"{jobs} at a time"


def _run_one_of_all(arguments: argparse.Namespace, name: str, log_dir: Path) -> _Row:
    started = time.perf_counter()
    try:
        outcome = _conclusion(_run_one(arguments, name, log_dir, jobs=1))
    except Exception as error:  # the others are run all the same
        outcome = f"FAILED: {type(error).__name__}: {error}"
        print(f"{name}: {outcome}", file=sys.stderr)
    return name, f"{time.perf_counter() - started:.0f}", outcome


def _with_its_text(arguments: argparse.Namespace, name: str, log_dir: Path) -> tuple[_Row, str]:
    """What it prints all in one, for a process beside others."""
    with redirect_stdout(StringIO()) as text:
        row = _run_one_of_all(arguments, name, log_dir)
    return row, text.getvalue()


def _catalogue(arguments: argparse.Namespace) -> int:
    print("\n".join(f"wrote {path}" for path in write_catalogue(arguments.runs, arguments.out)))
    return 0


def _inspect(arguments: argparse.Namespace) -> int:
    model, x, y, steps = _model_and_data(arguments)
    report = look(model, x, y, arguments.loss, steps, arguments.remedies)
    _show(report, arguments.out)
    return 0


def _model_and_data(arguments: argparse.Namespace) -> tuple[Any, Any, Any, int | None]:
    """The model, inputs, targets where there is a loss for them, and steps if not in the model."""
    loss = arguments.loss
    arrays = None if arguments.data == "digits" else loading.load_arrays(arguments.data)
    has_targets = arrays is None or "y" in arrays
    compiled = has_targets and loss is None
    model = loading.load_model(arguments.model, unsafe=arguments.unsafe, compiled=compiled)
    steps = None if compiled else loading.steps_in(arguments.model, unsafe=arguments.unsafe)
    with_loss = has_targets and (loss is not None or has_loss(model))
    if arrays is not None:
        x, y = loading.inputs_from(model, arrays), arrays["y"] if with_loss else None
        return model, x, y, steps
    data = digits(seed=0)
    x = loading.suited_images(model, data.train_x)
    labels = data.train_y[: len(x)]
    return model, x, loading.suited_labels(model, labels, loss) if with_loss else None, steps


def _rules(arguments: argparse.Namespace) -> int:
    if arguments.code is None:
        rows = [(rule.code, rule.title) for rule in sorted(RULES.values(), key=lambda r: r.code)]
        print(aligned(("code", "title"), rows, (True, True)))
        print("\n`initscope rules CODE` explains one of them.")
        return 0
    if arguments.code.upper() not in RULES:
        raise CommandError(
            f"There is no rule {arguments.code!r}. {did_you_mean(arguments.code.upper(), RULES)}"
            "`initscope rules` lists them."
        )
    rule = RULES[arguments.code.upper()]
    needs = ", ".join(sorted(rule.needs)) or "anything"
    parts = (rule.explanation, f"What to do: {rule.remedy}", f"Needs measurements of: {needs}.")
    print("\n\n".join([f"{rule.code} {rule.title}", *(fill(part, _WIDTH) for part in parts)]))
    return 0


def _report(arguments: argparse.Namespace) -> int:
    _show(report_of_run(arguments.log_dir), arguments.out)
    return 0


def _show(report: Report | FitReport, out: Path | None) -> None:
    """Print a report, and write it where that is asked for."""
    print(report)
    if out is None:
        return
    try:
        files = write_report(report, out)
    except OSError as error:
        raise InspectionError(
            f"The report cannot be written to --out {str(out)!r}: {error}"
        ) from error
    print("\n" + "\n".join(f"wrote {path}" for path in files))


def _progress() -> Callable[[str], None]:
    started = time.perf_counter()

    def tell(line: str) -> None:
        print(f"[{time.perf_counter() - started:6.1f} s] {line}", flush=True)

    return tell


def _conclusion(result: Result) -> str:
    failed = sum(not verdict.met for verdict in result.verdicts)
    count = len(result.verdicts)
    if failed:
        return f"{failed} of {count} expectations FAILED."
    if not count:
        return "No expectations: they are about the preset's own parameters."
    return f"All {count} expectations are met."


if __name__ == "__main__":
    sys.exit(main())
