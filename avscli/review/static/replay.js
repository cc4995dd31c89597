"use strict";

// What decisions make of a run, by the same rules as avscli/review/replay.py: both are held to
// tests/data/review/replay_cases.json. Nothing here knows the page.
//
// A frame goes by its position among the analysed ones. A mask of the result is a union of masks of
// the run, said by pieces: { first, last, track, at } means that from position `first` to `last` the
// object has the masks of `track`, each of its own frame, or of the one frame `at`.

const LARGEST_ID = 2 ** 31 - 1;
const LONGEST_NAME = 100;
const RANGE = ["first_frame", "last_frame"];
const FIELDS_OF = {
  accept: ["object"],
  reject: ["object"],
  trim: ["object", ...RANGE],
  extend: ["object", ...RANGE],
  rename: ["object", "name"],
  merge: ["object", "into"],
  split: ["object", "first_frame", "new_object"],
  off_screen: RANGE,
};
const FIELDS_OF_RENAMED_PART = ["object", "name", ...RANGE, "new_object"];
const HIDDEN_SIGN = /(?! )[\p{C}\p{Z}]/u;

/** Throw an Error that says what is wrong with something that should be a decision. */
function checkDecision(value) {
  if (typeof value !== "object" || value === null || typeof value.do !== "string") {
    throw new Error("it does not say what to do");
  }
  if (!Object.hasOwn(FIELDS_OF, value.do)) {
    throw new Error(`'${value.do.slice(0, 40)}' is none of: ${Object.keys(FIELDS_OF).join(", ")}`);
  }
  const given = Object.keys(value).filter((name) => name !== "do");
  const ofPart = value.do === "rename" && given.some((name) => [...RANGE, "new_object"].includes(name));
  const fields = ofPart ? FIELDS_OF_RENAMED_PART : FIELDS_OF[value.do];
  const missing = fields.find((name) => !given.includes(name));
  const unknown = given.find((name) => !fields.includes(name));
  if (missing) throw new Error(`${missing} is missing`);
  if (unknown) throw new Error(`${unknown} does not belong to ${value.do}`);
  for (const name of fields) {
    const fits = name === "name" ? typeof value[name] === "string" : Number.isInteger(value[name]);
    if (!fits) throw new Error(`${name} is ${JSON.stringify(value[name])}`);
  }
  checkValues(value);
}

function checkValues({ name, first_frame: first, last_frame: last, new_object: id }) {
  if (name !== undefined) checkName(name);
  if (last !== undefined && first > last) {
    throw new Error(`first_frame ${first} comes after last_frame ${last}`);
  }
  if (id !== undefined && (id < 1 || id > LARGEST_ID)) {
    throw new Error(`new_object lies between 1 and ${LARGEST_ID}, and is ${id}`);
  }
}

function checkName(name) {
  const length = [...name].length;
  if (length < 1 || length > LONGEST_NAME) {
    throw new Error(`a name has 1 to ${LONGEST_NAME} characters, not ${length}`);
  }
  if (HIDDEN_SIGN.test(name) || name !== name.trim()) {
    throw new Error(`'${name}' is no name: it has hidden signs, or blanks at its ends`);
  }
}

/**
 * Play decisions over the objects of a run.
 *
 * objects: [{ id, name, ranges: [[first, last], …] }], positions of analysed frames;
 * frames: their numbers, rising. Returns { objects: [{ id, name, state, pieces, ranges }] in order of
 * their ids, offScreen: [[first, last], …] }. Throws an Error that names the decision, counted from 1.
 */
function replay(objects, frames, decisions) {
  const play = new Play(objects, frames);
  decisions.forEach((decision, index) => {
    try {
      checkDecision(decision);
      play.decide(decision);
    } catch (error) {
      throw new Error(`decision ${index + 1} (${decision?.do}): ${error.message}`, { cause: error });
    }
  });
  return play.result();
}

class Play {
  constructor(objects, frames) {
    this.frames = frames;
    this.merged = new Map();
    this.offScreen = [];
    this.objects = new Map();
    for (const { id, name, ranges } of objects) {
      const pieces = ranges.map(([first, last]) => ({ first, last, track: id, at: null }));
      this.objects.set(id, { id, name, state: "undecided", pieces });
    }
  }

  result() {
    const objects = [...this.objects.values()].sort((one, other) => one.id - other.id);
    return {
      objects: objects.map((each) => ({ ...each, ranges: rangesOf(each.pieces) })),
      offScreen: this.offScreen,
    };
  }

  decide(decision) {
    ({
      accept: () => this.keep({ ...this.one(decision.object), state: "accepted" }),
      reject: () => this.keep({ ...this.one(decision.object), state: "rejected", pieces: [] }),
      trim: () => this.trim(decision),
      extend: () => this.extend(decision),
      rename: () => this.rename(decision),
      merge: () => this.merge(decision),
      split: () => this.split(decision),
      off_screen: () => this.putOffScreen(decision),
    })[decision.do]();
  }

  trim({ object, first_frame, last_frame }) {
    const one = this.one(object);
    const [first, last] = this.analysed(first_frame, last_frame);
    this.keep({ ...one, pieces: outside(one.pieces, first, last) });
  }

