// Rows by a column, on a click or a key; without this script the tables stay as they are.
"use strict";
{
  const unit = {"µs": 1e-6, ms: 1e-3, s: 1, min: 60, h: 3600, "%": 0.01};
  // A cell's number in the unit of its column's other cells; text where it holds none.
  const valueOf = (row, column) => {
    const text = row.cells[column].textContent.trim();
    const found = /^(?:USD |\[)?([+<>-]?)([\d.,]+)\s*(µs|ms|s|min|h|%)?/.exec(text);
    if (!found) return text === "–" ? -Infinity : text;
    return parseFloat(found[2].replaceAll(",", "")) * (unit[found[3]] ?? 1) * (found[1] === "-" ? -1 : 1);
  };
  const compare = (a, b) => typeof a === typeof b
    ? (typeof a === "number" ? a - b : a.localeCompare(b)) : typeof a === "number" ? 1 : -1;
  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      if (!head.textContent.trim()) return;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        // Numbers largest first, as one looks for the worst; then the other way round.
        const first = head.classList.contains("n") ? "descending" : "ascending";
        const other = first === "ascending" ? "descending" : "ascending";
        const order = head.ariaSort === first ? other : first;
        heads.forEach((each) => each.removeAttribute("aria-sort"));
        head.ariaSort = order;
        const body = table.tBodies[0];
        const rows = [...body.rows].map((row) => [valueOf(row, column), row]);
        rows.sort(([a], [b]) => (order === "ascending" ? 1 : -1) * compare(a, b));
        body.append(...rows.map(([, row]) => row));
      });
    });
  }
}
