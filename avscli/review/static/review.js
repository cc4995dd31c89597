// The page: what is on it, what is done on it, and by which keys.

const KEYS = [
  [" ", "play, pause", "Space"],
  [",", "frame back"],
  [".", "frame forward"],
  ["ArrowLeft", "second back", "←"],
  ["ArrowRight", "second forward", "→"],
  ["[", "event before"],
  ["]", "next event"],
  ["p", "moment before"],
  ["n", "next moment"],
  ["ArrowUp", "object before", "↑"],
  ["ArrowDown", "next object", "↓"],
  ["<", "slower"],
  [">", "faster"],
  ["m", "masks on, off"],
  ["+", "masks denser"],
  ["-", "masks lighter"],
  ["i", "stretch starts here"],
  ["o", "stretch ends here"],
  ["Escape", "no stretch", "Esc"],
  ["z", "zoom in"],
  ["Z", "zoom out"],
  ["0", "show all"],
  ["a", "accept"],
  ["x", "reject"],
  ["r", "rename: all, or a stretch"],
  ["g", "merge into another"],
  ["s", "split here"],
  ["t", "trim the stretch"],
  ["e", "extend over the stretch"],
  ["f", "off-screen in the stretch"],
  ["u", "undo"],
  ["U", "redo"],
  ["l", "load a review.json"],
  ["d", "download review.json"],
  ["?", "these keys"],
];
const PREPARE_EVERY_MS = 250;

class Page {
  constructor(table) {
    this.table = table;
    this.review = new Review(table);
    this.store = new MaskStore(table.frames_per_block, table.rows.length);
    this.player = new Player(byId("video"), table);
    this.overlay = new Overlay(byId("masks"), byId("labels"), table.size);
    this.timeline = new Timeline(table, byId("tracks"), byId("lanes-canvas"));
    this.selected = null;
    this.range = null; // positions of the marked stretch
    this.moment = -1;
    this.drawing = 0;
    this.drawn = null; // the position whose masks are on the canvas as they are now
    this.moments = table.moments.map((moment) => ({
      ...moment, clock: clockText(table.positionTimes[moment.worst]),
    }));
    this.listen();
  }

  async open() {
    const { kind, address, note } = this.table.video;
    showMoments(this.moments, (moment) => this.momentText(moment), (index) => this.goToMoment(index));
    this.changed();
    byId("now").textContent = "loading the video …";
    const url = kind === "embedded"
      ? URL.createObjectURL(new Blob([bytesOf(byId("embedded").textContent)], { type: "video/mp4" }))
      : address;
    const plays = kind !== "missing" && (await this.player.open(url));
    if (!plays) this.say(problemText(kind, note, this.table.run.source), "problem");
    else if (this.review.problem) this.say(this.review.problem, "problem");
    byId("screen").classList.toggle("empty", !plays);
    byId("play").disabled = !plays;
    this.fit();
    this.player.seekRow(this.player.row);
    document.documentElement.dataset.ready = plays ? "video" : "frames";
    performance.mark("ready"); // benchmarks/review.py reads it
  }

  get position() {
    return this.table.positionOf(this.player.wanted ?? this.player.row);
  }

  // ---- what is shown ----

  listen() {
    this.player.addEventListener("row", () => this.showRow());
    this.player.addEventListener("seek", () => this.showClock());
    this.player.addEventListener("state", () => this.showPlaying());
    this.review.addEventListener("change", () => this.changed());
    this.timeline.addEventListener("click", ({ detail }) => this.clicked(detail));
    this.timeline.addEventListener("range", ({ detail }) => this.markSeconds(detail));
    new ResizeObserver(() => this.fit()).observe(byId("screen"));
    byId("video").addEventListener("loadedmetadata", () => this.fit());
    this.listenToButtons();
    document.addEventListener("keydown", (event) => this.key(event));
    setInterval(() => this.store.prepareAfter(this.position), PREPARE_EVERY_MS);
    // Between two frames of a slow video the play head moves on.
    const follow = () => {
      if (!this.player.paused) this.timeline.move(this.player.seconds, true);
      requestAnimationFrame(follow);
    };
    follow();
  }

