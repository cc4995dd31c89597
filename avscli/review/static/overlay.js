// Masks and labels over the video.

const OUTLINE_SHARE = 1 / 360; // of the frame's height, as in overlay.mp4
const LEAST_OUTLINE = 2;

/** Draws the masks of a frame on one canvas, at the size of the masks, and names on another. */
class Overlay {
  constructor(canvas, labels, [height, width]) {
    this.canvas = canvas;
    this.labels = labels;
    this.height = height;
    this.width = width;
    canvas.width = width;
    canvas.height = height;
    this.context = canvas.getContext("2d");
    this.drawn = null;
    this.outline = Math.max(LEAST_OUTLINE, Math.round(height * OUTLINE_SHARE));
  }

  /** shown: [{ masks: [counts], colour: "#rrggbb", label }], opacity 0 … 1. */
  draw(shown, opacity) {
    this.clear();
    const painted = shown.map((each) => ({ ...each, mask: unionOf(each.masks, [this.height, this.width]) }));
    const visible = painted.filter(({ mask }) => mask);
    if (visible.length) this.paint(visible, opacity);
    this.write(visible);
  }

  clear() {
    const { context, drawn } = this;
    if (drawn) context.clearRect(drawn.x, drawn.y, drawn.width, drawn.height);
    this.drawn = null;
  }

  paint(visible, opacity) {
    const box = boxAround(visible.map(({ mask }) => mask));
    const image = this.context.createImageData(box.width, box.height);
    const pixels = new Uint32Array(image.data.buffer);
    for (const { mask, colour } of visible) {
      const rgb = pixelOf(colour);
      // Nothing that is marked is invisible, whatever the opacity.
      const inner = (Math.max(1, Math.round(255 * opacity)) << 24) | rgb;
      this.paintMask(pixels, box, mask, inner, (255 << 24) | rgb);
    }
    this.context.putImageData(image, box.x, box.y);
    this.drawn = box;
  }

  paintMask(pixels, box, mask, inner, edge) {
    const { bits, width, height } = mask;
    const reach = this.outline;
    // What lies outside of the frame counts as marked: an object that is cut off has no edge there.
    const open = [mask.x > 0, mask.x + width < this.width, mask.y > 0, mask.y + height < this.height];
    for (let y = 0; y < height; y += 1) {
      let to = (y + mask.y - box.y) * box.width + mask.x - box.x;
      let at = y * width;
      for (let x = 0; x < width; x += 1, at += 1, to += 1) {
        if (bits[at]) {
          const isEdge =
            (x < reach ? open[0] : !bits[at - reach]) ||
            (x + reach >= width ? open[1] : !bits[at + reach]) ||
            (y < reach ? open[2] : !bits[at - reach * width]) ||
            (y + reach >= height ? open[3] : !bits[at + reach * width]);
          pixels[to] = isEdge ? edge : inner;
        }
      }
    }
  }

  /** Write names above their regions, at the size of the screen. */
  write(visible) {
    const scale = devicePixelRatio;
    const { clientWidth, clientHeight } = this.labels;
    this.labels.width = clientWidth * scale;
    this.labels.height = clientHeight * scale;
    const context = this.labels.getContext("2d");
    context.scale(scale, scale);
    context.font = "13px system-ui, sans-serif";
    context.textBaseline = "middle";
    const taken = [];
    for (const { mask, colour, label } of visible.slice(0, 40)) {
      const text = label.length > 40 ? `${label.slice(0, 39)}…` : label;
      const plate = { width: context.measureText(text).width + 16, height: 19 };
      plate.x = clamp((mask.x + mask.width / 2) * (clientWidth / this.width) - plate.width / 2, 2, clientWidth - plate.width - 2);
      plate.y = clamp(mask.y * (clientHeight / this.height) - plate.height - 3, 2, clientHeight - plate.height - 2);
      while (taken.some((other) => overlap(other, plate)) && plate.y < clientHeight) plate.y += 3;
      taken.push(plate);
      context.fillStyle = "#000b";
      context.fillRect(plate.x, plate.y, plate.width, plate.height);
      context.fillStyle = colour;
      context.fillRect(plate.x, plate.y, 5, plate.height);
      context.fillStyle = "#fff";
      context.fillText(text, plate.x + 10, plate.y + plate.height / 2 + 0.5);
    }
  }
}

function unionOf(masks, size) {
  const decoded = masks.map((counts) => decodedMask(counts, size)).filter(Boolean);
  if (decoded.length < 2) return decoded[0] ?? null;
  const box = boxAround(decoded);
  const bits = new Uint8Array(box.width * box.height);
  for (const mask of decoded) {
    for (let y = 0; y < mask.height; y += 1) {
      const to = (y + mask.y - box.y) * box.width + mask.x - box.x;
      for (let x = 0; x < mask.width; x += 1) bits[to + x] |= mask.bits[y * mask.width + x];
    }
  }
  return { ...box, bits };
}

function boxAround(boxes) {
  const x = Math.min(...boxes.map((box) => box.x));
  const y = Math.min(...boxes.map((box) => box.y));
  const width = Math.max(...boxes.map((box) => box.x + box.width)) - x;
  const height = Math.max(...boxes.map((box) => box.y + box.height)) - y;
  return { x, y, width, height };
}

/** A colour in the byte order of ImageData on a little-endian machine, which all browsers run on. */
function pixelOf(colour) {
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  return (blue << 16) | (green << 8) | red;
}

function clamp(value, low, high) {
  return Math.max(low, Math.min(value, high));
}

function overlap(one, other) {
  return one.x < other.x + other.width && other.x < one.x + one.width &&
    one.y < other.y + other.height && other.y < one.y + one.height;
}
