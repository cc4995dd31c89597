"""review.html: one run, to be looked at, listened to and corrected, in one file without a server.

The template, the style and the script lie in ``static``; what the page shows is data in it, which
its script unpacks (`page_data`). Nothing of a run ever becomes markup or script: the few names in
the template are escaped, and the page's own policy forbids any script but its own, and every
request but that for the video.
"""

from __future__ import annotations

import base64
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from avscli import __version__
from avscli.errors import AvscliError, ExtraOutputError, MediaError, OutputError
from avscli.outputs.disk import output_errors, write_atomically
from avscli.outputs.run import Run
from avscli.outputs.run_source import opened_source
from avscli.review.page_data import PageData, gzipped_json
from avscli.review.playback import (
    Playback,
    embedded_proxy,
    proxy_path,
    relative_address,
    why_not_playable,
    write_proxy,
)
from avscli.review.waveform import waveform_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from avscli.datatypes import MediaInfo
    from avscli.review.waveform import Waveform

PAGE_NAME = "review.html"
MARKER = '<meta name="generator" content="avs review'  # of every page that we may replace
_MARKED_WITHIN = 1000  # characters
_SCRIPTS = (
    *("replay.js", "data.js", "player.js", "overlay.js", "timeline.js"),
    *("decisions.js", "panels.js", "review.js"),
)


@dataclass(frozen=True, slots=True)
class MadePage:
    """A page that was written, and what it shows.

    Attributes:
        page: the file.
        run: that it is of.
        data: what was read of it.
        media: its source as it lies there now; None when it is missing or unreadable. What
            `MediaInfo.opened_path` names may be gone.
    """

    page: Path
    run: Run
    data: PageData
    media: MediaInfo | None


def write_page(
    run: Run,
    page: Path,
    on_warning: Callable[[str], None],
    on_frame: Callable[[int], None],
    *,
    embed: bool = False,
) -> MadePage:
    """Write the page of a run, and beside it a copy of the video where browsers need one.

    Without its video the page is made all the same, and says so.

    Args:
        run: to be shown.
        page: the file to write; one that this program has not written is not replaced.
        on_warning: told in one line what the page lacks.
        on_frame: told how many frames of the journal were read.
        embed: put a copy of the video into the page.

    Raises:
        DataError: the journal is damaged or empty.
        OutputError: the page exists and is of others, or cannot be written; nothing is left.
    """
    require_ours(page, beside=proxy_path(page))
    data = PageData.of(run, on_frame)
    proxy_was_there = proxy_path(page).exists()
    with ExitStack() as stack:
        media, missing = _source(run, stack)
        try:
            playback = Playback("missing", note=missing)
            waveform = None
            if media is not None:
                playback = _playback(run, media, page, on_warning, embed=embed)
                waveform = _waveform(media, data, on_warning)
            if playback.kind == "missing":
                on_warning(f"{page}: shows no video: {playback.note}")
            write_atomically(page, _rendered(run, data, playback, waveform))
        except BaseException:
            if not proxy_was_there:
                with suppress(OSError):  # of a disk that takes nothing, it would hide what is told
                    proxy_path(page).unlink()
            raise
    return MadePage(page, run, data, media)


def environment() -> Environment:
    """Return what the templates of all pages are rendered with."""
    return Environment(
        loader=PackageLoader("avscli.review", "static"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def policy(script: str, style: str, media: str = "'none'") -> str:
    """Return a Content-Security-Policy that allows one script, one style and nothing from outside.

    Args:
        script, style: the texts, as they stand in the page.
        media: where videos may come from.
    """
    rules = {
        "default-src": "'none'",
        "script-src": _hash_of(script),
        "style-src": _hash_of(style),
        "img-src": "data:",
        "media-src": media,
        "base-uri": "'none'",
        "form-action": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def static_text(name: str) -> Markup:
    """Return one of our own files as it has to stand in a page."""
    text = (files("avscli.review") / "static" / name).read_text("utf-8")
    assert "</" not in text or not name.endswith(".js"), "it would end the script"
    return Markup(text)  # noqa: S704 – our own, no data in it


def printable(name: str) -> str:
    """Return a name as a page can hold it: one that is no valid Unicode gets question marks."""
    return name.encode(errors="replace").decode()


def require_ours(page: Path, *, beside: Path | None = None) -> None:
    """Check that a page may be written: nothing is there, or a page that we wrote before.

    Args:
        page: the file to write.
        beside: another one that will be written with it.

    Raises:
        OutputError: something else is there, or it cannot be written.
    """
    if page.suffix.lower() not in (".html", ".htm"):
        raise OutputError(f"{page} is no name for a page", hint="end it with .html")
    with output_errors(page):
        if page.is_dir():
            raise OutputError(f"{page} is a folder", hint="name the page to write with -o")
        if page.exists():
            with page.open(encoding="utf-8", errors="replace") as file:
                is_ours = MARKER in file.read(_MARKED_WITHIN)
        else:
            page = beside or page
            is_ours = not page.exists()
    if not is_ours:
        raise OutputError(
            f"{page} exists and is no page of avs review, so it is not replaced",
            hint="move it away, or choose another page with -o",
        )


def _hash_of(text: str) -> str:
    return f"'sha256-{base64.b64encode(sha256(text.encode()).digest()).decode()}'"


def _source(run: Run, stack: ExitStack) -> tuple[MediaInfo | None, str]:
    """Open the source; return why there is none instead."""
    audio = run.record.source.audio
    track = 0 if audio is None else audio.track
    opened = opened_source(run.source, run.record.source.sha256, audio_track=track)
    try:
        media = stack.enter_context(opened)
    except OutputError:
        raise
    except AvscliError as err:
        return None, str(err)
    return media, ""


def _playback(
    run: Run, media: MediaInfo, page: Path, on_warning: Callable[[str], None], *, embed: bool
) -> Playback:
    reason = why_not_playable(run.record.source, run.source.suffix)
    try:
        if embed:
            return Playback("embedded", embedded=embedded_proxy(media, page, on_warning))
        if reason:
            proxy = write_proxy(media, page, on_warning)
            return Playback("copy", relative_address(proxy, page), note=reason)
    except (MediaError, ExtraOutputError) as err:
        return Playback("missing", note=str(err))
    return Playback("source", relative_address(run.source, page))


def _waveform(
    media: MediaInfo, data: PageData, on_warning: Callable[[str], None]
) -> Waveform | None:
    if media.audio is None:
        return None
    try:
        return waveform_of(media, data.start_seconds, data.end_seconds, on_warning)
    except MediaError as err:
        on_warning(f"the page shows no waveform: {err}")
        return None


def _rendered(run: Run, data: PageData, playback: Playback, waveform: Waveform | None) -> str:
    starts = data.start_seconds if data.frames[0] == 0 else run.record.source.start_seconds
    video = {
        "kind": playback.kind,
        "address": playback.address,
        "note": playback.note,
        "first": starts,
    }
    script = Markup("\n").join(static_text(name) for name in _SCRIPTS)
    style = static_text("style.css")
    table = gzipped_json(data.table(run, video, waveform))
    return (
        environment()
        .get_template("page.html")
        .render(
            version=__version__,
            title=printable(run.source.name),
            policy=policy(script, style, "'self' file: blob:"),
            style=style,
            script=script,
            table=base64.b64encode(table).decode(),
            blocks=[base64.b64encode(block).decode() for block in data.blocks],
            video="" if playback.embedded is None else base64.b64encode(playback.embedded).decode(),
        )
    )
