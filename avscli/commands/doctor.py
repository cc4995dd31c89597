"""``avs doctor``: is this machine ready, and what is on it."""

from __future__ import annotations

from avscli import console
from avscli.commands import _options as shared


def doctor(device: shared.DeviceOption = "auto", as_json: shared.JsonOption = False) -> None:
    """Check versions, device, FFmpeg and weights, and run one clip through the network.

    Exits with 0, or with the code of the first problem.
    """
    from avscli.doctor import examine, facts_as_rows, require_healthy

    facts, problems = examine(device, console.warn)
    if as_json:
        console.result_json(facts)
    else:
        console.table("avs doctor", ["what", "found"], facts_as_rows(facts))
    require_healthy(problems)
