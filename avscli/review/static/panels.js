// The lists beside the video. Names come in as text nodes only: nothing of a run is ever markup.

const MOMENT_TEXTS = {
  mask_while_silent: "mask while silent",
  low_score: "low score",
  flicker: "flicker",
  flash: "flash dropped",
  low_agreement: "stages disagree",
  heard_not_seen: "heard, not seen",
  loud_but_empty: "loud, but empty",
};
const STATE_TEXTS = { undecided: "", accepted: "✓ accepted", rejected: "✗ rejected" };

function byId(id) {
  return document.getElementById(id);
}

/** Return a new element with properties, and what is in it: elements or texts. */
function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function swatch(colour) {
  const made = element("span", { className: "swatch" });
  made.style.background = colour;
  return made;
}

function showObjects(objects, selected, onSelect) {
  const list = byId("objects");
  list.replaceChildren(...objects.map((each) => {
    const option = element("div", { className: each.state, id: `object-${each.id}` },
      swatch(each.colour),
      element("span", { className: "name", textContent: each.label }),
      element("span", { className: "state", textContent: STATE_TEXTS[each.state] }),
      element("span", { className: "dim", textContent: each.summary }));
    option.role = "option";
    option.ariaSelected = String(each.id === selected);
    option.addEventListener("click", () => onSelect(each.id));
    return option;
  }));
  if (selected === null) list.removeAttribute("aria-activedescendant");
  else list.setAttribute("aria-activedescendant", `object-${selected}`);
  byId(`object-${selected}`)?.scrollIntoView({ block: "nearest" });
  const decided = objects.filter((each) => each.state !== "undecided").length;
  byId("objects-count").textContent = `${objects.length}, ${decided} decided`;
}

function showMoments(moments, textOf, onGo) {
  byId("moments-count").textContent = String(moments.length);
  byId("moments").replaceChildren(...moments.map((moment, index) => {
    const go = element("button", {},
      element("span", { className: "name", textContent: textOf(moment) }),
      element("span", { className: "dim", textContent: `${moment.clock}  ${moment.doubt.toFixed(2)}` }));
    go.addEventListener("click", () => onGo(index));
    return element("li", {}, go);
  }));
}

function markMoment(current) {
  [...byId("moments").children].forEach((item, index) => {
    item.classList.toggle("current", index === current);
    if (index === current) {
      item.classList.add("seen");
      item.scrollIntoView({ block: "nearest" });
    }
  });
}

function showDecisions(texts) {
  byId("decisions-count").textContent = String(texts.length);
  byId("decisions").replaceChildren(...texts.map((text, index) =>
    element("li", {}, element("span", { textContent: `${index + 1}. ${text}` }))));
  byId("decisions").lastElementChild?.scrollIntoView({ block: "nearest" });
}

let lastAnswer = Promise.resolve(); // to the question before

/** Ask with a dialog; resolves to whether it was answered with OK. */
function ask(title, fields) {
  // A dialog tells that it was closed a moment later, and that must not answer the next question.
  lastAnswer = lastAnswer.then(() => answerTo(title, fields));
  return lastAnswer;
}

function answerTo(title, fields) {
  const dialog = byId("ask");
  byId("ask-title").textContent = title;
  byId("ask-fields").replaceChildren(...fields);
  dialog.returnValue = "cancel"; // of Escape; and Enter presses the first button, which is Cancel
  byId("ask-fields").onkeydown = (event) => {
    if (event.key === "Enter") {
      event.preventDefault();
      byId("ask-yes").click();
    }
  };
  dialog.showModal();
  byId("ask-fields").querySelector("input, select")?.focus();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}
