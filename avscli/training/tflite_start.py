"""Start weights from published tflite graphs: walk their operators, dequantise, copy.

Batch norm is folded in such graphs, so every convolution has a weight and a bias, and the
order of the operators is the order of our layers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from avscli.errors import CheckpointMismatchError, MissingExtraError, WeightsError
from avscli.networks.backbones.mobilenet_v2 import SameConv

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import nn

    from avscli.networks.pcmanet.modules import PictureNaming

_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")
# In the order of Pascal VOC's label indices, under avsmix's names where it shows them too.
VOC_CLASSES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair",
    "cow", "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa",
    "train", "tvmonitor",
)  # fmt: skip


def start_from_tflite(module: nn.Module, path: Path) -> None:
    """Copy the convolutions of a tflite graph into a module's `SameConv` layers, in order.

    Args:
        module: network whose leading convolutions match the graph's.
        path: tflite file with float or quantised weights.

    Raises:
        MissingExtraError: the tflite reader is not installed.
        WeightsError: the file is missing or not a tflite graph.
        CheckpointMismatchError: a layer's shape differs from the graph's.
    """
    ours = [(name, m) for name, m in module.named_modules() if isinstance(m, SameConv)]
    theirs = _convolutions(path)
    if len(theirs) < len(ours):
        raise CheckpointMismatchError(f"{path} has {len(theirs)} convolutions, need {len(ours)}")
    for (name, layer), (weight, bias) in zip(ours, theirs, strict=False):
        if weight.shape != tuple(layer.weight.shape):
            raise CheckpointMismatchError(
                f"{path}: {name} wants {tuple(layer.weight.shape)}, the graph has {weight.shape}"
            )
        _copy(layer, weight, bias)


def start_naming(naming: PictureNaming, class_names: Sequence[str], path: Path) -> bool:
    """Copy the head of a DeepLab graph of the 21 VOC classes; say whether this is one.

    Args:
        naming: in place; classes that VOC has not keep their random start.
        class_names: of its classes after the background.
        path: tflite file that the backbone could start from.

    Raises:
        MissingExtraError, WeightsError: as `start_from_tflite`.
    """
    head = _convolutions(path)[-4:]
    layers = (naming.near, naming.whole, naming.joined)
    shapes = [tuple(layer.weight.shape) for layer in layers]
    shapes.append((len(VOC_CLASSES), naming.names.in_channels, 1, 1))
    if [weight.shape for weight, _ in head] != shapes:
        return False
    for layer, (weight, bias) in zip(layers, head[:3], strict=True):
        _copy(layer, weight, bias)
    weight, bias = head[3]
    ours = ["background", *class_names]
    for name in set(ours) & set(VOC_CLASSES):
        row, theirs = ours.index(name), VOC_CLASSES.index(name)
        _copy(naming.names, weight[theirs], bias[theirs], row)
    return True


def _copy(
    layer: nn.Conv2d,
    weight: NDArray[np.float32],
    bias: NDArray[np.float32] | np.float32,
    rows: int | slice = slice(None),
) -> None:
    assert layer.bias is not None
    with torch.no_grad():
        layer.weight[rows] = torch.as_tensor(weight)
        layer.bias[rows] = torch.as_tensor(bias)


def _convolutions(path: Path) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Return (weight [O, I/groups, k, k], bias [O]) of every convolution in operator order."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as err:
        raise MissingExtraError(
            "reading tflite start weights needs ai-edge-litert",
            hint='pip install "avscli[train]"',
        ) from err
    try:
        graph = Interpreter(str(path))
    except ValueError as err:
        raise WeightsError(f"{path} is not a readable tflite graph: {err}") from err
    tensors = {t["index"]: t for t in graph.get_tensor_details()}
    sources: dict[int, int] = {}
    found = []
    for operator in graph._get_ops_details():
        inputs, outputs = operator["inputs"], operator["outputs"]
        if operator["op_name"] == "DEQUANTIZE":
            sources[outputs[0]] = inputs[0]
        elif operator["op_name"] in _CONVOLUTIONS:
            weight = _dequantised(graph, tensors[sources.get(inputs[1], inputs[1])])
            bias = _dequantised(graph, tensors[inputs[2]])
            depthwise = operator["op_name"].startswith("DEPTHWISE")
            axes = (3, 0, 1, 2) if depthwise else (0, 3, 1, 2)  # OHWI, or 1HWC when depthwise
            found.append((np.ascontiguousarray(weight.transpose(axes)), bias))
    return found


def _dequantised(graph: Any, tensor: dict[str, Any]) -> NDArray[np.float32]:
    values: NDArray[np.float32] = graph.get_tensor(tensor["index"]).astype(np.float32)
    quantisation = tensor["quantization_parameters"]
    scales, zeros = quantisation["scales"], quantisation["zero_points"]
    if len(scales) == 0:
        return values
    shape = [1] * values.ndim
    shape[quantisation["quantized_dimension"]] = -1
    values -= zeros.astype(np.float32).reshape(shape)
    values *= scales.reshape(shape)
    return values
