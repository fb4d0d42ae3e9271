"use strict";
(function () {
  const data = JSON.parse(document.getElementById("data").textContent);
  const root = document.documentElement;
  const dark = () => root.dataset.theme
    ? root.dataset.theme === "dark"
    : window.matchMedia("(prefers-color-scheme: dark)").matches;
  const color = (name) => getComputedStyle(root).getPropertyValue("--" + name).trim();
  const copy = (value) => JSON.parse(JSON.stringify(value));

  function config() {
    const quiet = color("quiet"), line = color("line"), font = getComputedStyle(document.body).fontFamily;
    return {
      background: "transparent", font: font, padding: 4,
      view: { stroke: null },
      axis: { labelColor: quiet, titleColor: quiet, gridColor: line, domainColor: line, tickColor: line,
              labelFontSize: 11, titleFontSize: 12, titleFontWeight: 500, titlePadding: 8 },
      legend: { labelColor: color("ink"), labelFontSize: 12 },
      text: { color: color("ink") },
      style: { label: { fill: color("ink") } },
      bar: { color: color("fpga") },
      range: { category: [color("fpga"), color("gpu"), color("tpu"), color("cpu")] },
    };
  }

  function themed(spec) {
    const made = copy(spec);
    const encoding = made.encoding && made.encoding.color;
    if (encoding && encoding.value === "plain") {
      encoding.value = color("fpga");
      encoding.condition.value = color("gpu");
    }
    return made;
  }

  function draw(place, spec) {
    const inner = document.createElement("div");
    place.replaceChildren(inner);
    return window.vegaEmbed(inner, themed(spec), {
      actions: false, renderer: "svg", config: config(), tooltip: { theme: dark() ? "dark" : "light" },
    }).then((result) => {
      inner.setAttribute("aria-hidden", "true");  // the place is an image with a text of its own
      place.dataset.drawn = "yes";
      return result;
    });
  }

  const target = document.getElementById("layer-target");
  const search = document.getElementById("layer-search");
  const count = document.getElementById("layer-count");

  function drawLayers() {
    if (!target) { return []; }
    const rows = data.layers[target.value] || {};
    const drawn = [];
    document.querySelectorAll("[data-layer-chart]").forEach((place) => {
      const metric = place.dataset.layerChart;
      place.hidden = !rows[metric];
      if (rows[metric]) {
        const spec = copy(data.layerCharts[metric]);
        spec.data.values = rows[metric];
        spec.height *= rows[metric].length;
        drawn.push(draw(place, spec));
      }
    });
    return drawn;
  }

  function drawAll() {
    const drawn = [];
    document.querySelectorAll("[data-chart]").forEach((place) => {
      drawn.push(draw(place, data.charts[place.dataset.chart]));
    });
    return Promise.all(drawn.concat(drawLayers())).then(() => { root.dataset.ready = "yes"; });
  }

  function filter() {
    if (!target) { return; }
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    document.querySelectorAll(".layer-block").forEach((block) => {
      block.hidden = block.dataset.target !== target.value;
      let shown = 0, all = 0;
      block.querySelectorAll("tbody tr").forEach((row) => {
        const text = row.textContent.toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
        all += 1;
        shown += row.hidden ? 0 : 1;
      });
      if (!block.hidden) { count.textContent = shown + " of " + all + " layers"; }
    });
  }

  function sortable(table) {
    const heads = table.querySelectorAll("thead th");
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const body = table.tBodies[0];
        const value = (row) => {
          const text = row.cells[column].textContent.replace(/[,%]/g, "").trim();
          const number = parseFloat(text);
          return Number.isNaN(number) ? text : number;
        };
        const rows = Array.from(body.rows).sort((a, b) => {
          const x = value(a), y = value(b);
          const order = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y));
          return down ? -order : order;
        });
        body.append(...rows);
      });
    });
  }

  const button = document.getElementById("theme");
  function nameButton() {
    button.textContent = dark() ? "Light" : "Dark";
    button.setAttribute("aria-pressed", String(dark()));
    button.setAttribute("aria-label", "Switch to the " + (dark() ? "light" : "dark") + " theme");
  }
  function remember(theme) { try { localStorage.setItem("fpgaflow-theme", theme); } catch (error) { /* no storage */ } }
  try {
    const kept = localStorage.getItem("fpgaflow-theme");
    if (kept === "dark" || kept === "light") { root.dataset.theme = kept; }
  } catch (error) { /* a file without storage keeps the system's theme */ }
  button.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    remember(root.dataset.theme);
    nameButton();
    drawAll();
  });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { nameButton(); drawAll(); });

  document.querySelectorAll("[data-copy]").forEach((copier) => copier.addEventListener("click", () => {
    const text = copier.parentElement.querySelector("code").textContent;
    const done = () => { copier.textContent = "Copied"; setTimeout(() => { copier.textContent = "Copy"; }, 1500); };
    if (navigator.clipboard) { navigator.clipboard.writeText(text).then(done, () => {}); }
  }));
  if (target) {
    target.addEventListener("change", () => { filter(); drawLayers(); });
    search.addEventListener("input", filter);
    document.querySelectorAll("table.layers").forEach(sortable);
    filter();
  }
  nameButton();
  drawAll();
})();
