"""Files whose streams are locked, never sent, damaged from end to end, or in unknown codecs."""

from __future__ import annotations

import re
import struct
import subprocess
from pathlib import Path
from typing import Any

import av
import imageio_ffmpeg
import numpy as np

from tests.builders import make_video

_TS_PACKET = 188
_ASF_CONTENT_ENCRYPTION = bytes.fromhex("fbb3112223bdd211b4b700a0c955fc6e")


def copied(source: Path, target: Path, *options: str) -> Path:
    """Copy all streams of a file into another container, by the ffmpeg program."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(source), "-map", "0"]
    subprocess.run([*command, "-c", "copy", *options, str(target)], check=True)
    return target


# --- locked ---------------------------------------------------------------------------------


def common_encryption(path: Path, **video: Any) -> Path:
    """Write an MP4 whose tracks are encrypted as shops do it (ISO/IEC 23001-7)."""
    clear = make_video(path.with_name("clear.mp4"), **video)
    key = ["-encryption_scheme", "cenc-aes-ctr", "-encryption_key", "76a6c65c" * 4]
    return copied(clear, path, *key, "-encryption_kid", "a7e61c37" * 4)


def with_sample_entry(path: Path, codec: bytes, entry: bytes, **video: Any) -> Path:
    """Write an MP4 whose first track of a codec (``avc1``, ``mp4a``) is called by another name."""
    data = make_video(path, **video).read_bytes()
    at = data.index(codec, re.search(rb"stsd.{12}(?=" + codec + rb")", data, re.DOTALL).end())
    # FFmpeg would also know AAC by the descriptor inside the entry.
    renamed = data[at + 4 :].replace(b"esds", b"dapa", 1) if codec == b"mp4a" else data[at + 4 :]
    path.write_bytes(data[:at] + entry + renamed)
    return path


def windows_media_drm(path: Path, **video: Any) -> Path:
    """Write an ASF file whose header holds a Content Encryption Object."""
    data = make_video(path, codec="wmv2", audio_codec="ac3", **video).read_bytes()
    texts = [b"secret", b"DRM\0", b"key\0", b"nowhere\0"]
    body = b"".join(struct.pack("<I", len(text)) + text for text in texts)
    added = _ASF_CONTENT_ENCRYPTION + struct.pack("<Q", 24 + len(body)) + body
    size, num_objects = struct.unpack("<QI", data[16:28])
    header = struct.pack("<QI", size + len(added), num_objects + 1)
    path.write_bytes(data[:16] + header + data[28:30] + added + data[30:])
    return path


def matroska_encryption(path: Path, **video: Any) -> Path:
    """Write a Matroska file whose picture has ContentEncodings in the place of its CodecPrivate."""
    data = make_video(path, codec="mpeg4", **video).read_bytes()
    # CodecPrivate with a size of one byte; its two bytes alone may lie in a random number too.
    at = data.index(re.search(rb"\x63\xa2[\x80-\xff]\x00\x00\x01", data)[0])
    end = at + 3 + (data[at + 2] & 0x7F)
    encryption = _element("5035", _element("47E1", b"\5") + _element("47E2", b"0123456789abcdef"))
    which = _element("5031", b"\0") + _element("5032", b"\1") + _element("5033", b"\1")
    encodings = _element("6D80", _element("6240", which + encryption))
    filler = _element("EC", bytes(end - at - len(encodings) - 2))
    path.write_bytes(data[:at] + encodings + filler + data[end:])
    return path


def sample_aes(path: Path, **video: Any) -> Path:
    """Write a transport stream that declares its H.264 encrypted as HLS does it."""
    packets = [bytearray(p) for p in _ts_packets(make_video(path, **video))]
    for packet in packets:
        if _pid(packet) == 0x1000 and packet[1] & 0x40:  # the programme map, where FFmpeg puts it
            table = packet[5 : 8 + ((packet[6] & 15) << 8 | packet[7])]
            table[table.index(b"\x1b", 12)] = 0xDB
            table[-4:] = struct.pack(">I", _mpeg_crc(table[:-4]))
            packet[5 : 5 + len(table)] = table
    path.write_bytes(b"".join(packets))
    return path


def scrambled(path: Path, **video: Any) -> Path:
    """Write a transport stream whose payload is noise, and marked as scrambled."""
    packets = [bytearray(p) for p in _ts_packets(make_video(path, **video))]
    noise = np.random.default_rng(0)
    for packet in packets:
        if 0x100 <= _pid(packet) < 0x110:
            start = 5 + packet[4] if packet[3] & 0x20 else 4
            packet[start:] = noise.bytes(_TS_PACKET - start)
            packet[3] |= 0x80
    path.write_bytes(b"".join(packets))
    return path


# --- never sent, damaged --------------------------------------------------------------------


def without_packets(path: Path, pid: int, **video: Any) -> Path:
    """Write a transport stream without the packets of one PID, which it still announces."""
    kept = [p for p in _ts_packets(make_video(path, **video)) if _pid(p) != pid]
    path.write_bytes(b"".join(kept))
    return path


def with_noise_for_sound(path: Path, **video: Any) -> Path:
    """Write a file with every packet of sound in place, and noise in each."""
    clear = make_video(path.with_name(f"clear{path.suffix}"), **video)
    noise = np.random.default_rng(0)
    with av.open(str(clear)) as source, av.open(str(path), "w") as target:
        copies = {s.index: target.add_stream_from_template(s) for s in source.streams}
        for packet in source.demux():
            if packet.dts is None:
                continue
            made = packet
            if packet.stream.type == "audio":
                made = av.Packet(noise.bytes(packet.size))
                made.pts, made.dts, made.duration = packet.pts, packet.dts, packet.duration
                made.time_base = packet.time_base
            made.stream = copies[packet.stream.index]
            target.mux(made)
    return path


def _element(identifier: str, body: bytes) -> bytes:
    return bytes.fromhex(identifier) + bytes([0x80 | len(body)]) + body


def _ts_packets(path: Path) -> list[bytes]:
    data = path.read_bytes()
    return [data[k : k + _TS_PACKET] for k in range(0, len(data), _TS_PACKET)]


def _pid(packet: bytes | bytearray) -> int:
    return (packet[1] & 31) << 8 | packet[2]


def _mpeg_crc(table: bytes | bytearray) -> int:
    """CRC-32 of MPEG-2 sections (ISO/IEC 13818-1, annex A)."""
    crc = 0xFFFFFFFF
    for byte in table:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ 0x04C11DB7 if crc & 0x80000000 else crc << 1) & 0xFFFFFFFF
    return crc
