// What pages need beyond htmx: the theme's switch, a word when the node does not answer, and charts.
// No framework, no build step; works without for everything but charts.
"use strict";
(() => {
  const root = document.documentElement;
  const dark = () => (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";

  for (const button of document.querySelectorAll("[data-theme-switch]")) {
    button.addEventListener("click", () => {
      root.dataset.theme = dark() ? "light" : "dark";
      document.cookie = `boltgrid_theme=${root.dataset.theme}; Max-Age=7776000; SameSite=Strict`;
      drawCharts();
    });
  }

  const offline = document.querySelector("[data-offline]");
  const say = (isOffline) => { if (offline) offline.hidden = !isOffline; };
  document.body.addEventListener("htmx:sendError", () => say(true));
  document.body.addEventListener("htmx:timeout", () => say(true));
  document.body.addEventListener("htmx:responseError", () => say(true));
  document.body.addEventListener("htmx:afterRequest", (event) => { if (event.detail.successful) say(false); });

  // A form that would be sent by its fields as soon as one changes.
  for (const field of document.querySelectorAll("[data-send-on-change]")) {
    field.addEventListener("change", () => field.form.requestSubmit());
  }

  // On a phone the pages' names are wider than the window: this page's is brought into it.
  const here = document.querySelector(".pages [aria-current]");
  if (here) here.parentElement.scrollLeft = here.offsetLeft - here.parentElement.offsetLeft - 60;

  // A text file that fills a field.
  for (const file of document.querySelectorAll("[data-into]")) {
    file.addEventListener("change", async () => {
      const field = document.querySelector(file.dataset.into);
      if (file.files[0] && field) field.value = await file.files[0].text();
    });
  }

  // What is shown only while another field has one of some values: data-when="field=a b".
  const dependent = [...document.querySelectorAll("[data-when]")].map((part) => {
    const [name, values] = part.dataset.when.split("=");
    return { part, field: document.getElementById(name), values: values.split(" ") };
  }).filter((it) => it.field);
  const reveal = () => { for (const it of dependent) it.part.hidden = !it.values.includes(it.field.value); };
  for (const it of dependent) it.field.addEventListener("change", reveal);
  reveal();

  // A word while a form takes its time.
  for (const form of document.querySelectorAll("[data-busy]")) {
    form.addEventListener("submit", () => { document.querySelector(form.dataset.busy).hidden = false; });
  }

  // A page that waits until a node answers, and then goes on or lets its user go on.
  const waiting = document.querySelector("[data-wait]");
  const WAIT_MS = 500, LATE_MS = 60000;
  async function wait(since) {
    const there = await fetch(waiting.dataset.wait, { cache: "no-store" }).then((it) => it.ok, () => false);
    if (there && waiting.dataset.go) { location.href = waiting.dataset.go; return; }
    const hide = (name, isHidden) => { for (const it of waiting.querySelectorAll(name)) it.hidden = isHidden; };
    for (const it of waiting.querySelectorAll("[data-when-there]")) it.disabled = !there;
    hide("[data-waiting]", there);
    hide("[data-late]", there || Date.now() - since < LATE_MS);
    if (!there) setTimeout(() => wait(since), WAIT_MS);
  }
  // The set-up that answers itself is not what is waited for: its last page came with its end.
  if (waiting) setTimeout(() => wait(Date.now()), WAIT_MS);

  const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  const language = root.lang || "en";
  const number = new Intl.NumberFormat(language, { maximumFractionDigits: 2 });

  // A chart's data: {labels, units, colours, styles, columns}; the first column is Unix seconds.
  async function drawChart(place) {
    let data;
    try {
      const answer = await fetch(place.dataset.chart, { credentials: "same-origin" });
      if (!answer.ok) return;
      data = await answer.json();
    } catch { say(true); return; }
    say(false);
    const axis = (extra) => ({ stroke: colour("--quiet"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 }, font: "13px system-ui, sans-serif", ...extra });
    const value = (unit) => (_, it) => (it == null ? "–" : `${number.format(it)} ${unit}`);
    const clock = (seconds) => new Date(seconds * 1000).toLocaleString(language, { timeZone: "UTC", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
    const series = data.labels.map((label, place) => ({
      label: data.units[place] ? `${label} (${data.units[place]})` : label,
      scale: data.scales[place],
      stroke: colour(data.colours[place]),
      fill: data.styles[place] === "bars" ? colour(data.colours[place]) + "55" : undefined,
      width: data.styles[place] === "bars" ? 0 : 2,
      paths: data.styles[place] === "bars" ? uPlot.paths.bars({ size: [0.9, 40] }) : uPlot.paths.stepped({ align: 1 }),
      points: { show: false },
      value: value(data.units[place]),
    }));
    const scales = {};
    for (const name of data.scales) scales[name] = name === "y" ? {} : { range: (_, low, high) => [Math.min(0, low || 0), (high || 1) * 1.1] };
    const axes = [axis({ space: 80, values: (_, ticks) => ticks.map((it) => new Date(it * 1000).toLocaleTimeString(language, { timeZone: "UTC", hour: "2-digit", minute: "2-digit", hourCycle: "h23" })) }), axis({ scale: data.scales[0], size: 56, values: (_, ticks) => ticks.map((it) => number.format(it)) })];
    const other = data.scales.find((name) => name !== data.scales[0]);
    if (other) axes.push(axis({ scale: other, side: 1, size: 56, grid: { show: false }, values: (_, ticks) => ticks.map((it) => number.format(it)) }));
    const size = () => ({ width: Math.max(place.clientWidth, 200), height: place.clientWidth < 500 ? 220 : 300 });
    if (place.plot) place.plot.destroy();
    place.replaceChildren();
    place.plot = new uPlot({ ...size(), tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "UTC"), series: [{ label: data.time, value: (_, it) => (it == null ? "–" : clock(it)) }, ...series], scales: { x: { time: true }, ...scales }, axes, legend: { live: true } }, data.columns, place);
    if (!place.watched) {
      place.watched = new ResizeObserver(() => place.plot.setSize(size()));
      place.watched.observe(place);
    }
    place.dataset.drawn = String(data.columns[0].length);
  }

  function drawCharts() {
    for (const place of document.querySelectorAll("[data-chart]")) drawChart(place);
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawCharts);
  drawCharts();
  if (document.querySelector("[data-chart]")) setInterval(drawCharts, 30000);
})();
