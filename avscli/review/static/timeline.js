// The time line: a canvas with ruler, sound, levels, names and flags, and one with a lane per object.

const TRACKS = { ruler: [0, 20], wave: [22, 56], level: [82, 40], heard: [126, 18], flags: [148, 16] };
const LANE = 22;
const LEFT = 112; // pixels for names of tracks
const LOUDEST = 0;
const QUIETEST = -90; // dBFS at the bottom
const LEAST_SECONDS = 0.2; // of the view
const DRAG_PIXELS = 4;
const MOMENT_GAP_SECONDS = 0.3;

class Timeline extends EventTarget {
  constructor(table, tracks, lanes) {
    super();
    this.table = table;
    this.tracks = tracks;
    this.lanes = lanes;
    this.lanesBox = lanes.parentElement.parentElement;
    this.from = table.start;
    this.to = table.end;
    this.still = { tracks: document.createElement("canvas"), lanes: document.createElement("canvas") };
    this.state = { objects: [], offScreen: [], selected: null, range: null, seconds: table.start };
    this.heardRuns = heardRuns(table);
    this.width = 1; // pixels of the time line; asking the layout for each of them would be slow
    this.colours = coloursOf(tracks);
    for (const canvas of [tracks, lanes]) this.listen(canvas);
    this.lanesBox.addEventListener("scroll", () => this.redraw());
    new ResizeObserver(() => this.redraw()).observe(tracks);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.redraw());
  }

  xOf(seconds) {
    return LEFT + ((seconds - this.from) / (this.to - this.from)) * this.width;
  }

  secondsAt(x) {
    return this.from + ((x - LEFT) / this.width) * (this.to - this.from);
  }

  /** Draw again with other objects, selection, marked stretch. */
  update(state) {
    Object.assign(this.state, state);
    this.redraw();
  }

  /** Move the play head, and the view after it. */
  move(seconds, follow) {
    this.state.seconds = seconds;
    const span = this.to - this.from;
    if (follow && (seconds < this.from || seconds > this.to - 0.02 * span)) {
      this.show(seconds - 0.05 * span, seconds + 0.95 * span);
    } else this.drawHead();
  }

  /** Show a stretch, as far as there is one. */
  show(from, to) {
    const whole = this.table.end - this.table.start;
    const span = clamp(to - from, Math.min(LEAST_SECONDS, whole), whole);
    this.from = clamp(from, this.table.start, this.table.end - span);
    this.to = this.from + span;
    this.redraw();
  }

  /** Show less or more around a time, which stays where it is. */
  zoom(factor, around = this.state.seconds) {
    const fixed = clamp(around, this.from, this.to);
    this.show(fixed - (fixed - this.from) * factor, fixed + (this.to - fixed) * factor);
  }

  listen(canvas) {
    canvas.addEventListener("pointerdown", (event) => this.press(canvas, event));
    canvas.addEventListener("wheel", (event) => {
      if (canvas === this.lanes && !event.ctrlKey && !event.deltaX) return; // it scrolls
      event.preventDefault();
      const span = this.to - this.from;
      if (event.deltaX || event.shiftKey) {
        const by = ((event.deltaX || event.deltaY) / this.width) * span;
        this.show(this.from + by, this.to + by);
      } else this.zoom(Math.exp(event.deltaY / 400), this.secondsAt(event.offsetX));
    }, { passive: false });
  }

  press(canvas, down) {
    if (down.button !== 0) return;
    canvas.setPointerCapture(down.pointerId);
    const start = this.secondsAt(down.offsetX);
    let dragged = false;
    const move = (event) => {
      dragged ||= Math.abs(event.offsetX - down.offsetX) > DRAG_PIXELS;
      if (dragged) this.tell("range", { from: start, to: this.secondsAt(event.offsetX) });
    };
    const up = () => {
      canvas.removeEventListener("pointermove", move);
      if (dragged) return;
      const object = canvas === this.lanes ? this.objectAt(down.offsetY) : undefined;
      this.tell("click", { seconds: down.offsetX < LEFT ? null : start, object });
    };
    canvas.addEventListener("pointermove", move);
    canvas.addEventListener("pointerup", up, { once: true });
  }

  objectAt(y) {
    return this.state.objects[Math.floor((y + this.lanesBox.scrollTop) / LANE)]?.id;
  }

  tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  /** Draw everything but the play head once, and the play head over it. */
  redraw() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.width = Math.max(1, this.tracks.clientWidth - LEFT);
      this.colours = coloursOf(this.tracks);
      this.lanes.parentElement.style.height = `${this.state.objects.length * LANE}px`;
      this.drawTracks();
      this.drawLanes();
      this.drawHead();
    });
  }

  drawHead() {
    for (const [name, canvas] of [["tracks", this.tracks], ["lanes", this.lanes]]) {
      const still = this.still[name];
      if (!still.width || !still.height) continue;
      const context = fitted(canvas, still.width, still.height);
      context.setTransform(1, 0, 0, 1, 0, 0);
      context.clearRect(0, 0, still.width, still.height);
      context.drawImage(still, 0, 0);
      const x = this.xOf(this.state.seconds) * devicePixelRatio;
      if (x < LEFT * devicePixelRatio || x > still.width) continue;
      context.fillStyle = this.colours["--head"];
      context.fillRect(Math.round(x), 0, Math.max(1, Math.round(1.5 * devicePixelRatio)), still.height);
    }
  }

  started(name, width, height) {
    const scale = devicePixelRatio;
    const context = fitted(this.still[name], Math.round(width * scale), Math.round(height * scale));
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, width, height);
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "middle";
    return context;
  }

  drawTracks() {
    const { clientWidth, clientHeight } = this.tracks;
    const context = this.started("tracks", clientWidth, clientHeight);
    this.drawStretches(context, clientHeight);
    this.drawRuler(context, clientHeight);
    this.drawWave(context);
    this.drawLevels(context);
    this.drawHeard(context);
    this.drawFlags(context);
    context.fillStyle = this.colours["--dim"];
    const names = { wave: "sound", level: "level, −60 dBFS", heard: "heard", flags: "flags" };
    for (const [track, name] of Object.entries(names)) {
      const [top, height] = TRACKS[track];
      context.fillText(name, 4, top + height / 2, LEFT - 8);
    }
  }

  /** The marked stretch, and those that are off-screen. */
  drawStretches(context, height) {
    const { range, offScreen } = this.state;
    context.fillStyle = this.colours["--mark"];
    if (range) this.bar(context, range, 0, height);
    context.fillStyle = "#8886";
    for (const stretch of offScreen) this.bar(context, stretch, height - 4, 4);
  }

  bar(context, [first, last], top, height) {
    const left = Math.max(LEFT, this.xOf(this.table.positionTimes[first]));
    const right = Math.min(LEFT + this.width, this.xOf(this.table.endOf(last)));
    if (right > LEFT && left < LEFT + this.width) {
      context.fillRect(left, top, Math.max(1, right - left), height);
    }
  }

  drawRuler(context, height) {
    const step = tickStep((this.to - this.from) / (this.width / 90));
    for (let tick = Math.ceil(this.from / step) * step; tick <= this.to; tick += step) {
      const x = Math.round(this.xOf(tick)) + 0.5;
      context.fillStyle = this.colours["--line"];
      context.fillRect(x, 0, 1, height);
      context.fillStyle = this.colours["--dim"];
      context.fillText(clockText(tick, step < 1 ? 2 : 0), x + 3, 10);
    }
  }

  drawWave(context) {
    const [top, height] = TRACKS.wave;
    const middle = top + height / 2;
    const wave = this.table.waveform;
    context.fillStyle = this.colours["--wave"];
    if (!wave) {
      context.fillStyle = this.colours["--dim"];
      context.fillText("no sound to show", LEFT + 8, middle);
      return;
    }
    for (let x = 0; x < this.width; x += 1) {
      const [first, last] = [x, x + 1].map((at) =>
        Math.floor((this.secondsAt(LEFT + at) - wave.start) / wave.bin));
      let [low, high] = [0, 0];
      for (let bin = Math.max(0, first); bin <= Math.min(last, wave.lowest.length - 1); bin += 1) {
        low = Math.min(low, wave.lowest[bin]);
        high = Math.max(high, wave.highest[bin]);
      }
      const reach = height / 2 / 127;
      context.fillRect(LEFT + x, middle - high * reach, 1, Math.max(1, (high - low) * reach));
    }
  }

  /** Call back for each pixel column with the analysed frames that it stands for, one at least. */
  columns(visit) {
    const times = this.table.positionTimes;
    let first = Math.max(0, lastAtOrBefore(times, this.from));
    for (let x = 0; x < this.width; x += 1) {
      const end = this.secondsAt(LEFT + x + 1);
      let last = first;
      while (last + 1 < times.length && times[last + 1] < end) last += 1;
      visit(LEFT + x, first, last);
      first = last;
    }
  }

  drawLevels(context) {
    const [top, height] = TRACKS.level;
    const yOf = (level) => top + height * clamp((LOUDEST - level) / (LOUDEST - QUIETEST), 0, 1);
    context.fillStyle = this.colours["--wave"];
    this.columns((x, first, last) => {
      let level = -Infinity;
      for (let at = first; at <= last; at += 1) level = Math.max(level, this.table.levels[at] / 10);
      context.globalAlpha = level < this.table.gate ? 0.35 : 0.9;
      context.fillRect(x, yOf(level), 1, top + height - yOf(level));
    });
    context.globalAlpha = 1;
    context.fillStyle = this.colours["--gate"];
    context.fillRect(LEFT, Math.round(yOf(this.table.gate)), this.width, 1);
  }

  drawHeard(context) {
    const [top, height] = TRACKS.heard;
    const { positionTimes } = this.table;
    let index = Math.max(0, this.heardRuns.findLastIndex(([first]) => positionTimes[first] <= this.from));
    for (let drawn = 0; index < this.heardRuns.length; index += 1) {
      const [first, last, name] = this.heardRuns[index];
      const left = Math.max(LEFT, this.xOf(positionTimes[first]));
      const right = Math.min(LEFT + this.width, this.xOf(this.table.endOf(last)));
      if (left >= LEFT + this.width) break;
      if (!name || right <= LEFT || right < drawn + 1) continue; // of an hour, most are narrower
      drawn = right;
      context.fillStyle = this.colours["--mark"];
      context.fillRect(left, top, Math.max(0.5, right - left - 1), height);
      if (right - left > 30) {
        context.fillStyle = this.colours["--text"];
        fittingText(context, name, left + 4, top + height / 2, right - left - 8);
      }
    }
  }

  drawFlags(context) {
    const [top, height] = TRACKS.flags;
    const row = Math.max(2, height / Math.max(1, this.table.flag_names.length));
    context.fillStyle = this.colours["--bad"];
    this.columns((x, first, last) => {
      let bits = 0;
      for (let at = first; at <= last; at += 1) bits |= this.table.flags[at];
      for (let bit = 0; bits >> bit; bit += 1) {
        if (bits & (1 << bit)) context.fillRect(x, top + ((bit * row) % height), 1, row - 0.5);
      }
    });
  }

  drawLanes() {
    const { clientWidth, clientHeight } = this.lanesBox;
    this.lanes.style.height = `${clientHeight}px`;
    const context = this.started("lanes", clientWidth, clientHeight);
    this.drawStretches(context, clientHeight);
    const first = Math.floor(this.lanesBox.scrollTop / LANE);
    const shown = this.state.objects.slice(first, first + Math.ceil(clientHeight / LANE) + 1);
    shown.forEach((object, index) => {
      this.drawLane(context, object, (first + index) * LANE - this.lanesBox.scrollTop);
    });
  }

  drawLane(context, object, top) {
    if (object.id === this.state.selected) {
      context.fillStyle = this.colours["--mark"];
      context.fillRect(0, top, LEFT + this.width, LANE - 1);
    }
    context.fillStyle = object.colour;
    context.fillRect(4, top + 6, 9, 9);
    context.fillStyle = this.colours[object.state === "rejected" ? "--dim" : "--text"];
    fittingText(context, object.label, 18, top + LANE / 2, LEFT - 24);
    for (const range of object.ranges) {
      context.globalAlpha = 0.35;
      context.fillStyle = object.colour;
      this.bar(context, range, top + 3, LANE - 7);
    }
    context.globalAlpha = 1;
    this.drawScores(context, object, top + 3, LANE - 7);
  }

  /** The least certain frame of each column: the higher, the surer. */
  drawScores(context, object, top, height) {
    const { positionTimes } = this.table;
    const [start, end] = [this.from, this.to].map((time) => Math.max(0, lastAtOrBefore(positionTimes, time)));
    const least = new Uint8Array(this.width).fill(101);
    const scale = this.width / (this.to - this.from);
    for (const piece of inside(object.pieces, start, end)) {
      const scoreAt = this.table.scores.get(piece.track).reader(piece);
      for (let position = piece.first; position <= piece.last; position += 1) {
        const score = scoreAt(position);
        const left = Math.max(0, Math.floor((positionTimes[position] - this.from) * scale));
        const right = Math.min(this.width - 1, (this.table.endOf(position) - this.from) * scale - 1e-6);
        for (let x = left; x <= right; x += 1) least[x] = Math.min(least[x], score);
      }
    }
    context.fillStyle = object.colour;
    least.forEach((score, x) => {
      if (score <= 100) context.fillRect(LEFT + x, top + height * (1 - score / 100), 1, 2);
    });
  }
}

