// What is in the page: the table of the run, and its masks in blocks that are unpacked when needed.

function bytesOf(base64) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(base64);
  const letters = atob(base64);
  const bytes = new Uint8Array(letters.length);
  for (let index = 0; index < bytes.length; index += 1) bytes[index] = letters.charCodeAt(index);
  return bytes;
}

async function unpacked(id) {
  const packed = new Blob([bytesOf(document.getElementById(id).textContent)]);
  const stream = packed.stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).json();
}

function summedUp(differences, Kind) {
  const sums = new Kind(differences.length);
  let sum = 0;
  differences.forEach((each, index) => {
    sum += each;
    sums[index] = sum;
  });
  return sums;
}

/** The run, column by column. A row is a source frame; a position counts the analysed ones. */
class RunTable {
  constructor(packed) {
    Object.assign(this, packed);
    this.frameOfRow = summedUp(packed.frames, Int32Array);
    this.times = summedUp(packed.microseconds, Float64Array).map((time) => time / 1e6);
    this.rows = summedUp(packed.analysed, Int32Array);
    this.frames = this.rows.map((row) => this.frameOfRow[row]);
    this.positionTimes = Float64Array.from(this.rows, (row) => this.times[row]);
    this.levels = summedUp(packed.decibels, Int32Array);
    this.start = this.times[0];
    this.found = packed.objects.map(({ id, name, first, last }) => ({
      id, name, ranges: first.map((from, index) => [from, last[index]]),
    }));
    this.scores = new Map(packed.objects.map((each) => [each.id, new Scores(each)]));
  }

  /** The row whose frame is nearest to a time, as browsers round times in their own ways. */
  rowNearest(seconds) {
    const before = Math.max(0, lastAtOrBefore(this.times, seconds));
    const after = Math.min(before + 1, this.times.length - 1);
    return this.times[after] - seconds < seconds - this.times[before] ? after : before;
  }

  /** The row that a player shows at a time. */
  rowAt(seconds) {
    return Math.max(0, lastAtOrBefore(this.times, seconds));
  }

  /** The analysed frame whose masks a row shows. */
  positionOf(row) {
    return Math.max(0, lastAtOrBefore(this.rows, row));
  }

  endOf(position) {
    return position + 1 < this.rows.length ? this.positionTimes[position + 1] : this.end;
  }

  soundsAt(position) {
    const heard = this.heard[position];
    const sounds = [];
    for (let index = 0; index < heard.length; index += 2) {
      sounds.push({ name: this.sound_names[heard[index]], percent: heard[index + 1] });
    }
    return sounds;
  }

  flagsAt(position) {
    return this.flag_names.filter((_, bit) => this.flags[position] & (1 << bit));
  }
}

/** How sure an object of the run is in each of its frames, in percent. */
class Scores {
  constructor({ first, last, percents }) {
    this.first = first;
    this.last = last;
    this.percents = percents;
    let sum = 0;
    this.starts = first.map((from, index) => {
      const start = sum;
      sum += last[index] - from + 1;
      return start;
    });
  }

  /** What gives the scores in a piece of the object, which lies within one interval of the run. */
  reader({ first, at }) {
    const index = lastAtOrBefore(this.first, at ?? first);
    const start = this.starts[index] - this.first[index];
    return at === null ? (position) => this.percents[start + position] : () => this.percents[start + at];
  }

  /** The score at a position; undefined where the run does not show the object. */
  at(position) {
    const index = lastAtOrBefore(this.first, position);
    if (index < 0 || position > this.last[index]) return undefined;
    return this.percents[this.starts[index] + position - this.first[index]];
  }
}

const BLOCKS_KEPT = 6;

/** Masks by position, unpacked block by block. */
class MaskStore {
  constructor(framesPerBlock, numFrames) {
    this.framesPerBlock = framesPerBlock;
    this.numBlocks = Math.ceil(numFrames / framesPerBlock);
    this.blocks = new Map(); // of promises, the one that was used last at the end
    this.ready = new Map();
  }

  /** The run lengths of a position by track; undefined until its block is unpacked. */
  peek(position) {
    const number = Math.floor(position / this.framesPerBlock);
    this.load(number);
    const rows = this.ready.get(number);
    return rows && asMap(rows[position % this.framesPerBlock]);
  }

  async at(position) {
    const number = Math.floor(position / this.framesPerBlock);
    return asMap((await this.load(number))[position % this.framesPerBlock]);
  }

  /** Unpack the block after that of a position, before it is needed. */
  prepareAfter(position) {
    const next = Math.floor(position / this.framesPerBlock) + 1;
    if (next < this.numBlocks) this.load(next);
  }

  load(number) {
    const known = this.blocks.get(number);
    this.blocks.delete(number);
    const block = known ?? unpacked(`block-${number}`).then((rows) => {
      this.ready.set(number, rows);
      return rows;
    });
    this.blocks.set(number, block);
    for (const old of this.blocks.keys()) {
      if (this.blocks.size <= BLOCKS_KEPT) break;
      this.blocks.delete(old);
      this.ready.delete(old);
    }
    return block;
  }
}

function asMap(row) {
  const masks = new Map();
  for (let index = 0; index < row.length; index += 2) masks.set(row[index], row[index + 1]);
  return masks;
}

/** Expand COCO's compressed counts: column by column, unmarked first (see avscli.masks.run_lengths). */
function runLengths(counts) {
  const runs = [];
  let index = 0;
  while (index < counts.length) {
    let value = 0;
    let shift = 0;
    let code;
    do {
      code = counts.charCodeAt(index) - 48;
      index += 1;
      value |= (code & 31) << shift;
      shift += 5;
    } while (code & 32);
    if (code & 16) value |= -1 << shift;
    runs.push(runs.length > 2 ? value + runs.at(-2) : value);
  }
  return runs;
}

/** Decode run lengths into the box around what they mark: { x, y, width, height, bits }; damaged: null. */
function decodedMask(counts, [height, width]) {
  const runs = runLengths(counts);
  const whole = runs.reduce((sum, run) => sum + (run < 0 ? NaN : run), 0);
  if (whole !== height * width) return null;
  const box = boxOf(runs, height);
  if (!box) return null;
  const bits = new Uint8Array(box.width * box.height);
  let start = 0;
  runs.forEach((length, index) => {
    if (index % 2) fill(bits, box, start, start + length, height);
    start += length;
  });
  return { ...box, bits };
}

function fill(bits, box, start, end, height) {
  let column = Math.floor(start / height);
  let row = start - column * height;
  for (let left = end - start; left > 0; column += 1, row = 0) {
    const stop = Math.min(height, row + left);
    let at = (row - box.y) * box.width + column - box.x;
    for (let y = row; y < stop; y += 1, at += box.width) bits[at] = 1;
    left -= stop - row;
  }
}

function boxOf(runs, height) {
  let [left, right, top, bottom] = [Infinity, -1, height, -1];
  let start = 0;
  runs.forEach((length, index) => {
    if (index % 2 && length) {
      const end = start + length - 1;
      const [first, last] = [Math.floor(start / height), Math.floor(end / height)];
      left = Math.min(left, first);
      right = Math.max(right, last);
      top = Math.min(top, first === last ? start % height : 0);
      bottom = Math.max(bottom, first === last ? end % height : height - 1);
    }
    start += length;
  });
  return right < 0 ? null : { x: left, y: top, width: right - left + 1, height: bottom - top + 1 };
}
