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
  all("details").forEach((part) => part.addEventListener("toggle", reachable));
  addEventListener("resize", reachable);
  addEventListener("load", reachable);

  /** A link to what is folded unfolds it. */
  function unfold() {
    const target = document.getElementById(location.hash.slice(1));
    for (let part = target?.closest("details"); part; part = part.parentElement.closest("details")) part.open = true;
    target?.scrollIntoView();
  }
  addEventListener("hashchange", unfold);
  unfold();

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
  const guessing = find("#guess");
  function tell(event) {
    const tile = event.target.closest(".tile");
    if (!tile || tile === toldOf) return;
    toldOf = tile;
    const hidden = guessing.checked && !tile.classList.contains("guessed");
    const lines = (hidden ? ["Which digit is it? A click, or Enter, tells."]
      : all(".told > span", tile).map((line) => line.textContent)).map((text) => {
      const paragraph = document.createElement("p");
      paragraph.textContent = text;
      return paragraph;
    });
    find("#told").replaceChildren(...lines);
  }
  if (find("#wall")) {
    find("#wall").addEventListener("pointerover", tell);
    find("#wall").addEventListener("focusin", tell);
    find("#wall").addEventListener("click", (event) => {
      event.target.closest(".tile")?.classList.add("guessed");
      toldOf = null;
      tell(event);
    }, true); // before the tile's own, which adds to what is told
    guessing.addEventListener("change", () => {
      find("#wall").classList.toggle("quiz", guessing.checked);
      all("#wall .guessed").forEach((tile) => tile.classList.remove("guessed"));
      find("#told").replaceChildren();
      toldOf = null;
    });
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
  const BITMAPS = LAYOUT.f6; // and of the codes

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

  /** A network's answer to a frame: states, scores (penalties or probabilities), classes with the best first. */
  function answer(of, frame) {
    const states = LeNet.run(of, frame), rbf = of.output === "rbf";
    const scores = rbf ? Array.from(states.output) : LeNet.softmax(states.output);
    const told = (digit) => (rbf ? `penalty ${short(scores[digit])}` : `${(100 * scores[digit]).toFixed(1)} %`);
    return { states, rbf, scores, told, ranking: LeNet.ranking(of, states.output) };
  }

  const short = (value) => value.toFixed(Math.abs(value) < 10 ? 2 : 1);

  function update() {
    for (const key of SLIDERS) {
      const { step, value, parentElement, dataset } = slider(key), digits = (step.split(".")[1] || "").length;
      find("output", parentElement).textContent = Number(value).toFixed(digits) + dataset.unit;
    }
    const frame = LeNet.frame(image || new Uint8Array(SIZE), moved());
    redraw(frame);
    const found = answer(net, frame), { states, rbf, scores, ranking } = found;
    const bounded = net.activation === "scaled_tanh";
    for (const name of ["input", "c1", "s2", "c3", "s4", "c5", "f6"]) {
      // F6 is compared with bitmaps of -1 and 1
      const range = name === "input" ? net.ends : name === "f6" && rbf ? [-1, 1] : bounded ? [-LeNet.A, LeNet.A]
        : [0, Math.max(...states[name])];
      paint(find(`#layer-${name} canvas`), LAYOUT[name], states[name], ...range);
    }
    const code = data.codes[ranking[0]];
    paint(find("#layer-code canvas"), BITMAPS, code, -1, 1);
    paint(find("#layer-difference canvas"), BITMAPS, code.map((unit, k) => Math.abs(unit - states.f6[k])), 0, 2);
    const largest = rbf ? Math.max(...scores) : 1;
    for (const row of all("#outputs li")) {
      const digit = Number(row.dataset.digit);
      row.style.order = ranking.indexOf(digit);
      row.classList.toggle("best", image !== null && digit === ranking[0]);
      find(".bar span", row).style.width = `${(100 * scores[digit]) / largest}%`;
      find(".bar i", row).style.left = net.limit === null ? "-1rem" : `${Math.min(100, (100 * net.limit) / largest)}%`;
      find(".value", row).textContent = rbf ? short(scores[digit]) : short(states.output[digit]);
    }
    find(".ends").classList.toggle("plain", !rbf);
    find("#outputs").classList.toggle("plain", !rbf);
    find("#meaning").textContent = rbf
      ? "Bars are penalties, squared distances of F6 to the codes, the bitmaps of Fig. 3: the smallest wins. Beyond the line "
        + "an answer is not sure. F6 is drawn from −1, white, to 1, black, the difference from 0 to 2, the layers from "
        + "−1.7 to 1.7."
      : "Bars are probabilities, by softmax, the numbers weighted sums: the largest wins. Short of the line an answer is not "
        + "sure. F6 has no codes to be compared with. Layers are drawn from 0, white, to their largest state, black.";
    tellUnit();
    say(found);
    const others = nets.filter((other) => other !== net && image !== null).map((other) => {
      const { ranking: [best], told } = answer(other, frame);
      return `${other.title}: a ${best} (${told(best)})`;
    });
    find("#others").textContent = others.length ? `On the same image, ${others.join("; ")}.` : "";
  }

  let saying = 0;
  /** Seen at once, but not read out for every point of a stroke: only when nothing has changed for a moment. */
  function say({ ranking: [best, next], scores, rbf, told }) {
    const said = find("#answer"), strong = document.createElement("strong");
    said.setAttribute("aria-busy", "true");
    strong.textContent = best;
    const sure = net.limit === null || (rbf ? scores[best] <= net.limit : scores[best] >= net.limit);
    if (image === null) said.replaceChildren("Nothing drawn yet.");
    else said.replaceChildren("It sees a ", strong, ` (${told(best)}), next a ${next} (${told(next)})${sure ? "" : "; not sure"}.`);
    clearTimeout(saying);
    saying = setTimeout(() => said.removeAttribute("aria-busy"), 400);
  }

  // ---- drawing

  /** One pointer at a time draws: begin at its first event, then all of its events in turn; a tap is one of them. */
  function pointed(on, begin, go) {
    let held = null;
    on.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || held !== null) return;
      held = event.pointerId;
      try { // one that a test made cannot be held
        on.setPointerCapture(held);
      } catch { /* it draws as long as it stays on the canvas */ }
      begin();
      go([event]);
    });
    on.addEventListener("pointermove", (event) => {
      if (event.pointerId !== held) return;
      const events = event.getCoalescedEvents?.() ?? [];
      go(events.length ? events : [event]);
    });
    for (const end of ["pointerup", "pointercancel"]) {
      addEventListener(end, (event) => { if (event.pointerId === held) held = null; });
    }
  }

  const canvas = find("#draw"), pen = canvas.getContext("2d");
  const MIDDLE = canvas.width / 2, CELL = canvas.width / LeNet.IMAGE;
  // As wide as MNIST's strokes once a digit of most of the canvas's height has become 20 pixels high.
  const PEN = 24;
  // The drawing as it was drawn, before it is moved: what the network's image is made of.
  const sheet = Object.assign(document.createElement("canvas"), { width: canvas.width, height: canvas.height });
  const ink = sheet.getContext("2d", { willReadFrequently: true });
  let strokes = []; // each a list of points of the canvas, before it is moved; empty where an image was picked
  let due = false;

  function wipe() {
    ink.clearRect(0, 0, sheet.width, sheet.height);
    strokes = [];
    image = null;
    press(null);
  }

  function trace(context, points, wide = PEN) {
    [context.lineWidth, context.lineCap, context.lineJoin, context.strokeStyle] = [wide, "round", "round", "#000"];
    context.beginPath();
    context.moveTo(...points[0]);
    for (const point of points) context.lineTo(...point);
    context.stroke();
  }

  /** The drawing or the image on the large canvas, moved as the network's is; with noise, the pixels themselves. */
  function redraw(frame) {
    const { right, down, turn, scale, noise } = moved();
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, canvas.width, canvas.height);
    const cells = (values, side, edge) => {
      for (let i = 0; i < values.length; i++) {
        const x = (i % side) - edge, y = Math.floor(i / side) - edge;
        if (!values[i]) continue;
        pen.fillStyle = `rgb(0 0 0 / ${values[i] / 255})`;
        pen.fillRect(x * CELL, y * CELL, CELL, CELL);
      }
    };
    if (noise) {
      cells(frame, LeNet.FRAME, (LeNet.FRAME - LeNet.IMAGE) / 2);
      return;
    }
    pen.translate(MIDDLE + right * CELL, MIDDLE + down * CELL);
    pen.rotate((turn * Math.PI) / 180);
    pen.scale(scale, scale);
    pen.translate(-MIDDLE, -MIDDLE);
    if (strokes.length) strokes.forEach((points) => trace(pen, points));
    else if (image) cells(image, LeNet.IMAGE, 0);
  }

  /** Where a pointer is on the drawing, before it is moved. */
  function place(event) {
    const box = canvas.getBoundingClientRect(), { right, down, turn, scale } = moved();
    const x = ((event.clientX - box.left) / box.width) * canvas.width - MIDDLE - right * CELL;
    const y = ((event.clientY - box.top) / box.height) * canvas.height - MIDDLE - down * CELL;
    const radians = (turn * Math.PI) / 180, cos = Math.cos(radians) / scale, sin = Math.sin(radians) / scale;
    return [cos * x + sin * y + MIDDLE, -sin * x + cos * y + MIDDLE];
  }

  function extend(points) {
    const stroke = strokes.at(-1);
    trace(ink, stroke.length ? [stroke.at(-1), ...points] : points);
    stroke.push(...points);
    if (due) return;
    due = true; // once a frame of the screen, however many points came
    requestAnimationFrame(() => {
      due = false;
      if (!strokes.length) return;
      const colours = ink.getImageData(0, 0, sheet.width, sheet.height).data;
      const inked = Uint8Array.from({ length: sheet.width * sheet.height }, (_, i) => colours[4 * i + 3]);
      image = LeNet.fromDrawing(inked, sheet.width, sheet.height);
      update();
    });
  }

  pointed(canvas, () => {
    if (!strokes.length) wipe();
    strokes.push([]);
  }, (events) => extend(events.map(place)));

  /** A drawing as text, for a link: its strokes as bytes, points in 255ths of the canvas, 0 between two strokes. */
  function written() {
    const byte = (value) => Math.min(255, Math.max(1, Math.round((255 * value) / canvas.width)));
    const bytes = strokes.flatMap((points) => [...points.flat().map(byte), 0]);
    return btoa(String.fromCharCode(...bytes));
  }

  /** The strokes of such a text; none of another one. */
  function unwritten(text) {
    let bytes;
    try {
      bytes = LeNet.bytes(text);
    } catch {
      return [];
    }
    const found = [[]];
    for (const value of bytes) {
      if (value) found.at(-1).push((value * canvas.width) / 255);
      else found.push([]);
    }
    const pairs = (values) => Array.from({ length: Math.floor(values.length / 2) }, (_, k) => values.slice(2 * k, 2 * k + 2));
    return found.map(pairs).filter((points) => points.length);
  }

  find("#share").addEventListener("click", async () => {
    history.replaceState(null, "", strokes.length ? `#drawn=${written()}` : "#");
    let said = strokes.length ? "The address of this page has the drawing now." : "Nothing is drawn.";
    try {
      if (strokes.length) await navigator.clipboard.writeText(location.href);
      if (strokes.length) said = "A link to this drawing is copied.";
    } catch { /* a browser may refuse it for a file */ }
    find("#shared").textContent = said;
  });

  /** Mark the tile whose image is shown. */
  function press(tile) {
    all(".tile[data-image]").forEach((other) => other.setAttribute("aria-pressed", String(other === tile)));
  }

  function pick(tile) {
    wipe();
    image = imageOf(Number(tile.dataset.image));
    press(tile);
    update();
  }

  for (const tile of all(".tile[data-image]")) {
    tile.addEventListener("click", () => {
      pick(tile);
      if (!tile.closest("#wall") || find("#told a")) return;
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

  // ---- a unit: what it sees, what feeds it

  // Rows (and columns) of the input that a unit sees: how many, and how many further the next one begins.
  const SEES = { c1: [5, 1], s2: [6, 2], c3: [14, 2], s4: [16, 4], c5: [32, 0], f6: [32, 0] };
  const field = find("#field");
  let pointedAt = null; // layer, map, row and column

  function tellUnit() {
    field.hidden = !pointedAt;
    if (!pointedAt) {
      find("#unit").textContent = find("#unit").dataset.usual;
      return;
    }
    const { name, map, y, x } = pointedAt, [maps, , width, height] = LAYOUT[name], [size, step] = SEES[name];
    const number = (map * height + y) * width + x, percent = (pixels_) => `${(100 * pixels_) / LeNet.FRAME}%`;
    Object.assign(field.style, {
      left: percent(step * x), top: percent(step * y), width: percent(size), height: percent(size),
    });
    const state = net.states[name][number].toFixed(2), layer = name.toUpperCase();
    const from = { c1: [0], s2: [map], s4: [map], c3: net.pairs3.filter(([to]) => to === map).map(([, each]) => each) }[name];
    const below = { s2: "C1", c3: "S2", s4: "C3" }[name];
    const fed = !below ? "" : `, fed by ${below}'s map${from.length > 1 ? "s" : ""} ${from.join(", ")}`;
    const place = maps > 1 ? `map ${map}, row ${y}, column ${x}` : `unit ${number}`;
    const seen = step ? `the framed ${size}×${size} pixels` : "the whole image";
    find("#unit").textContent = `${layer}, ${place}${fed}${name === "c3" ? " (Table I)" : ""}: ${state}; it sees ${seen}.`;
  }

  for (const name of Object.keys(SEES)) {
    const drawn = find(`#layer-${name} canvas`), [maps, columns, width, height] = LAYOUT[name];
    drawn.tabIndex = 0;
    const go = (unit) => { pointedAt = unit; tellUnit(); };
    drawn.addEventListener("pointermove", (event) => {
      const box = drawn.getBoundingClientRect();
      const across = Math.floor(((event.clientX - box.left) / box.width) * drawn.width);
      const down = Math.floor(((event.clientY - box.top) / box.height) * drawn.height);
      const map = Math.floor(down / (height + 1)) * columns + Math.floor(across / (width + 1));
      const [x, y] = [across % (width + 1), down % (height + 1)];
      if (map < maps && x < width && y < height) go({ name, map, y, x });
    });
    drawn.addEventListener("focus", () => go({ name, map: 0, y: 0, x: 0 }));
    for (const end of ["pointerleave", "blur"]) drawn.addEventListener(end, () => go(null));
    drawn.addEventListener("keydown", (event) => {
      const [down, right] = { ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1] }[event.key] ?? [0, 0];
      if (!pointedAt || !(down || right)) return;
      event.preventDefault();
      let { map, y, x } = pointedAt;
      [y, x] = [y + down, x + right];
      if (x < 0 || x >= width) [map, x] = [map + Math.sign(right), x < 0 ? width - 1 : 0]; // on to the map beside it
      if (map >= 0 && map < maps && y >= 0 && y < height) go({ name, map, y, x });
    });
  }

  // ---- the first image

  all("#outputs .code").forEach((code, digit) => paint(code, BITMAPS, data.codes[digit], -1, 1));
  all("#outputs .code").forEach((code) => code.style.removeProperty("width"));
  // A browser that goes back keeps what was chosen.
  net = nets[Number(find("#nets input:checked").value)];
  pick(find(".tile[data-image]"));
  const given = unwritten(location.hash.match(/^#drawn=(.+)$/)?.[1] ?? "");
  if (given.length) {
    wipe();
    for (const points of given) {
      strokes.push([]);
      extend(points);
    }
  }

  // ---- one training, pass by pass

  /** A file beside the page, once; then what is to be done with it. */
  function beside(file, then, failed) {
    const script = Object.assign(document.createElement("script"), { src: file });
    script.addEventListener("load", then);
    script.addEventListener("error", failed);
    document.head.append(script);
  }

  find("#replay")?.addEventListener("toggle", () => beside("replay.js", () => {
    const floats = (name) => new Float32Array(LeNet.bytes(LeNet.replay[name].values).buffer);
    const [kernels, f6, output, train, test] = ["c1.weight", "f6", "output", "train_error", "test_error"].map(floats);
    const passes = test.length, of = (array, pass) => LeNet.at(array, pass, passes + 1);
    const [low, high] = [Math.min(...test), Math.max(...test)].map((share) => Math.log(Math.max(share, 1e-4)));
    const x = (pass) => 5 + (200 * pass) / passes;
    const y = (share) => 55 - (50 * (Math.log(Math.max(share, 1e-4)) - low)) / (high - low || 1);
    const line = Array.from(test, (share, k) => `${x(k + 1)},${y(share)}`).join(" ");
    find("#errors-by-pass").innerHTML = `<polyline points="${line}"/><circle r="3"/>`;
    find("#pass").max = passes;
    const go = () => {
      const pass = Number(find("#pass").value), told = (share) => `${(100 * share).toFixed(2)} %`;
      find("#pass + output").textContent = pass;
      const right = Array.from({ length: 10 }, (_, k) => {
        const penalties = LeNet.at(of(output, pass), k, 10);
        return penalties.indexOf(Math.min(...penalties)) === k;
      }).filter(Boolean).length;
      find("#passed").textContent = pass
        ? `Test error ${told(test[pass - 1])}, training error on the fly ${told(train[pass - 1])}; ${right} of the ten images are right.`
        : `Before the first pass: ${right} of the ten images are right.`;
      const most = Math.max(...kernels.map(Math.abs));
      paint(find("#kernels"), [6, 6, 5, 5, 4], of(kernels, pass), -most, most);
      paint(find("#codes"), [10, 10, 7, 12, 2], of(f6, pass), -1, 1);
      const dot = find("#errors-by-pass circle");
      dot.setAttribute("cx", x(pass));
      dot.setAttribute("cy", pass ? y(test[pass - 1]) : 5);
    };
    find("#pass").addEventListener("input", go);
    go();
  }, () => { find("#passed").textContent = "replay.js is not beside this page."; }), { once: true });

  // ---- strings of digits

  const row = find("#row");
  if (row) {
    const line = row.getContext("2d", { willReadFrequently: true });
    let strip = null, points = [], readers = [], reader = null, coming = false;

    /** The readers come when the part is near, in a file beside the page. */
    const load = (then) => {
      if (readers.length) then();
      else if (!coming) {
        coming = true;
        beside("strings.js", () => {
          readers = LeNet.strings.nets.map((about) => ({ ...about, net: LeNet.load(about.net) }));
          reader = readers[Number(find("#readers input:checked").value)];
          then();
        }, () => { find("#row-answer").textContent = "strings.js is not beside this page."; });
      }
    };

    const example = (k) => {
      const { pixels: text, width } = LeNet.strings.examples[k];
      strip = LeNet.bytes(text);
      points = [];
      line.clearRect(0, 0, row.width, row.height);
      const cell = Math.min(row.width / width, row.height / LeNet.FRAME);
      strip.forEach((value, i) => {
        line.fillStyle = `rgb(0 0 0 / ${value / 255})`;
        line.fillRect((i % width) * cell, Math.floor(i / width) * cell, cell, cell);
      });
      shown();
    };

    const shown = () => {
      const film = find("#film"), said = find("#row-answer");
      film.replaceChildren();
      if (!strip || !reader) {
        said.textContent = "Nothing drawn yet.";
        return;
      }
      const { net: network, model } = reader;
      const states = LeNet.run(network, strip), { positions } = network, { digits, path } = LeNet.read(network, model);
      for (let k = 0; k < positions; k++) {
        const item = document.createElement("li"), code = document.createElement("canvas");
        paint(code, BITMAPS, LeNet.at(states.f6, k, positions), -1, 1);
        code.removeAttribute("style");
        const nearest = LeNet.ranking(network, LeNet.at(states.output, k, positions))[0], names = [..."0123456789", "·"];
        item.append(code, names[nearest]);
        item.classList.toggle("taken", path[k] !== names.length - 1);
        film.append(item);
      }
      said.textContent = digits.length ? `It reads ${digits.join("")}.` : "It sees no digit.";
    };

    const placed = (event) => {
      const box = row.getBoundingClientRect();
      return [((event.clientX - box.left) / box.width) * row.width, ((event.clientY - box.top) / box.height) * row.height];
    };
    let next = false;
    const drew = () => {
      next = false;
      const colours = line.getImageData(0, 0, row.width, row.height).data;
      const inked = Uint8Array.from({ length: row.width * row.height }, (_, i) => colours[4 * i + 3]);
      strip = LeNet.stripOf(inked, row.width, row.height);
      load(shown);
    };
    pointed(row, () => {
      if (!points.length) line.clearRect(0, 0, row.width, row.height);
      points.push([]);
    }, (events) => {
      const stroke = points.at(-1), more = events.map(placed);
      trace(line, stroke.length ? [stroke.at(-1), ...more] : more, PEN / 2);
      stroke.push(...more);
      if (!next) requestAnimationFrame(drew);
      next = true;
    });
    find("#row-clear").addEventListener("click", () => {
      line.clearRect(0, 0, row.width, row.height);
      [strip, points] = [null, []];
      shown();
    });
    all("#examples button").forEach((button, k) => button.addEventListener("click", () => load(() => example(k))));
    find("#readers").addEventListener("change", (event) => load(() => { reader = readers[event.target.value]; shown(); }));
    new IntersectionObserver((entries, watch) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      watch.disconnect();
      load(() => { if (!strip) example(0); });
    }, { rootMargin: "400px" }).observe(row);
  }

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
