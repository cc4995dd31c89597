"""Start weights: our layers with a graph's weights compute what the graph computes."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from avscli.audio.log_mel import log_mel_patches
from avscli.datasets.avsmix import loudest_window
from avscli.errors import CheckpointMismatchError, WeightsError
from avscli.media.stills import read_picture, read_waveform, resize_picture
from avscli.networks.backbones.mobile_audio import MobileAudio
from avscli.networks.backbones.mobilenet_v2 import MobileNetV2, SameConv
from avscli.networks.pcmanet.modules import PictureNaming
from avscli.training.tflite_start import VOC_CLASSES, start_from_tflite, start_naming

DATA = Path(__file__).parents[4] / "shared" / "data"
YAMNET = DATA / "init" / "yamnet.tflite"
DEEPLAB = DATA / "init" / "deeplabv3_mnv2_pascal_quant.tflite"
NAMES = ("dog", "scene_bell", *(n for n in VOC_CLASSES[1:] if n != "dog"))
MOBILENET = DATA / "init" / "tf2_mobilenet_v2_1.0_224_ptq.tflite"
needs_data = pytest.mark.skipif(not YAMNET.is_file(), reason="no start weights beside the project")

pytestmark = [
    pytest.mark.shared,
    needs_data,
    # The inner tensors are what these tests compare; the reader warns that keeping them is dear.
    pytest.mark.filterwarnings("ignore:.*experimental_preserve_all_tensors"),
]


def run_graph(path: Path, values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Run a graph and return its first inner tensor of some shape, dequantised."""
    from ai_edge_litert.interpreter import Interpreter

    graph = Interpreter(str(path), experimental_preserve_all_tensors=True)
    graph.allocate_tensors()
    graph.set_tensor(graph.get_input_details()[0]["index"], values)
    graph.invoke()
    produced = {int(op["outputs"][0]) for op in graph._get_ops_details()}
    tensor = next(
        t for t in graph.get_tensor_details()
        if t["index"] in produced and tuple(t["shape"]) == shape
    )  # fmt: skip
    scale, zero = tensor["quantization"]
    raw = graph.get_tensor(tensor["index"]).astype(np.float32)
    return (raw - zero) * scale if scale else raw


def labels_of_graph(path: Path, pixels: np.ndarray) -> np.ndarray:
    from ai_edge_litert.interpreter import Interpreter

    graph = Interpreter(str(path))
    graph.allocate_tensors()
    graph.set_tensor(graph.get_input_details()[0]["index"], pixels[None])
    graph.invoke()
    return graph.get_tensor(graph.get_output_details()[0]["index"])[0]


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a.ravel() @ b.ravel() / np.linalg.norm(a) / np.linalg.norm(b))


# The graphs round activations (and one of them weights) to 8 bits on the way, so agreement is in
# direction, not in the last digit.
def test_the_audio_encoder_gives_the_graphs_embedding():
    recording = sorted((DATA / "avsmix" / "audio" / "dog_bark").glob("*.ogg"))[0]
    window = loudest_window(read_waveform(recording))
    expected = run_graph(YAMNET, window[None], (1, 1024))
    encoder = MobileAudio()
    start_from_tflite(encoder, YAMNET)
    with torch.inference_mode():
        embedding = encoder(log_mel_patches(window)).numpy()
    assert cosine(embedding, expected) > 0.98


def test_the_picture_encoder_gives_the_graphs_last_map():
    picture = read_picture(sorted((DATA / "avsmix" / "images" / "dog").glob("*.jpg"))[0])
    pixels = resize_picture(picture, (224, 224))
    expected = run_graph(MOBILENET, pixels[None], (1, 7, 7, 320))
    encoder = MobileNetV2()
    start_from_tflite(encoder, MOBILENET)
    frames = torch.from_numpy(pixels.astype(np.float32) / 127.5 - 1.0).permute(2, 0, 1)[None]
    with torch.inference_mode():
        coarsest = encoder(frames)[-1].permute(0, 2, 3, 1).numpy()
    assert cosine(coarsest, expected) > 0.95


def test_backbone_and_naming_name_a_pictures_pixels_as_the_whole_graph_does():
    picture = read_picture(sorted((DATA / "avsmix" / "images" / "dog").glob("*.jpg"))[0])
    expected = labels_of_graph(DEEPLAB, resize_picture(picture, (513, 513)))
    encoder, naming = MobileNetV2(output_stride=16), PictureNaming(320, 1 + len(NAMES))
    start_from_tflite(encoder, DEEPLAB)
    assert start_naming(naming, NAMES, DEEPLAB)
    pixels = torch.from_numpy(resize_picture(picture, (512, 512)).astype(np.float32))
    with torch.inference_mode():
        logits = naming(encoder((pixels / 128.0 - 1.0).permute(2, 0, 1)[None])[-1])
    found = F.interpolate(logits, (513, 513), mode="bilinear")[0].argmax(dim=0).numpy()
    ours, theirs = found == 1 + NAMES.index("dog"), expected == VOC_CLASSES.index("dog")
    assert theirs.mean() > 0.05
    # An even size samples the picture half a step beside the graph's odd one: 0.85 here.
    assert (ours & theirs).sum() / (ours | theirs).sum() > 0.8


def test_a_graph_without_the_voc_head_leaves_the_naming_as_it_is():
    naming = PictureNaming(320, 3)
    before = {name: value.clone() for name, value in naming.state_dict().items()}
    assert not start_naming(naming, ("dog", "cat"), MOBILENET)
    assert all(torch.equal(value, before[name]) for name, value in naming.state_dict().items())


def test_a_network_of_other_shapes_is_a_mismatch_that_names_the_layer():
    other = nn.Sequential(SameConv(3, 7, 3))
    with pytest.raises(CheckpointMismatchError, match="0 wants"):
        start_from_tflite(other, MOBILENET)


def test_a_file_that_is_no_graph_is_a_weights_error(tmp_path):
    path = tmp_path / "x.tflite"
    path.write_text("no graph")
    with pytest.raises(WeightsError, match=r"x\.tflite"):
        start_from_tflite(MobileAudio(), path)
