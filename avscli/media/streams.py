"""Which streams of a container can be used: pictures that move, known codecs, nothing encrypted."""

from __future__ import annotations

import mmap
import re
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Disposition, Stream

from avscli.errors import EncryptedMediaError, MediaError

_PICTURES = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
# FFmpeg reads still pictures and text art as videos of one frame; so do all its "…_pipe" formats.
_STILLS = {"image2", "tty", "bin", "xbin", "idf", "adf"}
_SEQUENCE_BRANDS = {"avis", "msf1", "hevc", "hevx"}  # of AVIF and HEIF
ANIMATIONS = {"gif", "apng", "jpegxl_anim"} | _SEQUENCE_BRANDS  # they move and have no sound

# Sample entries of protected tracks in MP4.
_PROTECTED = dict.fromkeys(("encv", "enca", "encs"), "Common Encryption")
_PROTECTED |= dict.fromkeys(("drmi", "drms", "drmt"), "FairPlay")
# Stream types of a transport stream that is encrypted as HLS has it: H.264, AAC, AC-3, E-AC-3.
_SAMPLE_AES = {"\xdb", "\xcf", "\xc1", "\xc2"}
_SAMPLE_ENTRY = re.compile(rb"stsd\0{7}[\1-\x09].{4}([!-~]{4})", re.DOTALL)


def video_stream(container: InputContainer, path: Path) -> av.VideoStream:
    """Return the first stream of moving pictures; cover art is not one.

    Raises:
        MediaError: there is none, its codec is unknown, or it is encrypted.
    """
    if is_still(container):
        raise MediaError(
            f"{path} is a still picture or text ({format_of(container)}), not a video",
            hint="audio-visual segmentation needs moving pictures with sound",
        )
    for stream in container.streams.video:
        if _moves(stream):
            if scheme := encryption_of(stream):
                raise locked(stream, path, scheme)
            if stream.codec_context is None:  # which the type does not admit
                raise MediaError(
                    f"{path}: the codec of its video stream is unknown ({codec_of(stream)})",
                    hint="convert the file to H.264 and AAC with a program that plays it",
                )
            return stream
    raise MediaError(
        f"{path} has no video stream",
        hint="audio-visual segmentation needs pictures as well as sound",
    )


def locked(stream: Stream, path: Path, scheme: str) -> EncryptedMediaError:
    """Return the error for a stream that is there and cannot be had."""
    what = "picture" if stream.type == "video" else "sound"
    return EncryptedMediaError(
        f"the {what} of {path} is encrypted (DRM: {scheme})",
        hint="avs has no keys; take a copy of the file that is not protected",
    )


def is_still(container: InputContainer) -> bool:
    """Say whether a file is a picture, or text that FFmpeg would draw."""
    name = format_of(container)
    if name in _STILLS or name.endswith("_pipe"):
        return True
    pictures = container.streams.video
    are_items = bool(pictures) and not any(_moves(s) or s.disposition & _PICTURES for s in pictures)
    return are_items and not container.streams.audio


def format_of(container: InputContainer) -> str:
    """Return the name of a container's format; that of AVIF and HEIF, which FFmpeg calls MOV."""
    brand = container.metadata.get("major_brand", "")
    is_pictures = brand in _SEQUENCE_BRANDS | {"avif", "heic", "heix", "mif1"}
    return brand if is_pictures else container.format.name


def encryption_of(stream: Stream) -> str | None:
    """Return how a stream is encrypted, as far as the headers tell; None when they do not.

    Some files tell it of their packets alone, see `containers.decoded_frames`.
    """
    tag = _tag(stream)
    if tag in _PROTECTED:
        return _PROTECTED[tag]
    if tag[:1] in _SAMPLE_AES and stream.container.format.name == "mpegts":
        return "SAMPLE-AES"
    if "enc_key_id" in stream.metadata:  # of Matroska
        return "Matroska ContentEncryption"
    protection = stream.container.metadata.get("ASF_Protection_Type")
    return f"Windows Media {protection}" if protection else None


def codec_of(stream: Stream) -> str:
    """Return the name of a stream's codec; of one that FFmpeg does not know, what MP4 calls it."""
    context = stream.codec_context
    return context.name if context is not None else _tag(stream) or "nameless"


def _moves(stream: av.VideoStream) -> bool:
    # The images of an AVIF or HEIF file are streams of one frame that lasts no time.
    is_item = stream.frames == 1 and stream.duration is None and _is_mov(stream)
    return not is_item and not stream.disposition & _PICTURES


def _is_mov(stream: Stream) -> bool:
    return stream.container.format.name.startswith("mov,")


def _tag(stream: Stream) -> str:
    """Return the four characters by which a container names a codec; empty when it has none."""
    if stream.codec_context is not None:
        try:
            return stream.codec_context.codec_tag
        except UnicodeDecodeError as err:  # PyAV decodes it as ASCII; transport streams hold others
            return err.object.decode("latin-1")
    if not _is_mov(stream):
        return ""
    # PyAV opens no context for a codec that FFmpeg does not know. One sample description belongs
    # to each track, in the order of streams; the box is looked for without walking there.
    path = Path(stream.container.name.removeprefix("file:"))
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        entries = [found[1].decode("ascii") for found in _SAMPLE_ENTRY.finditer(data)]
    return entries[stream.index] if stream.index < len(entries) else ""
