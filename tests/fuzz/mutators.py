"""Damage: to bytes, to the chunks that containers are made of, and to JSON documents.

Every mutator takes a `random.Random`, so that one seed always gives the same damage.
"""

from __future__ import annotations

import copy
import json
import struct
import zlib
from collections.abc import Callable, Sequence
from itertools import pairwise
from random import Random
from typing import Any, NamedTuple

Bytes = bytearray
Mutator = Callable[[Random, Bytes], None]

_INTERESTING = (0x00, 0x01, 0x7F, 0x80, 0xFE, 0xFF)
_LARGEST_BLOCK = 4096
_NESTING = 3000  # deeper than Python's own limit


# --- bytes ----------------------------------------------------------------------------------


def flip_bits(draw: Random, data: Bytes) -> None:
    for _ in range(draw.choice((1, 1, 2, 8, 32))):
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)


def set_bytes(draw: Random, data: Bytes) -> None:
    for _ in range(draw.choice((1, 2, 8))):
        data[draw.randrange(len(data))] = draw.choice(_INTERESTING)


def truncate(draw: Random, data: Bytes) -> None:
    del data[draw.randrange(len(data)) :]


def delete_block(draw: Random, data: Bytes) -> None:
    start, end = _block(draw, data)
    del data[start:end]


def repeat_block(draw: Random, data: Bytes) -> None:
    start, end = _block(draw, data)
    data[end:end] = data[start:end] * draw.choice((1, 1, 3))


def move_block(draw: Random, data: Bytes) -> None:
    start, end = _block(draw, data)
    block = data[start:end]
    del data[start:end]
    place = draw.randrange(len(data) + 1)
    data[place:place] = block


def blank_block(draw: Random, data: Bytes) -> None:
    start, end = _block(draw, data)
    data[start:end] = bytes(end - start)


def noise_block(draw: Random, data: Bytes) -> None:
    start, end = _block(draw, data)
    data[start:end] = draw.randbytes(end - start)


def edit_field(draw: Random, data: Bytes) -> None:
    """Write a number that lengths, counts and offsets should not be over two to eight bytes."""
    width = draw.choice((2, 4, 4, 4, 8))
    if len(data) < width:
        return
    # Headers are where the fields are: half of the edits go into the first kilobyte.
    reach = len(data) - width + 1
    start = draw.randrange(min(reach, 1024)) if draw.random() < 0.5 else draw.randrange(reach)
    order = draw.choice(("big", "little"))
    old = int.from_bytes(data[start : start + width], order)
    data[start : start + width] = _odd_number(draw, old, width).to_bytes(width, order)


BYTE_MUTATORS: tuple[Mutator, ...] = (
    *(flip_bits, set_bytes, truncate, delete_block, repeat_block),
    *(move_block, blank_block, noise_block, edit_field, edit_field),
)


def spliced(draw: Random, head: bytes, tail: bytes) -> Bytes:
    """Return the beginning of one file with the end of another."""
    cut = draw.randrange(len(head) + 1)
    # The same place in both keeps headers and indexes where a reader looks for them.
    start = min(cut, len(tail)) if draw.random() < 0.5 else draw.randrange(len(tail) + 1)
    return Bytes(head[:cut] + tail[start:])


def _block(draw: Random, data: Bytes) -> tuple[int, int]:
    longest = min(len(data), draw.choice((4, 64, 512, _LARGEST_BLOCK)))
    length = draw.randint(1, longest)
    start = draw.randrange(len(data) - length + 1)
    return start, start + length