/** Return the stretches in which one sound is the most probable: [first, last, name]. */
function heardRuns(table) {
  const runs = [];
  table.heard.forEach((heard, position) => {
    const name = heard.length ? table.sound_names[heard[0]] : "";
    const before = runs.at(-1);
    if (before && before[2] === name) before[1] = position;
    else runs.push([position, position, name]);
  });
  return runs;
}

function fitted(canvas, width, height) {
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  return canvas.getContext("2d");
}

function fittingText(context, text, x, y, width) {
  let letters = [...text];
  while (letters.length > 1 && context.measureText(letters.join("")).width > width) {
    letters = letters.slice(0, Math.max(1, letters.length - Math.ceil(letters.length / 8)));
  }
  const shown = letters.join("");
  context.fillText(shown.length < text.length ? `${shown.slice(0, -1)}…` : shown, x, y);
}

function coloursOf(element) {
  const style = getComputedStyle(element);
  const names = ["--line", "--text", "--dim", "--wave", "--gate", "--bad", "--head", "--mark"];
  return Object.fromEntries(names.map((name) => [name, style.getPropertyValue(name)]));
}

function tickStep(least) {
  const steps = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600];
  return steps.find((step) => step >= least) ?? 7200;
}

/** Return minutes and seconds, hours where there are some: 1:02:03.45. */
function clockText(seconds, decimals = 2) {
  const sign = seconds < 0 ? "−" : "";
  const total = Math.abs(Number(seconds.toFixed(decimals)));
  const [hours, minutes] = [Math.floor(total / 3600), Math.floor(total / 60) % 60];
  const rest = (total % 60).toFixed(decimals).padStart(decimals ? 3 + decimals : 2, "0");
  return hours ? `${sign}${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${sign}${minutes}:${rest}`;
}
