"""Check by hand that supervision reads a run's masks pixel by pixel.

It needs its own environment, since supervision brings versions of its own; avscli is not needed:

    python -m venv /tmp/sv && /tmp/sv/bin/pip install "supervision>=0.31" opencv-python-headless
    /tmp/sv/bin/python tests/e2e/check_supervision.py avs_out/clip.mp4
"""

import json
import sys
from pathlib import Path

import numpy as np


def decoded(size_hw: list[int], counts: str) -> np.ndarray:
    """Decode COCO compressed run lengths, character by character."""
    runs: list[int] = []
    number = shift = 0
    for character in counts.encode("ascii"):
        chunk = character - 48
        number |= (chunk & 0x1F) << shift
        shift += 5
        if chunk & 0x20:
            continue
        number -= (1 << shift) if chunk & 0x10 else 0
        runs.append(number + (runs[-2] if len(runs) > 2 else 0))
        number = shift = 0
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return flat.reshape(size_hw[::-1]).T


def check(run_folder: Path) -> str:
    """Compare every analysed frame of the journal with what supervision makes of the COCO file."""
    import supervision

    dataset = supervision.DetectionDataset.from_coco(
        str(run_folder), str(run_folder / "masks.coco.json"), force_masks=True
    )
    num_frames = num_masks = 0
    for line in (run_folder / "frames.jsonl").read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        if entry["interpolated"]:
            continue
        num_frames += 1
        detections = dataset.annotations[str(run_folder / f"frame_{entry['frame']:06d}.PNG")]
        assert len(detections) == len(entry["objects"]), f"frame {entry['frame']}: other count"
        for row, annotation in enumerate(entry["objects"]):
            num_masks += 1
            rle = annotation["segmentation"]
            truth = decoded(rle["size"], rle["counts"])
            assert np.array_equal(detections.mask[row], truth), f"frame {entry['frame']} differs"
            assert truth.sum() == annotation["area"]
            x, y, width, height = annotation["bbox"]
            assert detections.xyxy[row].tolist() == [x, y, x + width, y + height]
    assert num_frames == len(dataset.annotations), "supervision sees other frames"
    return (
        f"supervision {supervision.__version__}: {num_masks} masks on {num_frames} analysed "
        "frames, all pixel-exact\n"
    )


if __name__ == "__main__":
    sys.stdout.write(check(Path(sys.argv[1])))