  listenToButtons() {
    const clicks = {
      play: " ", back: ",", forth: ".", "event-back": "[", "event-forth": "]", undo: "u", redo: "U",
      load: "l", download: "d", help: "?", "mark-in": "i", "mark-out": "o", "mark-none": "Escape",
      "zoom-in": "z", "zoom-out": "Z", "zoom-all": "0",
    };
    for (const [id, key] of Object.entries(clicks)) {
      byId(id).addEventListener("click", () => this.press(key));
    }
    for (const button of byId("actions").children) {
      button.addEventListener("click", () => this.act(button.dataset.do));
    }
    byId("file").addEventListener("change", ({ target }) => {
      this.load(target.files[0]);
      target.value = ""; // so that the same file can be chosen again
    });
    byId("shown").addEventListener("change", () => this.showFrame());
    byId("opacity").addEventListener("input", () => this.showFrame());
    byId("speed").addEventListener("change", ({ target }) => {
      byId("video").playbackRate = Number(target.value);
    });
  }

  /** Lay video and canvases over each other, in the shape in which the video is shown. */
  fit() {
    const { clientWidth, clientHeight } = byId("screen");
    const { videoWidth, videoHeight } = byId("video");
    const [height, width] = videoWidth ? [videoHeight, videoWidth] : this.table.size;
    const scale = Math.min(clientWidth / width, clientHeight / height);
    const box = {
      left: (clientWidth - width * scale) / 2, top: (clientHeight - height * scale) / 2,
      width: width * scale, height: height * scale,
    };
    for (const id of ["video", "masks", "labels"]) {
      for (const [side, pixels] of Object.entries(box)) byId(id).style[side] = `${pixels}px`;
    }
    this.showFrame();
  }

  /** Everything after a decision. */
  changed() {
    const { objects, offScreen } = this.review.result;
    this.objects = objects.map((each) => this.described(each));
    if (!this.review.object(this.selected)) this.selected = this.objects[0]?.id ?? null;
    this.events = [...new Set(objects.flatMap((each) => each.ranges).flatMap(([first, last]) =>
      [this.table.rows[first], this.table.rows[last + 1] ?? this.table.times.length - 1]))]
      .sort((one, other) => one - other);
    const nameOf = (id) => this.nameOf(id);
    showDecisions(this.review.decisions.map((each) => decisionText(each, nameOf)));
    byId("undo").disabled = !this.review.decisions.length;
    byId("redo").disabled = !this.review.undone.length;
    this.timeline.update({ objects: this.objects, offScreen });
    this.showSelection();
  }

  described(object) {
    const seconds = object.ranges.reduce((sum, [first, last]) =>
      sum + this.table.endOf(last) - this.table.positionTimes[first], 0);
    const times = object.ranges.length === 1 ? "1 interval" : `${object.ranges.length} intervals`;
    return {
      ...object,
      colour: this.colourOf(object.id),
      label: `${object.name} ${object.id}`,
      summary: object.state === "rejected" ? "" : `${seconds.toFixed(1)} s, ${times}`,
      scoreAt: (position) => this.scoreOf(object, position),
    };
  }

  scoreOf(object, position) {
    let best;
    for (const { first, last, track, at } of object.pieces) {
      if (position >= first && position <= last) {
        best = Math.max(best ?? 0, this.table.scores.get(track).at(at ?? position) ?? 0);
      }
    }
    return best;
  }

  showSelection() {
    showObjects(this.objects, this.selected, (id) => this.select(id));
    for (const button of byId("actions").children) {
      button.disabled = button.dataset.do !== "off_screen" && !this.canDecide();
    }
    const { range, table } = this;
    byId("range").textContent = range === null ? "" : `frames ${table.frames[range[0]]}–${table.frames[range[1]]}`;
    this.timeline.update({ selected: this.selected, range });
    this.showFrame();
  }

  canDecide() {
    const object = this.review.object(this.selected);
    return object !== undefined && object.state !== "rejected";
  }

  showClock() {
    const row = this.player.wanted ?? this.player.row;
    const { table } = this;
    byId("clock").textContent = `${clockText(table.times[row], 3)}  frame ${table.frameOfRow[row]}`;
    const slider = byId("tracks");
    slider.ariaValueMin = table.start.toFixed(2);
    slider.ariaValueMax = table.end.toFixed(2);
    slider.ariaValueNow = table.times[row].toFixed(2);
    slider.ariaValueText = byId("clock").textContent;
    if (this.player.paused) this.timeline.move(table.times[row], this.player.wanted !== null);
  }

  showPlaying() {
    const paused = this.player.paused;
    byId("play").textContent = paused ? "▶" : "❚❚";
    byId("play").ariaLabel = paused ? "Play" : "Pause";
    this.showClock();
  }

