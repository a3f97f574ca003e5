# SPDX-License-Identifier: Apache-2.0
"""deltaloom: trained recurrent networks as verified delta-RNN accelerators.

    import deltaloom as dl

    model = dl.import_model("model.pt")
    network = dl.quantize(model, dl.Dataset.load("calibration.npz"), "4-bit")
    print(dl.evaluate(network, dl.Dataset.load("test.npz"), model))

Names are looked up in their modules when they are first used, so that `import deltaloom` costs
nothing: it needs neither NumPy nor Amaranth.
"""

from typing import TYPE_CHECKING

__version__ = "0.1.0"

__all__ = [
    "Dataset",
    "Estimate",
    "Evaluation",
    "FineTuning",
    "FloatModel",
    "ImportOptions",
    "IntegerNetwork",
    "Network",
    "Run",
    "Scheme",
    "Stepper",
    "TrainingOptions",
    "UserError",
    "__version__",
    "build",
    "estimate",
    "evaluate",
    "export_tflite",
    "finetune",
    "generate",
    "import_model",
    "import_tflite",
    "load",
    "quantize",
    "quantize_integer_lstm",
    "run",
    "simulate",
    "tune",
]

if TYPE_CHECKING:
    from .api import (
        Estimate,
        build,
        estimate,
        evaluate,
        generate,
        import_model,
        load,
        quantize,
        run,
        simulate,
        tune,
    )
    from .golden.data import Dataset
    from .golden.errors import UserError
    from .golden.evaluation.result import Evaluation
    from .golden.evaluation.stepper import Stepper
    from .golden.evaluation.whole import Run
    from .golden.importers.checkpoint import ImportOptions
    from .golden.integer_lstm.network import IntegerNetwork
    from .golden.models.float_model import FloatModel
    from .golden.models.network import Network
    from .golden.quantization.scheme import Scheme
    from .lstm_api import export_tflite, import_tflite, quantize_integer_lstm
    from .training_api import FineTuning, TrainingOptions, finetune
else:
    _HOMES = {
        "Dataset": "golden.data",
        "Evaluation": "golden.evaluation.result",
        "FineTuning": "training_api",
        "FloatModel": "golden.models.float_model",
        "ImportOptions": "golden.importers.checkpoint",
        "IntegerNetwork": "golden.integer_lstm.network",
        "Network": "golden.models.network",
        "Run": "golden.evaluation.whole",
        "Scheme": "golden.quantization.scheme",
        "Stepper": "golden.evaluation.stepper",
        "TrainingOptions": "training_api",
        "UserError": "golden.errors",
        "export_tflite": "lstm_api",
        "finetune": "training_api",
        "import_tflite": "lstm_api",
        "quantize_integer_lstm": "lstm_api",
    }
    """Modules of the names that are not in `api`."""

    def __getattr__(name):
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        value = getattr(import_module(f"{__name__}.{_HOMES.get(name, 'api')}"), name)
        globals()[name] = value
        return value

    def __dir__():
        return sorted({*globals(), *__all__})
