"""Let Datumaro read an export and write its own: ``python exporting.py FROM FOLDER TO OUT``.

It runs in an environment of its own (.ci/importers.txt), in which there is no avscli.
"""

from __future__ import annotations

import sys
from pathlib import Path


def export(known_as: str, folder: Path, to: str, output: Path) -> None:
    import datumaro

    data = datumaro.Dataset.import_from(str(folder), known_as)
    options = {"segmentation_mode": "mask"} if to == "coco_instances" else {}
    data.export(str(output), to, save_media=False, **options)


if __name__ == "__main__":
    export(sys.argv[1], Path(sys.argv[2]), sys.argv[3], Path(sys.argv[4]))
