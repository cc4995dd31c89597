"""VGGish: the audio encoder of the AVS papers.

Paper: S. Hershey et al., "CNN Architectures for Large-Scale Audio Classification", ICASSP
2017, arXiv 1609.09430; released with AudioSet (Apache-2.0). Parameter names follow the widely
used PyTorch conversion of that release (``features.0.weight`` … ``embeddings.4.bias``), so that
its weights load without a table. The code is our own, under this project's licence; no weights
are part of this package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from avscli.networks.state_dicts import load_strictly

if TYPE_CHECKING:
    from collections.abc import Mapping


class VGGish(nn.Module):
    """Six convolutions and three linear layers, with a ReLU after the last one too.

    The release adds PCA and 8 bits; PCMANet was trained on what comes before them.
    """

    num_features = 128

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        in_channels = 1
        for widths in ((64,), (128,), (256, 256), (512, 512)):
            for width in widths:
                layers += [nn.Conv2d(in_channels, width, 3, padding=1), nn.ReLU()]
                in_channels = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.embeddings = nn.Sequential(
            nn.Linear(512 * 6 * 4, 4096),
            nn.ReLU(),
            nn.Linear(4096, 4096),
            nn.ReLU(),
            nn.Linear(4096, self.num_features),
            nn.ReLU(),
        )

    def forward(self, log_mel: Tensor) -> Tensor:
        """Embed log-mel patches.

        Args:
            log_mel: [N, 1, 96, 64] float32 of `avscli.audio.log_mel.log_mel_patches`.

        Returns:
            [N, 128] float32, not negative.
        """
        maps = self.features(log_mel)  # [N, 512, 6, 4]
        # The first linear layer was trained on channels-last memory order.
        embedding: Tensor = self.embeddings(maps.permute(0, 2, 3, 1).flatten(1))
        return embedding


def load_audioset_vggish(network: VGGish, state: Mapping[str, Tensor]) -> None:
    """Start ``network`` from the published weights; PCA arrays (``pproc.*``) are left aside.

    Raises:
        CheckpointMismatchError: a key is missing, unexpected, or of another shape.
    """
    encoder = {key: value for key, value in state.items() if not key.startswith("pproc.")}
    load_strictly(network, encoder, source="the AudioSet VGGish state dict")
