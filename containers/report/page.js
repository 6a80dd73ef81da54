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
// Show the reads at a variant in IGV, which starts when the reader opens the first one.
(() => {
  const part = (name) => document.getElementById("igv-" + name);
  if (!part("data")) return;
  const data = JSON.parse(part("data").textContent);
  let browser;
  let last = Promise.resolve();
  let open = -1;
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const start = async () => {
    const stream = new Blob([bytes(part("script").textContent)]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(stream).text();
    document.head.append(script);
  };
  const sorted = (site) => ({ option: "BASE", chr: site.contig, position: site.position, direction: "ASC" });
  const create = async (site) => {
    await start();
    browser = await igv.createBrowser(part("frame"), {
      reference: { id: "reference", name: "Reference", fastaURL: "data:text/plain;base64," + btoa(data.fasta), wholeGenomeView: false },
      locus: site.locus,
      loadDefaultGenomes: false,
      showChromosomeWidget: false,
      showIdeogram: false,
      showCenterGuide: true,
      showNavigation: innerWidth > 560, // on a phone it does not fit
      showCursorTrackingGuideButton: false,
      showSVGButton: false,
      showTrackLabelButton: false,
      tracks: [{ type: "alignment", format: "bam", name: "Reads", indexed: false, height: 420, showSoftClips: false,
        url: "data:application/gzip;base64," + data.bam, sort: sorted(site) }],
    });
    // igv.js gives its slider no name.
    for (const one of part("frame").shadowRoot.querySelectorAll("input[type=range]")) one.setAttribute("aria-label", "Zoom");
  };
  const show = async (site) => {
    part("note").textContent = site.title + ". " + (site.locus ? "Starting IGV" : site.note);
    part("frame").hidden = !site.locus;
    if (!site.locus) return;
    if (browser) {
      await browser.search(site.locus);
      for (const track of browser.findTracks("name", "Reads")) track.sort(sorted(site));
    } else await create(site);
    part("note").textContent = site.title + ". " + site.note;
  };
  const choose = (number) => {
    open = number;
    part("back").disabled = number <= 0;
    part("next").disabled = number >= data.sites.length - 1;
    last = last.then(() => show(data.sites[number])).catch((error) => {
      part("note").textContent = "IGV failed: " + error + ". Open the aligned reads in IGV on your computer.";
    });
  };
  for (const link of document.querySelectorAll("[data-site]")) {
    link.addEventListener("click", () => choose(Number(link.dataset.site)));
  }
  part("back").addEventListener("click", () => choose(open - 1));
  part("next").addEventListener("click", () => choose(open + 1));
  part("back").disabled = true;
})();