  /** Another row is on the screen; one that holds the masks that are drawn needs no drawing. */
  showRow() {
    if (this.table.positionOf(this.player.row) !== this.drawn) {
      this.showFrame();
      return;
    }
    this.showClock();
    this.overlay.row = this.player.row;
  }

  showFrame() {
    this.drawn = null;
    this.showClock();
    const position = this.table.positionOf(this.player.row);
    this.showNow(position);
    const masks = this.store.peek(position);
    this.drawing += 1;
    if (masks) this.drawMasks(position, masks);
    else this.drawLater(position, this.drawing);
  }

  async drawLater(position, drawing) {
    const masks = await this.store.at(position);
    if (drawing === this.drawing) this.drawMasks(position, masks);
  }

  drawMasks(position, own) {
    const shown = byId("shown").checked ? this.masksAt(position, own) : [];
    const waiting = shown.some(({ masks }) => masks.includes(undefined));
    if (waiting) return; // a held mask of another block is on its way, and draws again
    this.overlay.draw(shown, byId("opacity").value / 100);
    this.overlay.row = this.player.row;
    this.drawn = position;
  }

  /** What to draw at a position: the masks that its objects have after all decisions. */
  masksAt(position, own) {
    const shown = [];
    for (const object of this.objects) {
      const pieces = inside(object.pieces, position, position);
      if (!pieces.length) continue;
      const masks = pieces.map(({ track, at }) => this.maskOf(track, at, own));
      const score = object.scoreAt(position);
      shown.push({ masks, colour: object.colour, label: `${object.label}  ${((score ?? 0) / 100).toFixed(2)}` });
    }
    return shown;
  }

  maskOf(track, at, own) {
    if (at === null) return own.get(track) ?? "";
    const there = this.store.peek(at);
    if (there) return there.get(track) ?? "";
    this.store.at(at).then(() => this.showFrame());
    return undefined;
  }

  showNow(position) {
    const { table } = this;
    const state = { s: "sounds", n: "nothing visible sounds", q: "silent" }[table.states[position]];
    const level = table.levels[position] / 10;
    const heard = table.soundsAt(position).map(({ name, percent }) => `${name} ${percent} %`);
    byId("now").textContent = [
      state, level <= -200 ? "no signal" : `${level.toFixed(1)} dBFS`,
      heard.length ? `heard: ${heard.join(", ")}` : "", table.flagsAt(position).join(", "),
    ].filter(Boolean).join(" · ");
  }

  nameOf(id) {
    const object = this.review.object(id) ?? this.table.found.find((each) => each.id === id);
    return object ? `${object.name} ${id}` : `object ${id}`;
  }

  colourOf(id) {
    return this.table.colours[(id - 1) % this.table.colours.length];
  }

  momentText({ kind, track }) {
    return track === null ? MOMENT_TEXTS[kind] : `${MOMENT_TEXTS[kind]}: ${this.nameOf(track)}`;
  }

  say(text, place = "status") {
    byId(place).textContent = text;
    byId(place).hidden = false;
  }

  // ---- moving about ----

  key(event) {
    if (event.ctrlKey || event.metaKey) {
      const undoing = { z: "u", Z: "U", y: "U" }[event.key];
      if (undoing && !isTyping(event.target)) {
        event.preventDefault();
        this.press(undoing);
      }
      return;
    }
    if (event.altKey || isTyping(event.target) || document.querySelector("dialog[open]")) return;
    // A button that has the focus is pressed by the space bar, and a choice moved by arrows.
    if (event.key === " " && event.target.closest("button, input")) return;
    if (event.key.startsWith("Arrow") && event.target.closest("select, input")) return;
    if (this.press(event.key)) event.preventDefault();
  }

  /** Do what a key stands for; return whether it stands for anything. */
  press(key) {
    const actions = {
      " ": () => this.player.toggle(),
      ",": () => this.player.step(-1),
      ".": () => this.player.step(1),
      ArrowLeft: () => this.player.seekSeconds(this.player.seconds - 1),
      ArrowRight: () => this.player.seekSeconds(this.player.seconds + 1),
      "[": () => this.goToEvent(-1),
      "]": () => this.goToEvent(1),
      p: () => this.goToMoment(this.moment - 1),
      n: () => this.goToMoment(this.moment + 1),
      ArrowUp: () => this.selectNext(-1),
      ArrowDown: () => this.selectNext(1),
      "<": () => this.changeSpeed(-1),
      ">": () => this.changeSpeed(1),
      m: () => this.toggleMasks(),
      "+": () => this.changeOpacity(1),
      "-": () => this.changeOpacity(-1),
      i: () => this.mark(0),
      o: () => this.mark(1),
      Escape: () => this.setRange(null),
      z: () => this.timeline.zoom(0.5),
      Z: () => this.timeline.zoom(2),
      0: () => this.timeline.show(this.table.start, this.table.end),
      a: () => this.act("accept"),
      x: () => this.act("reject"),
      r: () => this.act("rename"),
      g: () => this.act("merge"),
      s: () => this.act("split"),
      t: () => this.act("trim"),
      e: () => this.act("extend"),
      f: () => this.act("off_screen"),
      u: () => this.undo(),
      U: () => this.redo(),
      l: () => byId("file").click(),
      d: () => this.download(),
      "?": () => this.showKeys(),
    };
    actions[key]?.();
    return key in actions;
  }

