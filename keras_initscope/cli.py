"""The command line: `initscope list` and `initscope run NAME`.

Owns arguments, printing and exit codes: 0 when all expectations are met, 1 when one failed, 2 when
a command cannot be carried out. Never computes anything itself.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from keras_initscope import __version__, presets
from keras_initscope.presets import PresetError, Result


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
    except PresetError as error:
        print(f"initscope: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="initscope",
        description="See whether a deep Keras network can train, and start it right.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    listing = commands.add_parser("list", help="list the preset experiments")
    listing.set_defaults(command=_list)

    run = commands.add_parser("run", help="run a preset experiment")
    run.add_argument("name", metavar="NAME", help="one of those that `initscope list` shows")
    run.add_argument(
        "--log-dir", metavar="D", help="directory for its files (default: runs/NAME)", type=Path
    )
    run.add_argument("--seed", metavar="N", help="seed (default: %(default)s)", type=int, default=0)
    run.add_argument("--quick", action="store_true", help="take the shorter protocol")
    run.set_defaults(command=_run)
    return parser


def _list(arguments: argparse.Namespace) -> int:
    names = presets.names()
    width = max(map(len, names))
    for name in names:
        print(f"{name:{width}}  {presets.get(name).summary}")
    return 0


def _run(arguments: argparse.Namespace) -> int:
    log_dir = arguments.log_dir or Path("runs") / arguments.name
    print(f"{arguments.name}: {presets.get(arguments.name).summary}\n", flush=True)
    result = presets.run(
        arguments.name, log_dir, arguments.seed, arguments.quick, progress=_progress()
    )
    print(f"\n{result}\n")
    print("\n".join(f"wrote {path}" for path in result.files))
    print(_conclusion(result))
    return 0 if result.met else 1


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
    return f"All {count} expectations are met."


if __name__ == "__main__":
    sys.exit(main())