  extend({ object, first_frame, last_frame }) {
    const one = this.one(object);
    const [first, last] = this.analysed(first_frame, last_frame);
    const own = rangesOf(one.pieces);
    if (!own.length) throw new Error(`object ${object} has no mask left that could be held`);
    const gaps = own.reduce((left, [from, to]) => withoutRange(left, from, to), [[first, last]]);
    const held = gaps.flatMap((gap) => this.heldIn(gap, own, one.pieces));
    this.offScreen = withoutRange(this.offScreen, first, last); // it is seen there
    this.keep({ ...one, pieces: [...one.pieces, ...held] });
  }

  /** Fill positions without a mask with those of the nearest frame that has one, of two the earlier. */
  heldIn([first, last], own, pieces) {
    const before = own.findLast(([, end]) => end < first)?.[1];
    const after = own.find(([start]) => start > last)?.[0];
    let turn = first; // the first position that is nearer to the one after
    if (after === undefined) turn = last + 1;
    else if (before !== undefined) {
      const middle = (this.frames[before] + this.frames[after]) / 2;
      while (turn <= last && this.frames[turn] <= middle) turn += 1;
    }
    return [...held(pieces, before, first, turn - 1), ...held(pieces, after, turn, last)];
  }

  rename({ object, name, first_frame, last_frame, new_object }) {
    const one = this.one(object);
    if (new_object === undefined) {
      this.keep({ ...one, name });
      return;
    }
    const [first, last] = this.analysed(first_frame, last_frame);
    const part = inside(one.pieces, first, last);
    if (!part.length) {
      throw new Error(`object ${object} has no mask in frames ${first_frame} to ${last_frame}`);
    }
    const id = this.free(new_object);
    this.keep({ ...one, pieces: outside(one.pieces, first, last) }, { ...one, id, name, pieces: part });
  }

  merge({ object, into }) {
    const one = this.one(object);
    const other = this.one(into);
    if (one === other) throw new Error(`object ${object} cannot become part of itself`);
    this.keep({ ...other, pieces: [...other.pieces, ...one.pieces] });
    this.objects.delete(object);
    this.merged.set(object, into);
  }

  split({ object, first_frame, new_object }) {
    const one = this.one(object);
    const [at] = this.analysed(first_frame, first_frame);
    const before = inside(one.pieces, -Infinity, at - 1);
    const after = inside(one.pieces, at, Infinity);
    if (!before.length) throw new Error(`object ${object} has no mask before frame ${first_frame}`);
    if (!after.length) throw new Error(`object ${object} has no mask from frame ${first_frame} on`);
    const id = this.free(new_object);
    this.keep({ ...one, pieces: before }, { ...one, id, pieces: after });
  }

  putOffScreen({ first_frame, last_frame }) {
    const [first, last] = this.analysed(first_frame, last_frame);
    this.offScreen = merged([...this.offScreen, [first, last]]);
    for (const one of this.objects.values()) {
      this.keep({ ...one, pieces: outside(one.pieces, first, last) });
    }
  }

  keep(...objects) {
    for (const each of objects) this.objects.set(each.id, each);
  }

  /** Return an object that can be decided upon. */
  one(id) {
    if (this.merged.has(id)) throw new Error(`object ${id} was merged into ${this.merged.get(id)}`);
    if (!this.objects.has(id)) throw new Error(`there is no object ${id}`);
    const found = this.objects.get(id);
    if (found.state === "rejected") throw new Error(`object ${id} was rejected`);
    return found;
  }

  free(id) {
    if (this.objects.has(id) || this.merged.has(id)) {
      throw new Error(`object ${id} is there already, and cannot be a new one`);
    }
    return id;
  }

  /** Return the positions of the ends of a range of frames, which must be analysed ones. */
  analysed(firstFrame, lastFrame) {
    return [firstFrame, lastFrame].map((frame) => {
      const position = lastAtOrBefore(this.frames, frame);
      if (position < 0 || this.frames[position] !== frame) {
        throw new Error(`frame ${frame} is none of the run's analysed frames`);
      }
      return position;
    });
  }
}

/** Return the index of the last number that is not above a value; −1 when all are. */
function lastAtOrBefore(rising, value) {
  let low = 0;
  let high = rising.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rising[middle] <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

function inside(pieces, first, last) {
  return pieces
    .filter((piece) => piece.last >= first && piece.first <= last)
    .map((piece) => ({ ...piece, first: Math.max(piece.first, first), last: Math.min(piece.last, last) }));
}

function outside(pieces, first, last) {
  return [...inside(pieces, -Infinity, first - 1), ...inside(pieces, last + 1, Infinity)];
}

function held(pieces, position, first, last) {
  if (position === undefined || first > last) return [];
  return inside(pieces, position, position).map(({ track, at }) => ({
    first, last, track, at: at ?? position,
  }));
}

function rangesOf(pieces) {
  return merged(pieces.map(({ first, last }) => [first, last]));
}

/** Return ranges in order, those that overlap or touch as one. */
function merged(ranges) {
  const joined = [];
  for (const [first, last] of ranges.toSorted((one, other) => one[0] - other[0])) {
    const before = joined.at(-1);
    if (before && first <= before[1] + 1) before[1] = Math.max(before[1], last);
    else joined.push([first, last]);
  }
  return joined;
}

function withoutRange(ranges, first, last) {
  return ranges.flatMap(([from, to]) => {
    if (to < first || from > last) return [[from, to]];
    const left = from < first ? [[from, first - 1]] : [];
    return to > last ? [...left, [last + 1, to]] : left;
  });
}
