"use strict";
// Sort and filter the table of variants. All rows are in the page: without this script they are shown in their order.
(() => {
  document.documentElement.classList.remove("noscript");
  const table = document.getElementById("variant-table");
  if (!table) return;
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const field = (name) => document.getElementById("filter-" + name);
  const shown = document.getElementById("shown");
  const cell = (row, place) => row.cells[place].dataset.v ?? row.cells[place].textContent;
  const matches = (row) => {
    const data = row.dataset;
    const text = field("text").value.trim().toLowerCase();
    const minimum = (name) => field(name).value === "" || Number(data[name]) >= Number(field(name).value);
    return (
      (!field("pass").checked || data.pass === "1") &&
      (field("impact").value === "" || data.impact === field("impact").value) &&
      (text === "" || row.textContent.toLowerCase().includes(text)) &&
      minimum("quality") && minimum("share")
    );
  };
  const update = () => {
    let number = 0;
    for (const row of rows) {
      row.hidden = !matches(row);
      number += row.hidden ? 0 : 1;
    }
    shown.textContent = number.toLocaleString("en") + " of " + rows.length.toLocaleString("en") + " listed variants are shown.";
  };
  for (const name of ["text", "impact", "quality", "share", "pass"]) field(name).addEventListener("input", update);
  [...table.tHead.rows[0].cells].forEach((head, place) => {
    head.querySelector("button").addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const numeric = head.classList.contains("n") || head.dataset.numeric === "1";
      const compare = (a, b) => {
        const [x, y] = [cell(a, place), cell(b, place)];
        if (!numeric) return x.localeCompare(y, "en", { numeric: true });
        if (x === "" || y === "") return (x === "") - (y === "");
        return Number(x) - Number(y);
      };
      rows.sort((a, b) => (up ? compare(a, b) : compare(b, a)));
      body.append(...rows);
    });
  });
  update();
})();
