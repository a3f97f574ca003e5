# SPDX-License-Identifier: Apache-2.0
"""The command line: parses, hands over to a verb, turns errors into one line and exit code 2."""

import argparse
import difflib
import gc
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

from . import __version__
from .golden.errors import UserError, printable
from .terminal.completion import add_completion
from .terminal.document import add_json, alone, check_json
from .verbs import VERBS, load

USAGE_ERROR = 2
INTERRUPTED = 130
BROKEN_PIPE = 141
STREAMS = ("standard input", "standard output", "standard error")


class Terminated(BaseException):
    """SIGTERM or SIGHUP came: what runs ends its children and removes its half-made files."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.code = 128 + number


class _Parser(argparse.ArgumentParser):
    """One whose errors are one line like all others; its verbs' parsers are of this class, too."""

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]
        self.register("type", Path, _path)

    def refuse(self, words: Sequence[str]) -> NoReturn:
        """Raise UserError for words that are no arguments, with names that are much like them."""
        text = f"unrecognized arguments: {' '.join(words)}"
        names = [word.partition("=")[0] for word in words if word.startswith("-")]
        near = [difflib.get_close_matches(name, self._option_string_actions, 1) for name in names]
        found = dict.fromkeys(name for each in near for name in each)
        self.error(text + (f"; there is {' and '.join(found)}" if found else ""))

    def error(self, message: str) -> NoReturn:
        text = message.removeprefix("argument ")
        raise UserError(f"{text}; `{self.prog} --help` tells what there is")

    def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> object:
        # argparse of Python 3.11 takes the value of `--option=--` away and fails without it.
        if action.option_strings and arg_strings == ["--"]:
            raise argparse.ArgumentError(action, "'--' is no value")
        return super()._get_values(action, arg_strings)


def _path(text: str) -> Path:
    """A path that an argument names; the empty text would be this folder."""
    if not text:
        raise argparse.ArgumentTypeError("the name is empty; name a file or a folder")
    return Path(text)


def make_parser(names: Iterable[str] = VERBS) -> argparse.ArgumentParser:
    """The parser with the verbs `names`; only their modules are imported."""
    parser = _Parser(
        prog="deltaloom",
        description="Turns a trained recurrent network into a verified delta-RNN accelerator.",
        epilog="`deltaloom VERB --help` tells a verb's options, their units and defaults.",
    )
    parser.add_argument("--version", action="version", version=f"deltaloom {__version__}")
    add_completion(parser)
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True, title="verbs")
    for name in names:
        verb = load(name)
        sub = verbs.add_parser(
            name,
            help=verb.help,
            description=f"{verb.help[:1].upper()}{verb.help[1:]}.",
            formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        )
        verb.configure(sub)
        sub.add_argument(
            "--cells",
            type=Path,
            metavar="FILE",
            help="Python file that describes cells of your own (docs/howto/add-a-cell.md)",
        )
        sub.add_argument(
            "--quiet",
            action="store_true",
            default=argparse.SUPPRESS,
            help="print nothing but an error (default: tables, warnings and progress)",
        )
        add_json(sub)
        sub.set_defaults(run=verb.run, parser=sub)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; `argv` without the program's name, sys.argv's by default.

    Returns the exit code: 0, 2 for what the user can mend, 130 after Ctrl-C, 143 after SIGTERM.
    """
    # Before a verb imports NumPy: its products are small here, and two BLAS threads on busy cores
    # make the golden model several times slower.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    words = sys.argv[1:] if argv is None else list(argv)
    with warnings.catch_warnings():
        if not sys.warnoptions:  # those of other packages are for their developers
            warnings.simplefilter("ignore")
        code = _run(words)
        if code:  # what an error has left unfinished warns when it goes: here, not at Python's exit
            gc.collect()
    return code


def _run(words: Sequence[str]) -> int:
    wanted = [words[0]] if words and words[0] in VERBS else VERBS
    try:
        with _terminable():
            try:
                _check_streams()
                args, others = make_parser(wanted).parse_known_args(words)
                if others:
                    args.parser.refuse(others)
                if args.cells is not None:
                    from .golden.cells import load_cells  # NumPy, after `main`

                    load_cells(args.cells)
                check_json(args)
                with alone(args), _silence() if "quiet" in args else nullcontext():
                    args.run(args)
            finally:  # here, where a closed pipe is caught, and not at Python's exit
                _flush()
    except SystemExit as stop:  # argparse, after it printed help
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except UserError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        return INTERRUPTED
    except Terminated as end:
        return end.code
    except BrokenPipeError:
        _silence_stdout()
        return BROKEN_PIPE
    except OSError as error:
        if error.errno is None:
            return _fail(str(error))
        # Whoever opens a file names it; without a name it is what was printed.
        return _fail(f"{error.filename or STREAMS[1]}: {error.strerror}")
    except RecursionError:
        return _fail("something in the input is nested too deeply; give a flatter one")
    except MemoryError as error:
        return _fail(f"there is not enough memory ({error or 'none is left'}); give less at once")
    return 0


def entry() -> None:
    """The console script `deltaloom`."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # what the terminal's encoding lacks is written as \\xdf
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    sys.exit(main())


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM and SIGHUP raise `Terminated` in the block; only the main thread gets any."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: FrameType | None) -> NoReturn:
        raise Terminated(number)

    numbers = [
        number
        for number in (signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is signal.SIG_DFL  # not under nohup
    ]
    for number in numbers:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def _silence() -> Iterator[None]:
    """Nothing that a verb prints in the block is seen; its error comes after it."""
    with (
        Path(os.devnull).open("w", encoding="utf-8") as null,
        redirect_stdout(null),
        redirect_stderr(null),
    ):
        yield


def _check_streams() -> None:
    """Where a standard stream is closed, the next file that is opened would get its number."""
    closed = []
    for number, name in enumerate(STREAMS):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free, which is this one
            closed.append(name)
    if STREAMS[1] in closed:
        raise UserError("standard output is closed; send it to /dev/null to drop it")


def _flush() -> None:
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        _silence_stdout()
        raise UserError(f"standard output: {error.strerror}; send it elsewhere") from error


def _fail(message: str) -> int:
    print("deltaloom:", printable(" ".join(message.splitlines())), file=sys.stderr)
    return USAGE_ERROR


def _silence_stdout() -> None:
    # Python flushes stdout once more at exit, which would complain about the closed pipe again.
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