  clicked({ seconds, object }) {
    if (object !== undefined) this.select(object);
    if (seconds !== null) this.player.seekSeconds(seconds);
  }

  goToEvent(by) {
    const row = this.player.wanted ?? this.player.row;
    const next = by > 0 ? this.events.find((each) => each > row) : this.events.findLast((each) => each < row);
    if (next !== undefined) this.player.seekRow(next);
  }

  goToMoment(index) {
    if (index < 0 || index >= this.moments.length) return;
    const moment = this.moments[index];
    this.moment = index;
    if (moment.track !== null && this.review.object(moment.track)) this.select(moment.track);
    this.player.seekRow(this.table.rows[moment.worst]);
    markMoment(index);
    this.say(`Moment ${index + 1} of ${this.moments.length}: ${this.momentText(moment)}`);
  }

  select(id) {
    this.selected = id;
    this.showSelection();
  }

  selectNext(by) {
    const index = this.objects.findIndex((each) => each.id === this.selected);
    const next = this.objects[clamp(index + by, 0, this.objects.length - 1)];
    if (next) {
      this.select(next.id);
      this.say(`${next.label} ${STATE_TEXTS[next.state]}, ${next.summary}`);
    }
  }

  changeSpeed(by) {
    const speed = byId("speed");
    speed.selectedIndex = clamp(speed.selectedIndex + by, 0, speed.options.length - 1);
    byId("video").playbackRate = Number(speed.value);
  }

  toggleMasks() {
    byId("shown").checked = !byId("shown").checked;
    this.showFrame();
  }

  changeOpacity(by) {
    byId("opacity").value = Number(byId("opacity").value) + 10 * by;
    this.showFrame();
  }

  mark(end) {
    const range = this.range ? [...this.range] : [this.position, this.position];
    range[end] = this.position;
    if (range[0] > range[1]) range[1 - end] = this.position;
    this.setRange(range);
  }

  markSeconds({ from, to }) {
    const [first, last] = [from, to].sort((one, other) => one - other).map((seconds) =>
      Math.max(0, lastAtOrBefore(this.table.positionTimes, seconds)));
    this.setRange([first, last]);
  }

  setRange(range) {
    this.range = range;
    this.showSelection();
  }

  showKeys() {
    byId("keys-list").replaceChildren(...KEYS.flatMap(([key, text, shown]) => [
      element("dt", {}, element("kbd", { textContent: shown ?? key })), element("dd", { textContent: text }),
    ]));
    byId("keys").showModal();
  }

  // ---- corrections ----

  async act(what) {
    if (what !== "off_screen" && !this.canDecide()) {
      this.say(this.selected === null ? "There is no object to decide upon." : `${this.nameOf(this.selected)} was rejected; undo that first.`);
      return;
    }
    const decision = await {
      accept: () => ({ do: "accept", object: this.selected }),
      reject: () => ({ do: "reject", object: this.selected }),
      rename: () => this.askName(),
      merge: () => this.askOther(),
      split: () => ({
        do: "split", object: this.selected, first_frame: this.table.frames[this.position], new_object: this.review.freeId(),
      }),
      trim: () => this.ofRange("trim", this.range ?? this.intervalHere()),
      extend: () => this.ofRange("extend", this.range ?? this.reachHere()),
      off_screen: () => this.ofRange("off_screen", this.range),
    }[what]();
    if (decision) this.decide(decision);
  }

  decide(decision) {
    const text = decisionText(decision, (id) => this.nameOf(id));
    try {
      this.review.decide(decision);
    } catch (error) {
      this.say(`Not possible: ${(error.cause ?? error).message}`);
      return;
    }
    if (decision.do === "merge") this.select(decision.into);
    this.say(this.review.problem || `Done: ${text}`);
  }

