// Filters, reading of values, sorting and the theme switch. The page is complete without it: everything is then shown.
"use strict";
(function () {
  const root = document.documentElement;
  root.classList.add("js");

  const theme = document.querySelector("button.theme");
  theme.hidden = false;
  theme.addEventListener("click", function () {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });

  // Filters: one set of controls for each part of the page.
  for (const part of document.querySelectorAll("section.part")) {
    const controls = part.querySelector(".controls");
    if (!controls) continue;
    const problem = controls.querySelector("select[name=problem]");
    const ratio = controls.querySelector("select[name=ratio]");
    const metric = controls.querySelector("select[name=metric]");
    const measure = controls.querySelector("select[name=measure]");
    const chosen = [metric, measure].filter((c) => c !== null);
    const boxes = [...controls.querySelectorAll("input[type=checkbox]")];
    const status = controls.querySelector("[role=status]");
    const apply = function () {
      const off = new Set(boxes.filter((b) => !b.checked).map((b) => b.value));
      let figures = 0;
      for (const item of part.querySelectorAll("[data-problem], [data-ratio]")) {
        const d = item.dataset;
        const hide = (d.problem !== undefined && problem.value !== "" && d.problem !== problem.value) ||
          (d.ratio !== undefined && ratio.value !== "" && d.ratio !== ratio.value) ||
          (d.metric !== undefined && !chosen.some((c) => c.value === d.metric)) ||
          (item.tagName === "TR" && d.s !== undefined && off.has(d.s));
        item.hidden = hide;
        if (!hide && item.tagName === "FIGURE") figures += 1;
      }
      for (const item of part.querySelectorAll("tr[data-s]:not([data-problem]):not([data-ratio])")) item.hidden = off.has(item.dataset.s);
      for (const item of part.querySelectorAll("svg g[data-s]")) item.style.display = off.has(item.dataset.s) ? "none" : "";
      for (const figure of part.querySelectorAll("figure")) figure.dispatchEvent(new Event("filtered"));
      part.classList.toggle("many", boxes.length - off.size > 5);
      part.off = off;
      status.textContent = figures + (figures === 1 ? " figure" : " figures") + " shown";
    };
    part.off = new Set();
    for (const control of [problem, ratio, ...chosen, ...boxes]) control.addEventListener("change", apply);
    const all = controls.querySelector("button.all");
    all.addEventListener("click", function () {
      const on = boxes.some((b) => !b.checked);
      for (const b of boxes) b.checked = on;
      apply();
    });
    apply();
  }

  // Reading values: a slider under each figure, moved by keys, by touch, or by pointing at the figure.
  const svgNS = "http://www.w3.org/2000/svg";
  const readable = function () { for (const figure of document.querySelectorAll("figure[data-stops]")) {
    const svg = figure.querySelector("svg");
    const part = figure.closest("section.part");
    let stops = null;
    const slider = document.createElement("input");
    slider.type = "range";
    slider.min = 0;
    slider.step = 1;
    slider.value = 0;
    slider.setAttribute("aria-label", "Read values: " + figure.querySelector("figcaption").textContent);
    const output = document.createElement("output");
    output.textContent = "Point at the figure, or move the slider, to read values.";
    svg.after(slider, output);
    const line = document.createElementNS(svgNS, "line");
    line.setAttribute("class", "cursor");
    const dots = document.createElementNS(svgNS, "g");
    const load = function () {
      if (stops) return;
      stops = JSON.parse(figure.querySelector("script").textContent);
      slider.max = stops.x.length - 1;
      svg.append(line, dots);
    };
    slider.max = Number(figure.dataset.stops) - 1;
    const show = function () {
      load();
      const k = Number(slider.value);
      const off = part ? part.off : new Set();
      const here = stops.s.filter((s) => s.v[k] && !off.has(String(s.i)));
      here.sort((a, b) => (b.y[k] === null ? -1 : b.y[k]) - (a.y[k] === null ? -1 : a.y[k]));
      line.setAttribute("x1", stops.x[k]);
      line.setAttribute("x2", stops.x[k]);
      line.setAttribute("y1", 12);
      line.setAttribute("y2", svg.viewBox.baseVal.height - 46);
      dots.replaceChildren(...here.filter((s) => s.y[k] !== null).map(function (s) {
        const dot = document.createElementNS(svgNS, "circle");
        dot.setAttribute("class", "dot");
        dot.setAttribute("cx", s.d ? s.d[k] : stops.x[k]);
        dot.setAttribute("cy", s.y[k]);
        dot.setAttribute("r", 5.5);
        return dot;
      }));
      const head = document.createElement("b");
      head.textContent = stops.l[k] + ": ";
      output.replaceChildren(head, ...here.map(function (s) {
        const span = document.createElement("span");
        span.textContent = s.n + " " + s.v[k];
        return span;
      }));
      slider.setAttribute("aria-valuetext", stops.l[k] + ": " + here.map((s) => s.n + " " + s.v[k]).join("; "));
    };
    slider.addEventListener("input", show);
    slider.addEventListener("focus", show);
    figure.addEventListener("filtered", function () { if (stops && !figure.hidden) show(); });
    const point = function (event) {
      load();
      const box = svg.getBoundingClientRect();
      const scale = svg.viewBox.baseVal.width / box.width;
      const x = (event.clientX - box.left) * scale;
      const y = (event.clientY - box.top) * scale;
      const off = part ? part.off : new Set();
      let best = 0;
      let least = Infinity;
      for (let k = 0; k < stops.x.length; k += 1) {
        const here = stops.s.filter((s) => s.v[k] && !off.has(String(s.i)));
        if (!here.length) continue;
        let distance = Math.abs(stops.x[k] - x);
        if (here.length === 1 && here[0].y[k] !== null) distance = Math.hypot(distance, here[0].y[k] - y);
        if (distance < least) { least = distance; best = k; }
      }
      slider.value = best;
      show();
    };
    svg.addEventListener("pointermove", point);
    svg.addEventListener("pointerdown", point);
  } };
  readable();

  // Sorting: every column heading becomes a button.
  const sortable = function () { for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach(function (head, column) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      head.replaceChildren(button);
      button.addEventListener("click", function () {
        const up = head.getAttribute("aria-sort") !== "ascending";
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        const body = table.tBodies[0];
        const key = function (row) {
          const cell = row.cells[column];
          return cell.dataset.v !== undefined ? Number(cell.dataset.v) : cell.textContent;
        };
        const rows = [...body.rows].map((row) => [key(row), row]);
        rows.sort(function (a, b) {
          const [x, y] = [a[0], b[0]];
          // Words, among them gaps, come after numbers whichever way is up.
          if (typeof x !== typeof y) return typeof x === "number" ? -1 : 1;
          const order = typeof x === "number" ? x - y : x.localeCompare(y);
          return up ? order : -order;
        });
        body.append(...rows.map((r) => r[1]));
      });
    });
  } };
  sortable();

  // A page that is served renews what it shows.
  document.addEventListener("renewed", function () { readable(); sortable(); });
})();
