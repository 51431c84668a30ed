// The report page at work: theme, tables that sort, walls of images, and the networks on what one draws.
"use strict";

(() => {
  const find = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => Array.from(within.querySelectorAll(selector));

  // ---- theme

  const root = document.documentElement;
  const KEY = "paper_lenet theme";

  function remembered(theme) {
    try { // a browser may refuse both for a file
      if (theme) localStorage.setItem(KEY, theme);
      return localStorage.getItem(KEY);
    } catch {
      return null;
    }
  }

  function setTheme(theme) {
    root.dataset.theme = theme;
    find("#theme").textContent = theme === "dark" ? "Light theme" : "Dark theme";
  }

  setTheme(remembered() || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"));
  find("#theme").hidden = false;
  find("#theme").addEventListener("click", () => {
    setTheme(root.dataset.theme === "dark" ? "light" : "dark");
    remembered(root.dataset.theme);
  });

  // ---- tables

  /** A cell as its number, or as text; what stands for no number comes last. */
  function keyOf(row, column, numeric) {
    const text = row.cells[column].textContent.trim();
    if (!numeric) return text.toLowerCase();
    const value = parseFloat(text.replace(/,/g, ""));
    return Number.isNaN(value) ? Infinity : value;
  }

  function sort(table, column) {
    const header = table.tHead.rows[0].cells[column], body = table.tBodies[0];
    const rows = all("tr", body);
    rows.forEach((row, k) => { row.dataset.place ??= k; });
    const next = { null: "ascending", ascending: "descending", descending: null }[header.getAttribute("aria-sort")];
    all("th", table.tHead).forEach((cell) => cell.removeAttribute("aria-sort"));
    if (next) header.setAttribute("aria-sort", next);
    const numeric = rows.every((row) => /^([-+]?\d|-?$)/.test(row.cells[column].textContent.trim()));
    const sign = next === "descending" ? -1 : 1;
    const collator = new Intl.Collator("en", { numeric: true });
    rows.sort((a, b) => {
      if (!next) return a.dataset.place - b.dataset.place; // the third time, as they came
      const [x, y] = [keyOf(a, column, numeric), keyOf(b, column, numeric)];
      if (numeric && (x === Infinity || y === Infinity)) return x === y ? 0 : x === Infinity ? 1 : -1;
      return sign * (numeric ? x - y : collator.compare(x, y));
    });
    body.append(...rows);
  }

  for (const table of all("table")) {
    all("thead th", table).forEach((header, column) => header.addEventListener("click", () => sort(table, column)));
  }

  /** What can be scrolled can be reached by keyboard. */
  function reachable() {
    for (const box of all(".scroll")) {
      if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
    }
  }
  addEventListener("resize", reachable);
  addEventListener("load", reachable);

  // ---- walls of images

  /** One of the tiles can be reached by Tab; arrow keys go on from it. */
  function roving(group) {
    const tiles = all(".tile", group);
    const enter = (tile) => tiles.forEach((other) => { other.tabIndex = other === tile ? 0 : -1; });
    enter(tiles[0]);
    group.addEventListener("focusin", (event) => enter(event.target.closest(".tile")));
    group.addEventListener("keydown", (event) => {
      const columns = getComputedStyle(group).gridTemplateColumns.split(" ").length;
      const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns,
        Home: -tiles.length, End: tiles.length }[event.key];
      if (step === undefined) return;
      event.preventDefault();
      const at = tiles.indexOf(document.activeElement) + step;
      const last = tiles.length - 1, jump = event.key === "Home" || event.key === "End";
      if (jump || (at >= 0 && at <= last)) tiles[Math.min(last, Math.max(0, at))].focus();
    });
  }
  all(".tiles").forEach(roving);

  let toldOf = null;
  function tell(event) {
    const tile = event.target.closest(".tile");
    if (!tile || tile === toldOf) return;
    toldOf = tile;
    const lines = all(".told > span", tile).map((line) => {
      const paragraph = document.createElement("p");
      paragraph.textContent = line.textContent;
      return paragraph;
    });
    find("#told").replaceChildren(...lines);
  }
  if (find("#errors")) {
    find("#errors").addEventListener("pointerover", tell);
    find("#errors").addEventListener("focusin", tell);
  }

  // ---- networks

  const data = JSON.parse(find("#data").textContent);
  if (!data.nets.length) return;

  const nets = data.nets.map(LeNet.load);
  const pixels = LeNet.bytes(data.images), SIZE = LeNet.IMAGE ** 2;
  const imageOf = (k) => pixels.subarray(k * SIZE, (k + 1) * SIZE);
  const SLIDERS = ["right", "down", "turn", "scale", "noise"];
  const slider = (key) => find(`#move-${key}`);
  // maps, columns of maps, width and height of a map, and how many of the page's units a state is wide
  const LAYOUT = {
    input: [1, 1, 32, 32, 1], c1: [6, 6, 28, 28, 1], s2: [6, 6, 14, 14, 1], c3: [16, 8, 10, 10, 1],
    s4: [16, 8, 5, 5, 2], c5: [1, 1, 20, 6, 4], f6: [1, 1, 7, 12, 0],
  };

  let net = nets[0];
  let image = imageOf(0); // what the network sees before it is moved; null for an empty drawing

  /** Maps side by side on a canvas, one pixel a state; low is drawn white and high black. */
  function paint(canvas, [maps, columns, width, height, units], states, low, high) {
    const gap = 1, rows = Math.ceil(maps / columns);
    canvas.width = columns * (width + gap) - gap;
    canvas.height = rows * (height + gap) - gap;
    canvas.style.width = units ? `calc(${units * canvas.width} * var(--unit))` : "100%";
    const context = canvas.getContext("2d");
    const picture = context.createImageData(canvas.width, canvas.height);
    for (let i = 0; i < maps * width * height; i++) {
      const map = Math.floor(i / (width * height)), y = Math.floor((i % (width * height)) / width);
      const row = Math.floor(map / columns) * (height + gap) + y;
      const at = 4 * (row * canvas.width + (map % columns) * (width + gap) + (i % width));
      picture.data.fill(255 * (1 - (states[i] - low) / (high - low || 1)), at, at + 3);
      picture.data[at + 3] = 255;
    }
    context.putImageData(picture, 0, 0);
  }

  function moved() {
    const values = Object.fromEntries(SLIDERS.map((key) => [key, Number(slider(key).value)]));
    return { ...values, noise: values.noise / 100 };
  }

  function update() {
    for (const key of SLIDERS) {
      const { step, value, parentElement, dataset } = slider(key), digits = (step.split(".")[1] || "").length;
      find("output", parentElement).textContent = Number(value).toFixed(digits) + dataset.unit;
    }
    const frame = LeNet.frame(image || new Uint8Array(SIZE), moved());
    const states = LeNet.run(net, frame);
    const rbf = net.output === "rbf", bounded = net.activation === "scaled_tanh";
    for (const [name, layout] of Object.entries(LAYOUT)) {
      // F6 is compared with bitmaps of -1 and 1
      const range = name === "input" ? net.ends : name === "f6" && rbf ? [-1, 1] : bounded ? [-LeNet.A, LeNet.A]
        : [0, Math.max(...states[name])];
      paint(find(`#layer-${name} canvas`), layout, states[name], ...range);
    }
    const values = rbf ? Array.from(states.output) : LeNet.softmax(states.output);
    const ranking = LeNet.ranking(net, states.output), largest = rbf ? Math.max(...values) : 1;
    const told = (value) => (rbf ? value.toFixed(value < 10 ? 2 : 1) : `${(100 * value).toFixed(1)} %`);
    all("#outputs li").forEach((row, digit) => {
      row.classList.toggle("best", image !== null && digit === ranking[0]);
      find(".bar span", row).style.width = `${(100 * values[digit]) / largest}%`;
      find(".value", row).textContent = told(values[digit]);
    });
    find("#outputs").classList.toggle("plain", !rbf);
    find("#meaning").textContent = rbf
      ? "Bars are penalties, squared distances of F6 to the bitmaps of Fig. 3 (left of the digits): the smallest wins. "
        + "F6 is drawn from −1, white, to 1, black, the other layers from −1.7 to 1.7."
      : "Bars are probabilities, by softmax: the largest wins. F6 has no bitmaps to be compared with. Layers are drawn from "
        + "0, white, to their largest state, black.";
    const kind = rbf ? "penalty " : "";
    say(ranking, (digit) => kind + told(values[digit]));
  }

  let saying = 0;
  /** Seen at once, but not read out for every point of a stroke: only when nothing has changed for a moment. */
  function say(ranking, told) {
    const answer = find("#answer"), strong = document.createElement("strong");
    answer.setAttribute("aria-busy", "true");
    strong.textContent = ranking[0];
    if (image === null) answer.replaceChildren("Nothing drawn yet.");
    else answer.replaceChildren("It sees a ", strong, ` (${told(ranking[0])}), next a ${ranking[1]} (${told(ranking[1])}).`);
    clearTimeout(saying);
    saying = setTimeout(() => answer.removeAttribute("aria-busy"), 400);
  }

  // ---- drawing

  const canvas = find("#draw"), pen = canvas.getContext("2d", { willReadFrequently: true });
  // As wide as MNIST's strokes once a digit of most of the canvas's height has become 20 pixels high.
  const PEN = 24;
  let last = null, drawn = false, due = false;

  function wipe() {
    pen.clearRect(0, 0, canvas.width, canvas.height);
    drawn = true;
    image = null;
    press(null);
  }

  function place(event) {
    const box = canvas.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * canvas.width,
      ((event.clientY - box.top) / box.height) * canvas.height];
  }

  function stroke(from, to) {
    [pen.lineWidth, pen.lineCap, pen.strokeStyle] = [PEN, "round", "#000"];
    pen.beginPath();
    pen.moveTo(...from);
    pen.lineTo(...to);
    pen.stroke();
    if (due) return;
    due = true; // once a frame of the screen, however many points came
    requestAnimationFrame(() => {
      due = false;
      if (!drawn) return;
      const colours = pen.getImageData(0, 0, canvas.width, canvas.height).data;
      const ink = Uint8Array.from({ length: canvas.width * canvas.height }, (_, i) => colours[4 * i + 3]);
      image = LeNet.fromDrawing(ink, canvas.width, canvas.height);
      update();
    });
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    if (!drawn) wipe();
    last = place(event);
    stroke(last, last);
  });
  addEventListener("pointermove", (event) => {
    if (!last) return;
    const next = place(event);
    stroke(last, next);
    last = next;
  });
  for (const end of ["pointerup", "pointercancel"]) addEventListener(end, () => { last = null; });

  /** Mark the tile whose image is shown. */
  function press(tile) {
    all(".tile[data-image]").forEach((other) => other.setAttribute("aria-pressed", String(other === tile)));
  }

  function pick(tile) {
    image = imageOf(Number(tile.dataset.image));
    drawn = false;
    press(tile);
    pen.clearRect(0, 0, canvas.width, canvas.height);
    const side = canvas.width / LeNet.IMAGE;
    image.forEach((value, i) => {
      pen.fillStyle = `rgb(0 0 0 / ${value / 255})`;
      pen.fillRect((i % LeNet.IMAGE) * side, Math.floor(i / LeNet.IMAGE) * side, side, side);
    });
    update();
  }

  for (const tile of all(".tile[data-image]")) {
    tile.addEventListener("click", () => {
      pick(tile);
      if (!tile.closest("#errors") || find("#told a")) return;
      const link = document.createElement("a"), paragraph = document.createElement("p");
      [link.href, link.textContent] = ["#live", "See what the network at work makes of it"];
      paragraph.append(link);
      find("#told").append(paragraph);
    });
  }
  find("#clear").addEventListener("click", () => { wipe(); update(); });
  find("#sliders").addEventListener("input", update);
  find("#reset").addEventListener("click", () => {
    for (const key of SLIDERS) slider(key).value = slider(key).defaultValue;
    update();
  });
  find("#nets").addEventListener("change", (event) => { net = nets[event.target.value]; update(); });

  all("#outputs .code").forEach((code, digit) => paint(code, LAYOUT.f6, data.codes[digit], -1, 1));
  all("#outputs .code").forEach((code) => code.style.removeProperty("width"));
  // A browser that goes back keeps what was chosen.
  net = nets[Number(find("#nets input:checked").value)];
  pick(find(".tile[data-image]"));

  // ---- what the tests read: index.html#selftest

  if (location.hash === "#selftest") {
    const frames = Array.from({ length: 20 }, (_, k) => LeNet.frame(imageOf(k)));
    const start = performance.now();
    const outputs = nets.map((each) => frames.map((frame) => Array.from(LeNet.run(each, frame).output)));
    const milliseconds = (performance.now() - start) / (nets.length * frames.length);
    const result = document.createElement("pre");
    result.id = "selftest";
    result.textContent = JSON.stringify({ outputs, milliseconds, width: [root.scrollWidth, root.clientWidth] });
    document.body.append(result);
  }
})();
