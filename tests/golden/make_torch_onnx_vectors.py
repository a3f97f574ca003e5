# SPDX-License-Identifier: Apache-2.0
"""Makes torch_onnx_vectors.npz and onnx/torch_*.onnx: graphs as PyTorch's two exporters write them.

Keys "case:name", one sequence a case, float64, computed from the float32 weights by PyTorch:

    x  [steps, inputs]
    y  [steps, outputs], before the LogSoftmax where there is one

Cases: {lstm,gru}_{script,dynamo}, by the old exporter with axes of any size, whose first states are
made in the graph, and by the new one. Two layers, batch first, and a linear layer; in lstm the
graph ends with a LogSoftmax and puts out the last states too, in gru it takes the last step.
both_{script,dynamo}: two bidirectional LSTM layers that start from constants, and a linear layer.

Run with torch, onnx and onnxscript installed: python tests/golden/make_torch_onnx_vectors.py
"""

import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from vector_files import save_cases

FILE = Path(__file__).with_name("torch_onnx_vectors.npz")
FOLDER = Path(__file__).with_name("onnx")
INPUTS, UNITS, OUTPUTS, STEPS = 5, 7, 3, 17


class Network(torch.nn.Module):
    """Two recurrent layers and a linear layer; what forward puts out is for the exporters."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        cell = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[kind]
        self.rnn = cell(INPUTS, UNITS, num_layers=2, batch_first=True)
        self.fc = torch.nn.Linear(UNITS, OUTPUTS)

    def every_step(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.rnn(x)[0])

    def forward(self, x: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        h, states = self.rnn(x)
        if isinstance(states, torch.Tensor):
            return self.fc(h[:, -1])
        return torch.log_softmax(self.fc(h), -1), *states


class Both(torch.nn.Module):
    """Two bidirectional layers that start from trained states, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = torch.nn.LSTM(INPUTS, UNITS, num_layers=2, batch_first=True, bidirectional=True)
        self.fc = torch.nn.Linear(2 * UNITS, OUTPUTS)
        self.h0, self.c0 = (torch.nn.Parameter(torch.rand(4, 1, UNITS) / 3) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.rnn(x, (self.h0, self.c0))[0])

    every_step = forward


def export(network: torch.nn.Module, exporter: str, file: Path) -> None:
    """Write the graph to `file`, without the notes on source lines."""
    x = torch.zeros(1, STEPS, INPUTS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the old exporter is old
        if exporter == "dynamo":
            torch.onnx.export(network, (x,), file, dynamo=True, external_data=False)
        else:
            axes = {"x": {0: "batch", 1: "steps"}}
            torch.onnx.export(
                network, (x,), file, dynamo=False, input_names=["x"], dynamic_axes=axes
            )
    model = onnx.load(file)
    for part in (model, model.graph, *model.graph.node, *model.graph.value_info):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    for value in (*model.graph.input, *model.graph.output):
        value.ClearField("metadata_props")
    onnx.save(model, file)


def main() -> None:
    """Weights larger than PyTorch's start, so that the gates leave their linear part."""
    torch.manual_seed(20240611)
    cases: dict[str, dict[str, np.ndarray]] = {}
    for kind in ("lstm", "gru", "both"):
        network = (Both() if kind == "both" else Network(kind)).eval()
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.mul_(2.5)
        x = torch.randn(1, STEPS, INPUTS, dtype=torch.float64)
        for exporter in ("script", "dynamo"):
            case = f"{kind}_{exporter}"
            export(network, exporter, FOLDER / f"torch_{case}.onnx")
            cases[case] = {"x": x[0].numpy()}
        with torch.no_grad():
            y = network.double().every_step(x)[0].numpy()
        for exporter in ("script", "dynamo"):
            cases[f"{kind}_{exporter}"]["y"] = y
    save_cases(FILE, cases)


if __name__ == "__main__":
    main()
