// What was decided so far: kept in the browser as it is made, undone, redone, downloaded.

class Review extends EventTarget {
  constructor(table) {
    super();
    this.table = table;
    this.key = `avs-review:${table.run.journal_sha256}`;
    this.decisions = [];
    this.undone = [];
    this.problem = "";
    this.restore();
  }

  /** Take up what was decided when the page was last open. */
  restore() {
    try {
      const kept = JSON.parse(localStorage.getItem(this.key) ?? "{}");
      const decisions = kept.decisions ?? [];
      this.result = replay(this.table.found, this.table.frames, decisions);
      this.decisions = decisions;
      this.undone = kept.undone ?? [];
    } catch (error) {
      this.problem = `What was decided before cannot be taken up: ${error.message}`;
      this.result = replay(this.table.found, this.table.frames, []);
    }
  }

  keep() {
    try {
      const { decisions, undone } = this;
      localStorage.setItem(this.key, JSON.stringify({ decisions, undone }));
    } catch {
      this.problem = "This browser keeps nothing: download review.json before you close the page.";
    }
    this.dispatchEvent(new Event("change"));
  }

  /** Make a decision; throws an Error, and changes nothing, where it cannot be made. */
  decide(decision) {
    const decisions = [...this.decisions, decision];
    this.result = replay(this.table.found, this.table.frames, decisions);
    this.decisions = decisions;
    this.undone = [];
    this.keep();
  }

  undo() {
    return this.move(this.decisions, this.undone);
  }

  redo() {
    return this.move(this.undone, this.decisions);
  }

  move(from, to) {
    const decision = from.pop();
    if (!decision) return undefined;
    to.push(decision);
    this.result = replay(this.table.found, this.table.frames, this.decisions);
    this.keep();
    return decision;
  }

  object(id) {
    return this.result.objects.find((each) => each.id === id);
  }

  /** A number that no object has or had. */
  freeId() {
    const used = this.decisions.map((each) => each.new_object ?? 0);
    return Math.max(0, ...this.table.found.map(({ id }) => id), ...used) + 1;
  }

  /** Take the decisions of a review.json; throws an Error, and changes nothing, where they do not fit. */
  load(text) {
    const { format, version, run, decisions } = JSON.parse(text) ?? {};
    if (format !== this.table.format || !Array.isArray(decisions)) throw new Error("it is no review.json");
    if (version !== this.table.version) throw new Error(`it is of version ${version}, this page of ${this.table.version}`);
    if (run?.journal_sha256 !== this.table.run.journal_sha256) throw new Error(`it is of another run: ${run?.source}`);
    this.result = replay(this.table.found, this.table.frames, decisions);
    this.decisions = decisions;
    this.undone = [];
    this.keep();
  }

  /** review.json, as avs review --apply reads it. */
  toJson() {
    const { format, version, run } = this.table;
    return `${JSON.stringify({ format, version, run, decisions: this.decisions }, null, 2)}\n`;
  }

  download() {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([this.toJson()], { type: "application/json" }));
    link.download = "review.json";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }
}

/** Say a decision in words. */
function decisionText(decision, nameOf) {
  const name = nameOf(decision.object);
  const { first_frame: first, last_frame: last } = decision;
  const frames = first === last ? `frame ${first}` : `frames ${first} to ${last}`;
  return {
    accept: () => `accept ${name}`,
    reject: () => `reject ${name}`,
    trim: () => `trim ${name}: ${frames}`,
    extend: () => `extend ${name}: ${frames}`,
    rename: () => `rename ${name} to ${decision.name}${last === undefined ? "" : `: ${frames}`}`,
    merge: () => `merge ${name} into ${nameOf(decision.into)}`,
    split: () => `split ${name} at frame ${first}`,
    off_screen: () => `off-screen: ${frames}`,
  }[decision.do]();
}
