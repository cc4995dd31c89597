"use strict";

// A click on the head of a column sorts by it; a second one the other way round. Numbers start with the
// largest, texts with A.

const heads = [...document.querySelectorAll("thead th")];
const body = document.querySelector("tbody");

function valueOf(row, column) {
  const cell = row.cells[column];
  if (!cell) return "";
  return cell.dataset.value === undefined ? cell.textContent : Number(cell.dataset.value);
}

function compare(one, other) {
  if (typeof one === "string" || typeof other === "string") {
    return String(other).localeCompare(String(one), undefined, { numeric: true });
  }
  return one - other;
}

function sortBy(head, column) {
  const descending = head.ariaSort === "ascending" || head.ariaSort === null;
  for (const each of heads) each.ariaSort = null;
  head.ariaSort = descending ? "descending" : "ascending";
  const sign = descending ? -1 : 1;
  const rows = [...body.rows];
  rows.sort((one, other) => sign * compare(valueOf(one, column), valueOf(other, column)));
  body.append(...rows);
}

for (const head of heads) {
  const button = head.querySelector("button");
  button?.addEventListener("click", () => sortBy(head, Number(button.dataset.column)));
}
