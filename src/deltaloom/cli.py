# SPDX-License-Identifier: Apache-2.0
"""The command line: parses, hands over to a verb, turns errors into one line and exit code 2."""

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import NoReturn

from . import __version__
from .golden.errors import UserError, printable
from .verbs import VERBS, load

USAGE_ERROR = 2
INTERRUPTED = 130
BROKEN_PIPE = 141


class _Parser(argparse.ArgumentParser):
    """One whose errors are one line like all others; its verbs' parsers are of this class, too."""

    def error(self, message: str) -> NoReturn:
        text = message.removeprefix("argument ")
        raise UserError(f"{text}; `{self.prog} --help` tells what there is")


def make_parser(names: Iterable[str] = VERBS) -> argparse.ArgumentParser:
    """The parser with the verbs `names`; only their modules are imported."""
    parser = _Parser(
        prog="deltaloom",
        description="Turns a trained recurrent network into a verified delta-RNN accelerator.",
        epilog="`deltaloom VERB --help` tells a verb's options, their units and defaults.",
    )
    parser.add_argument("--version", action="version", version=f"deltaloom {__version__}")
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
        sub.set_defaults(run=verb.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; `argv` without the program's name, sys.argv's by default.

    Returns the exit code: 0, 2 for what the user can mend, 130 after Ctrl-C.
    """
    # Before a verb imports NumPy: its products are small here, and two BLAS threads on busy cores
    # make the golden model several times slower.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    words = sys.argv[1:] if argv is None else list(argv)
    wanted = [words[0]] if words and words[0] in VERBS else VERBS
    try:
        try:
            args = make_parser(wanted).parse_args(words)
            args.run(args)
        finally:  # here, where a closed pipe is caught, and not at Python's exit
            sys.stdout.flush()
    except SystemExit as stop:  # argparse, after it printed help
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except UserError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _silence_stdout()
        return BROKEN_PIPE
    except OSError as error:
        return _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    return 0


def entry() -> None:
    """The console script `deltaloom`."""
    sys.exit(main())


def _fail(message: str) -> int:
    print("deltaloom:", printable(" ".join(message.splitlines())), file=sys.stderr)
    return USAGE_ERROR


def _silence_stdout() -> None:
    # Python flushes stdout once more at exit, which would complain about the closed pipe again.
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