  ofRange(what, range) {
    if (!range) {
      this.say({
        trim: "The object has no mask here: go to one of its intervals, or mark a stretch with i and o.",
        extend: "The object has a mask here: go to where it lacks one, or mark a stretch with i and o.",
        off_screen: "Mark a stretch first: i where it starts, o where it ends, or drag on the time line.",
      }[what]);
      return null;
    }
    const [first_frame, last_frame] = range.map((position) => this.table.frames[position]);
    const ends = { first_frame, last_frame };
    return what === "off_screen" ? { do: what, ...ends } : { do: what, object: this.selected, ...ends };
  }

  intervalHere() {
    const { position } = this;
    return this.review.object(this.selected).ranges.find(([first, last]) => first <= position && position <= last);
  }

  /** From the object's nearest interval to the play head. */
  reachHere() {
    const { position } = this;
    const { ranges } = this.review.object(this.selected);
    if (this.intervalHere() || !ranges.length) return null;
    const before = ranges.findLast(([, last]) => last < position)?.[1] ?? -Infinity;
    const after = ranges.find(([first]) => first > position)?.[0] ?? Infinity;
    return position - before <= after - position ? [before + 1, position] : [position, after - 1];
  }

  async askName() {
    const object = this.review.object(this.selected);
    const name = element("input", { type: "text", value: object.name, maxLength: 2 * LONGEST_NAME, required: true });
    name.setAttribute("list", "classes");
    const classes = element("datalist", { id: "classes" },
      ...this.table.classes.map((each) => element("option", { value: each })));
    const part = this.range ?? this.intervalHere() ?? null;
    const only = element("input", { type: "checkbox", checked: this.range !== null, disabled: part === null });
    const what = this.range ? "only in the marked stretch" : "only in this interval";
    const answered = await ask(`Rename ${this.nameOf(object.id)}`, [
      element("label", {}, "Name ", name), classes, element("label", {}, only, ` ${what}`),
    ]);
    if (!answered) return null;
    const decision = { do: "rename", object: object.id, name: name.value.trim() };
    if (!only.checked) return decision;
    const [first_frame, last_frame] = part.map((position) => this.table.frames[position]);
    return { ...decision, first_frame, last_frame, new_object: this.review.freeId() };
  }

  async askOther() {
    const others = this.objects.filter((each) => each.id !== this.selected && each.state !== "rejected");
    if (!others.length) {
      this.say("There is no other object to merge it into.");
      return null;
    }
    const into = element("select", {},
      ...others.map((each) => element("option", { value: String(each.id), textContent: each.label })));
    const answered = await ask(`Merge ${this.nameOf(this.selected)} into another`, [element("label", {}, "Into ", into)]);
    return answered ? { do: "merge", object: this.selected, into: Number(into.value) } : null;
  }

  undo() {
    const decision = this.review.undo();
    this.say(decision ? `Undone: ${decisionText(decision, (id) => this.nameOf(id))}` : "Nothing to undo.");
  }

  redo() {
    const decision = this.review.redo();
    this.say(decision ? `Done again: ${decisionText(decision, (id) => this.nameOf(id))}` : "Nothing to do again.");
  }

  async load(file) {
    if (!file) return;
    const here = this.review.decisions.length;
    const question = `Put ${file.name} in place of the ${here} decisions made here?`;
    if (here && !(await ask(question, []))) return;
    try {
      this.review.load(await file.text());
      this.say(`${file.name} with ${this.review.decisions.length} decisions loaded.`);
    } catch (error) {
      this.say(`${file.name} cannot be loaded: ${error.message}`);
    }
  }

  download() {
    this.review.download();
    this.say(`review.json with ${this.review.decisions.length} decisions downloaded. Apply it with avs review --apply.`);
  }
}

function isTyping(target) {
  return target instanceof HTMLInputElement && target.type === "text";
}

function problemText(kind, note, source) {
  if (kind === "missing") return `There is no video to play: ${note}. Masks and frames can still be looked through.`;
  return `The video ${source} cannot be played from here: it lies elsewhere, or this browser does not know its format. ` +
    "Masks and frames can still be looked through; avs review --embed puts the video into the page.";
}

async function main() {
  const table = new RunTable(await unpacked("table"));
  document.querySelector("main").hidden = false;
  globalThis.page = new Page(table); // for the console, and for tests
  await globalThis.page.open();
}

main().catch((error) => {
  byId("problem").textContent = `This page cannot be shown: ${error.message}`;
  byId("problem").hidden = false;
  throw error;
});
