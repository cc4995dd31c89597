"""``avs models``: the networks' weights, listed, checked and converted."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from avscli import console
from avscli.commands import _options as shared
from avscli.config import DEFAULT_WEIGHTS

app = typer.Typer(help="List, inspect, verify and convert weights.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(help="A shipped name or a .safetensors file.")]


@app.command(name="list")
def list_(as_json: shared.JsonOption = False) -> None:
    """List the shipped weights, and the networks that weights can be of."""
    from avscli.networks.registry import list_networks
    from avscli.shipped import list_shipped

    shipped = list_shipped()
    if as_json:
        console.result_json([asdict(entry) for entry in shipped])
    else:
        rows = [[e.name, f"{e.num_bytes / 1e6:.1f} MB", e.licence, e.summary] for e in shipped]
        console.table("Shipped weights", ["name", "size", "terms", "what"], rows)
        console.result(f"Networks: {', '.join(list_networks())}")


@app.command()
def info(name: NameArgument = DEFAULT_WEIGHTS, as_json: shared.JsonOption = False) -> None:
    """Show where weights come from, what they were trained on and what they expect."""
    from avscli.checkpoints import read_info
    from avscli.shipped import find_checkpoint

    facts = asdict(read_info(find_checkpoint(name)))
    if as_json:
        console.result_json(facts)
    else:
        console.table(name, ["field", "value"], [[k, str(v)] for k, v in facts.items()])


@app.command()
def verify(
    name: NameArgument = DEFAULT_WEIGHTS,
    device: shared.DeviceOption = "cpu",
    as_json: shared.JsonOption = False,
) -> None:
    """Check that weights are whole and compute here what they computed when they were made."""
    from avscli.checkpoints import require_verified
    from avscli.devices import choose_device

    verification = require_verified(name, choose_device(device, console.warn))
    if as_json:
        console.result_json(asdict(verification))
    else:
        console.result(
            f"{verification.name}: sha256 matches, "
            f"golden logits differ by at most {verification.max_logit_difference:.1e}"
        )


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(help="A state dict saved by the published code.")],
    target: Annotated[Path, typer.Argument(help="The .safetensors file to write.")],
    clip_length: Annotated[int, typer.Option(help="Steps per clip: 5 (S4, MS3) or 10 (AVSS).")],
    vggish: Annotated[
        Path | None,
        typer.Option(help="VGGish state dict; without it the result cannot segment videos."),
    ] = None,
    overwrite: shared.OverwriteOption = False,
) -> None:
    """Convert a published PCMANet, TPAVI or CATR checkpoint; only weights are read, never code."""
    from avscli.conversion import convert_official

    left_out = convert_official(
        source, target, clip_length=clip_length, vggish=vggish, overwrite=overwrite
    )
    if left_out:
        parts = ", ".join(sorted({key.split(".")[0] for key in left_out}))
        console.note(
            f"left out {len(left_out)} tensors that the published network stores and never uses, "
            f"under {parts}"
        )
    console.result(str(target))
