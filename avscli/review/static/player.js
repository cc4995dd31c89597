// The video in step with the table: which row is on the screen, and how to get to another one.

const INTO_FRAME_SECONDS = 0.004; // a seek to a frame's very start may show the one before, by rounding
const LONGEST_WAIT_MS = 3000; // for the first picture

/**
 * Plays a video on the source's time line; without a video, frames can still be stepped through.
 *
 * Times of the table are the source's. A browser may count from another zero (it moves videos that
 * begin before zero), which the first picture tells: `zero` is what to add to the video's times.
 */
class Player extends EventTarget {
  constructor(video, table) {
    super();
    this.video = video;
    this.table = table;
    this.row = 0;
    this.wanted = null; // a row that was asked for and is not on the screen yet
    this.zero = 0;
    this.hasVideo = false;
    for (const name of ["play", "pause", "ratechange", "ended"]) {
      video.addEventListener(name, () => this.dispatchEvent(new Event("state")));
    }
    video.addEventListener("pause", () => this.afterPause());
    video.addEventListener("seeked", () => this.afterSeek());
  }

  /** Load an address; resolves to whether the video can be shown. */
  async open(address) {
    const first = this.firstPicture();
    const failed = new Promise((resolve) => {
      this.video.addEventListener("error", () => resolve(false), { once: true });
    });
    this.video.src = address;
    this.hasVideo = await Promise.race([first, failed]);
    if (this.hasVideo) this.watch();
    return this.hasVideo;
  }

  async firstPicture() {
    const shown = new Promise((resolve) => {
      if (this.video.requestVideoFrameCallback) {
        this.video.requestVideoFrameCallback((_, { mediaTime }) => resolve(mediaTime));
      }
    });
    await new Promise((resolve) => {
      this.video.addEventListener("loadeddata", resolve, { once: true });
    });
    await visible();
    const late = new Promise((resolve) => { setTimeout(resolve, LONGEST_WAIT_MS); });
    const mediaTime = await Promise.race([shown, late]);
    if (mediaTime !== undefined) this.zero = this.table.video.first - mediaTime;
    return true;
  }

  get seconds() {
    return this.hasVideo ? this.video.currentTime + this.zero : this.table.times[this.row];
  }

  get paused() {
    return !this.hasVideo || this.video.paused;
  }

  watch() {
    if (this.video.requestVideoFrameCallback) {
      const next = (_, { mediaTime }) => {
        this.video.requestVideoFrameCallback(next);
        if (!this.video.seeking) this.show(this.table.rowNearest(mediaTime + this.zero));
      };
      this.video.requestVideoFrameCallback(next);
      return;
    }
    const next = () => {
      if (!this.video.seeking) this.show(this.table.rowAt(this.seconds));
      requestAnimationFrame(next);
    };
    next();
  }

  /**
   * Stay with the later of the frame told of and the clock's: Firefox stops one frame after the last
   * that it told of, Chromium shows a frame up to a screen's refresh before its clock gets there.
   */
  afterPause() {
    if (this.video.ended || this.video.seeking) return;
    this.seekRow(Math.max(this.row, this.table.rowAt(this.seconds)));
  }

  /** A seek inside the frame that is on the screen presents no new one. */
  afterSeek() {
    if (this.wanted !== null) this.show(this.table.rowAt(this.seconds));
  }

  show(row) {
    this.wanted = null;
    this.row = row;
    this.dispatchEvent(new Event("row"));
  }

  seekRow(row) {
    const wanted = Math.min(Math.max(row, 0), this.table.times.length - 1);
    if (!this.hasVideo) {
      this.show(wanted);
      return;
    }
    const time = this.table.times[wanted];
    const next = wanted + 1 < this.table.times.length ? this.table.times[wanted + 1] : this.table.end;
    this.wanted = wanted;
    this.video.currentTime = time + Math.min((next - time) / 2, INTO_FRAME_SECONDS) - this.zero;
    this.dispatchEvent(new Event("seek"));
  }

  seekSeconds(seconds) {
    this.seekRow(this.table.rowAt(seconds));
  }

  step(by) {
    if (this.hasVideo) this.video.pause();
    this.seekRow((this.wanted ?? this.row) + by);
  }

  toggle() {
    if (!this.hasVideo) return;
    if (this.video.paused) this.video.play().catch(() => {}); // a seek or an end interrupts it
    else this.video.pause();
  }
}

/** Resolve once the page can be seen: in a tab behind others, browsers present no pictures. */
function visible() {
  return new Promise((resolve) => {
    if (!document.hidden) resolve();
    document.addEventListener("visibilitychange", resolve, { once: true });
  });
}
