# SPDX-License-Identifier: Apache-2.0
"""What may be trained, and on what data; without PyTorch."""

from ..golden.data import Dataset
from ..golden.errors import UserError
from ..golden.models.float_model import FloatModel
from ..golden.models.network import Network

__all__ = ["check_data", "check_trainable"]


def check_trainable(model: Network | FloatModel) -> None:
    """Raise UserError for a network, or a model of one, that training does not know."""
    if model.tokens:
        raise UserError(
            "tokens: networks whose frames are tokens cannot be trained on yet; train the float "
            "model itself, or quantize with more bits"
        )


def check_data(model: Network | FloatModel, data: Dataset, tuning: Dataset) -> None:
    """Raise UserError unless a network, or one of this model, can be trained on the data.

    Parameters
    ----------
    data: to train on.
    tuning: to judge on.
    """
    check_trainable(model)
    for what, each in (("training data", data), ("tuning data", tuning)):
        try:
            each.check_width(model.inputs)
            each.check_outputs(model.outputs)
            each.check_labels(model.labels)
        except UserError as error:
            raise UserError(f"{what}: {error}") from error
        if not each.scored:
            raise UserError(f"{what}: no frame has a label or a target; give data that has")
    if data.task != tuning.task:
        raise UserError(
            f"tuning data: of the task {tuning.task}, the training data of {data.task}; give both "
            "of one task"
        )
