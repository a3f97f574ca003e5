# SPDX-License-Identifier: Apache-2.0
"""What `deltaloom search` is about, from its arguments: of a float model, or of a network."""

import argparse
from typing import TYPE_CHECKING

from ..golden.errors import UserError
from .options import read_metrics
from .originals import (
    read_calibration,
    read_reference,
    refuse_calibration,
    refuse_reference,
    warn_of_pair,
)
from .progress import progress_bars
from .scheme_options import method_options, read_options, read_widths
from .search_options import WIDTHS, read_limit, read_numbers, read_setting

if TYPE_CHECKING:
    from ..golden.data import Dataset
    from ..golden.evaluation.metrics import Metric
    from ..golden.evaluation.networks import AnyFloat, AnyNetwork
    from ..golden.models.float_model import FloatModel
    from ..search.genes import Space
    from ..search.goals import Goals
    from ..search.options import Options
    from ..search.problem import AnyProblem

FLOAT_OBJECTIVES, NETWORK_OBJECTIVES = ("error", "size"), ("error", "eliminated")
"""Where none is named."""


def prepare(args: argparse.Namespace) -> tuple["AnyProblem", "Space", "Goals"]:
    """What the search is about, from the arguments."""
    from ..golden.data import Dataset
    from ..golden.evaluation.metrics import metric_of
    from ..golden.evaluation.networks import load_any
    from ..golden.models.float_model import FloatModel

    given = load_any(args.model)
    tuning = Dataset.load(args.tune_data)
    metric = next(iter(read_metrics(args)), None) or metric_of(tuning)
    if isinstance(given, FloatModel) and "scheme" not in args:
        return _of_model(args, given, tuning, metric)
    return _of_network(args, given, tuning, metric)


def _of_model(
    args: argparse.Namespace, model: "FloatModel", tuning: "Dataset", metric: "Metric"
) -> tuple["AnyProblem", "Space", "Goals"]:
    """A float model, which is quantized anew for each candidate."""
    from ..golden.quantization.calibration import observe
    from ..golden.quantization.norm_ranges import balance
    from ..search.genes import Space
    from ..search.goals import FLOAT
    from ..search.problem import Problem

    refuse_reference(args)
    scheme = read_options(args)
    goals = _goals(args, metric, FLOAT_OBJECTIVES, FLOAT)
    space = Space.of(
        model,
        weights=read_widths("--weights", getattr(args, "weights", WIDTHS)),
        activations=read_widths("--activations", getattr(args, "activations", WIDTHS)),
        thresholds=read_numbers("--thresholds", getattr(args, "thresholds", "0")),
        share=args.share,
        tied=args.tied,
        settings=dict(map(read_setting, getattr(args, "vary", []))),
    )
    data = read_calibration(args)
    with progress_bars() as progress:
        model = balance(model, data, scheme.input_scale)
        statistics = observe(model, data, progress)
    problem = Problem(
        model=model,
        statistics=statistics,
        dataset=tuning,
        metric=metric,
        scheme=scheme,
        names=goals.names,
        options=_options(args),
        board=args.board,
    )
    return problem, space, goals


def _of_network(
    args: argparse.Namespace,
    given: "AnyFloat | AnyNetwork",
    tuning: "Dataset",
    metric: "Metric",
) -> tuple["AnyProblem", "Space", "Goals"]:
    """A network that is quantized already, or is made once; its thresholds vary."""
    from ..golden.integer_lstm.network import IntegerNetwork
    from ..golden.integer_lstm.recipe import quantize
    from ..golden.models.network import Network
    from ..search.genes import Space
    from ..search.goals import DENSE, FLOAT
    from ..search.network_problem import NetworkProblem, check_objectives

    names = [f"--{n}" for n in ("weights", "activations", "beacons") if n in args]
    for name in (*names, *(["--tied"] if args.tied else []), *method_options(args)):
        raise UserError(
            f"{name}: is for models that are quantized for each candidate, and here thresholds "
            "alone vary; leave it out"
        )
    model: AnyFloat | None
    network: AnyNetwork
    if isinstance(given, (Network, IntegerNetwork)):
        refuse_calibration(args, "data", "scheme")
        network, model = given, read_reference(args, "beside")
        warn_of_pair(network, model)
    else:
        refuse_reference(args)
        with progress_bars() as progress:
            network = quantize(given, read_calibration(args), progress)
        model = given
    goals = _goals(args, metric, NETWORK_OBJECTIVES, DENSE if model is None else FLOAT)
    text = getattr(args, "thresholds", None)
    space = Space.of_network(
        network,
        **({} if text is None else {"thresholds": read_numbers("--thresholds", text)}),
        share=args.share,
        settings=dict(map(read_setting, getattr(args, "vary", []))),
    )
    check_objectives(goals, space)
    problem = NetworkProblem(
        network=network,
        model=model,
        dataset=tuning,
        metric=metric,
        names=goals.names,
        options=_options(args),
        board=args.board,
    )
    return problem, space, goals


def _goals(
    args: argparse.Namespace, metric: "Metric", usual: tuple[str, ...], exact: str
) -> "Goals":
    from ..search.goals import Goals

    limits = dict(map(read_limit, getattr(args, "limit", [])))
    names = getattr(args, "objective", usual)
    return Goals.of(names, limits, (metric.title, metric.unit), args.board, exact)


def _options(args: argparse.Namespace) -> "Options":
    from ..search.options import Options

    return Options(
        word_bits=args.word_bits, lanes=args.lanes, longest=args.longest, clock_mhz=args.clock
    )