def _odd_number(draw: Random, old: int, width: int) -> int:
    top = 1 << 8 * width
    near = old + draw.choice((-8, -1, 1, 8))
    far = draw.choice((0, 1, top - 1, top // 2 - 1, top // 2, old * 2, old * 1000, old // 2))
    return draw.choice((near, far, draw.randrange(top))) % top


# --- chunks of containers -------------------------------------------------------------------


class Chunk(NamedTuple):
    """A piece of a container: where it starts, its length field, where it ends.

    Attributes:
        start, end: of the whole chunk.
        size_at, size_width: of the field that says how long it is, big endian unless `little`.
    """

    start: int
    end: int
    size_at: int
    size_width: int
    little: bool = False


def chunks_of(data: Bytes) -> list[Chunk]:
    """Return the chunks of a file, inner ones too; none for formats not known here."""
    if data[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free"):
        return _atoms(data, 0, len(data))
    if data[:4] == b"\x1a\x45\xdf\xa3":
        return _ebml(data, 0, len(data))
    if data[:4] == b"RIFF":
        return _riff(data, 0, len(data))
    if data[:4] == b"\x89PNG":
        return _png(data)
    if len(data) > 188 and data[0] == 0x47 and data[188] == 0x47:
        return [Chunk(i, i + 188, i + 4, 1) for i in range(0, len(data) - 187, 188)]
    if data[:4] == b"OggS":
        ends = [i for i in range(len(data)) if data.startswith(b"OggS", i)] + [len(data)]
        return [Chunk(start, end, start + 26, 1) for start, end in pairwise(ends)]
    return []


def mutate_chunk(draw: Random, data: Bytes) -> None:
    """Resize, retype, remove, repeat, move or rewrite one chunk."""
    chunks = chunks_of(data)
    if not chunks:
        return
    chunk = draw.choice(chunks)
    whole = data[chunk.start : chunk.end]
    match draw.choice(("size", "size", "remove", "repeat", "move", "retype", "inside")):
        case "size":
            field = slice(chunk.size_at, chunk.size_at + chunk.size_width)
            order = "little" if chunk.little else "big"
            old = int.from_bytes(data[field], order)
            value = _odd_number(draw, old, chunk.size_width)
            data[field] = value.to_bytes(chunk.size_width, order)
        case "remove":
            del data[chunk.start : chunk.end]
        case "repeat":
            data[chunk.end : chunk.end] = whole
        case "move":
            del data[chunk.start : chunk.end]
            place = min(draw.choice(chunks).start, len(data))
            data[place:place] = whole
        case "retype":
            other = draw.choice(chunks)
            data[chunk.start : chunk.start + 8] = data[other.start : other.start + 8]
        case "inside":
            edit = draw.choice(BYTE_MUTATORS)
            edit(draw, whole)
            data[chunk.start : chunk.end] = whole


def mend_png(data: Bytes) -> None:
    """Write the checksums that a PNG's chunks should have, so that readers go on to what is in
    them."""
    for chunk in _png(data):
        body = data[chunk.start + 4 : chunk.end - 4]
        data[chunk.end - 4 : chunk.end] = zlib.crc32(body).to_bytes(4, "big")


_BOXES = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"udta", b"dinf", b"moof", b"traf"}
_MASTERS = {0x18538067, 0x1549A966, 0x1654AE6B, 0xAE, 0xE0, 0xE1, 0x1F43B675, 0xA0, 0x1C53BB6B}


def _atoms(data: Bytes, start: int, end: int) -> list[Chunk]:
    found = []
    while start + 8 <= end:
        size = int.from_bytes(data[start : start + 4], "big")
        stop = min(end, start + size) if size >= 8 else end
        found.append(Chunk(start, stop, start, 4))
        if bytes(data[start + 4 : start + 8]) in _BOXES:
            found += _atoms(data, start + 8, stop)
        start = stop
    return found


def _ebml(data: Bytes, start: int, end: int) -> list[Chunk]:
    found = []
    while start + 2 <= end:
        id_width = 9 - data[start].bit_length() if data[start] else 9
        size_at = start + id_width
        if id_width > 4 or size_at >= end or not data[size_at]:
            break
        width = 9 - data[size_at].bit_length()
        size = int.from_bytes(data[size_at : size_at + width], "big") & ((1 << 7 * width) - 1)
        inside = size_at + width
        stop = min(end, inside + size)
        found.append(Chunk(start, stop, size_at, width))
        if int.from_bytes(data[start:size_at], "big") in _MASTERS:
            found += _ebml(data, inside, stop)
        start = stop
    return found


def _riff(data: Bytes, start: int, end: int) -> list[Chunk]:
    found = []
    while start + 8 <= end:
        size = int.from_bytes(data[start + 4 : start + 8], "little")
        stop = min(end, start + 8 + size + size % 2)
        found.append(Chunk(start, stop, start + 4, 4, little=True))
        if bytes(data[start : start + 4]) in (b"RIFF", b"LIST"):
            found += _riff(data, start + 12, stop)
        start = max(stop, start + 8)
    return found


def _png(data: Bytes) -> list[Chunk]:
    found, start = [], 8
    while start + 12 <= len(data):
        size = struct.unpack_from(">I", data, start)[0]
        stop = min(len(data), start + 12 + size)
        found.append(Chunk(start, stop, start, 4))
        start = stop
    return found


def damaged(draw: Random, data: bytes, others: Sequence[bytes]) -> tuple[bytes, str]:
    """Return a file damaged once to four times, and what was done.

    Args:
        draw: source of randomness.
        data: of a whole file.
        others: of files that may be spliced in.
    """
    work, told = Bytes(data), []
    if others and draw.random() < 0.1:
        work = spliced(draw, data, draw.choice(others))
        told.append("spliced")
    for _ in range(draw.choice((1, 1, 1, 2, 4)) - len(told)):
        if not work:
            break
        use_chunks = draw.random() < 0.5 and chunks_of(work)
        mutate = mutate_chunk if use_chunks else draw.choice(BYTE_MUTATORS)
        mutate(draw, work)
        told.append(mutate.__name__)
    if work[:4] == b"\x89PNG" and draw.random() < 0.5:
        mend_png(work)
    return bytes(work), ", ".join(told) or "whole"


# --- JSON -----------------------------------------------------------------------------------

_ODD_VALUES: tuple[object, ...] = (
    *(None, True, False, 0, 1, -1, 255, 256, 2**15, 2**31, 2**63, 10**30, -(10**30), 10**400),
    *(0.5, -0.5, 1e308, float("nan"), float("inf"), -float("inf")),
    *("", "0", "1", "nan", "é", "\ud800", "\x00", "..up", "a" * 100_000, "-1"),
    *([], {}, [[]], [None], {"": None}, [1, 2, 3], {"size": [1, 1], "counts": "1"}),
)
_DEEP = "\x02deep\x03"


def mutate_json(draw: Random, document: Any) -> tuple[Any, str]:
    """Return a copy of a document with one to four of its values changed, and what was done."""
    work, told = [copy.deepcopy(document)], []
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        holders = _containers(work)
        told.append(_change_one(draw, draw.choice(holders)))
        work = work or [None]
    return work[0], ", ".join(told)


def dump_json(draw: Random, document: Any) -> bytes:
    """Return a document as text; now and then damaged as text, or in another encoding."""
    text = json.dumps(document, ensure_ascii=draw.random() < 0.9)
    deep = draw.choice(("[" * _NESTING + "]" * _NESTING, '{"a":' * _NESTING + "1" + "}" * _NESTING))
    text = text.replace(json.dumps(_DEEP), deep)
    data = text.encode(draw.choice(("utf-8",) * 20 + ("utf-16", "utf-8-sig")), "surrogatepass")
    return damaged(draw, data, ())[0] if draw.random() < 0.1 else data


def _containers(value: Any) -> list[Any]:
    """Return every list and object in a list of a document, the list too, that is not empty."""
    found, todo = [], [value]
    while todo:
        each = todo.pop()
        if isinstance(each, dict | list) and each:
            found.append(each)
            todo += each.values() if isinstance(each, dict) else each
    return found


def _odd_value(draw: Random, *others: object) -> object:
    """Return one of its own: a later change must neither reach the constant nor close a circle."""
    return copy.deepcopy(draw.choice((*_ODD_VALUES, *others)))


def _change_one(draw: Random, holder: Any) -> str:
    keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
    key = draw.choice(keys)
    change = draw.choice(("replace", "replace", "replace", "retype", "remove", "repeat", "extra"))
    match change:
        case "replace":
            holder[key] = _odd_value(draw, _DEEP)
        case "retype":
            holder[key] = draw.choice((str(holder[key])[:200], [holder[key]], {"0": holder[key]}))
        case "remove":
            del holder[key]
        case "repeat" if isinstance(holder, list):
            holder.insert(key, copy.deepcopy(holder[key]))
        case "repeat":
            holder[draw.choice(keys)] = copy.deepcopy(holder[key])
        case "extra" if isinstance(holder, list):
            holder.append(_odd_value(draw))
        case "extra":
            holder[draw.choice(("", "x", "__class__", str(key).upper()))] = _odd_value(draw)
    return f"{change} {str(key)[:40]!r}"


# --- tables and lists -----------------------------------------------------------------------


def mutate_lines(draw: Random, text: str) -> tuple[bytes, str]:
    """Return a table or list with lines, cells or its encoding changed, and what was done."""
    lines, told = text.splitlines(), []
    for _ in range(draw.choice((1, 1, 2, 4))):
        if not lines:
            break
        place = draw.randrange(len(lines))
        cells = lines[place].split(",")
        cell = draw.randrange(len(cells))
        change = draw.choice(("cell", "cell", "less", "more", "line", "repeat", "swap", "quote"))
        match change:
            case "cell":
                cells[cell] = str(draw.choice(_ODD_VALUES)).replace("\ud800", "?")
            case "less":
                del cells[cell]
            case "more":
                cells.insert(cell, "extra")
            case "quote":
                cells[cell] = '"' + cells[cell]
        lines[place] = ",".join(cells)
        match change:
            case "line":
                del lines[place]
            case "repeat":
                lines.insert(place, lines[place])
            case "swap":
                other = draw.randrange(len(lines))
                lines[place], lines[other] = lines[other], lines[place]
        told.append(change)
    end = draw.choice(("\n", "\n", "\r\n", "\r"))
    encoding = draw.choice(("utf-8",) * 8 + ("utf-16", "utf-8-sig", "utf-16-le"))
    data = end.join([*lines, ""]).encode(encoding)
    if draw.random() < 0.2 and data:
        data, more = damaged(draw, data, ())
        told.append(more)
    return data, ", ".join(told)
