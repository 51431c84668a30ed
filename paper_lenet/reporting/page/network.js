// The networks at work on a drawing or an image: their answers, what each unit sees, and what a cut connection changes.
"use strict";

(() => {
  const { find, all, data, paint, pointed, trace } = Page;
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
    for (const key of SLIDERS) Page.showValue(slider(key));
    const frame = LeNet.frame(image || new Uint8Array(SIZE), moved());
    redraw(frame);
    tellCut(frame);
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
    document.dispatchEvent(new Event("answered"));
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
    if (strokes.length) strokes.forEach((points) => trace(pen, points, PEN));
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
    trace(ink, stroke.length ? [stroke.at(-1), ...points] : points, PEN);
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

  document.addEventListener("click", (event) => {
    const tile = event.target.closest(".tile[data-image]");
    if (!tile) return;
    pick(tile);
    if (!tile.closest("#wall") || find("#told a")) return;
    const link = document.createElement("a"), paragraph = document.createElement("p");
    [link.href, link.textContent] = ["#live", "See what the network at work makes of it"];
    paragraph.append(link);
    find("#told").append(paragraph);
  });
  find("#clear").addEventListener("click", () => { wipe(); update(); });
  find("#sliders").addEventListener("input", update);
  find("#reset").addEventListener("click", () => {
    for (const key of SLIDERS) slider(key).value = slider(key).defaultValue;
    update();
  });
  find("#nets").addEventListener("change", (event) => {
    net = nets[event.target.value];
    update();
    offerCuts();
  });

  // ---- a unit: what it sees, what feeds it

  // Rows (and columns) of the input that a unit sees: how many, and how many further the next one begins.
  const SEES = { c1: [5, 1], s2: [6, 2], c3: [14, 2], s4: [16, 4], c5: [32, 0], f6: [32, 0] };
  const field = find("#field");
  let pointedAt = null; // layer, map, row and column

  function tellUnit() {
    const kernel = find("#kernel");
    field.hidden = kernel.hidden = !pointedAt;
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
    const { sum, bias, kernels, coefficient } = LeNet.inside(net, name, map, y, x), told = (value) => value.toFixed(2).replace("-", "−");
    const a = bias === null ? "" : told(sum + bias);
    const squashed = net.activation === "relu" ? `max(0, ${a})` : `1.7159 tanh(⅔ · ${a})`;
    const inputs = coefficient === undefined ? "inputs by weights" : `four inputs by ${told(coefficient)}`;
    const formula = bias === null ? ` = the largest of four` : ` = ${squashed}, where ${a} = ${told(sum)} (${inputs}) + ${told(bias)} (bias)`;
    find("#unit").textContent = `${layer}, ${place}${fed}${name === "c3" ? " (Table I)" : ""}: ${state.replace("-", "−")}${formula}. It sees ${seen}.`;
    kernel.hidden = !kernels.length;
    if (kernels.length) {
      const values = kernels.flatMap((one) => Array.from(one)), most = Math.max(...values.map(Math.abs));
      const layout = name === "f6" ? [1, 1, 20, 6, 4] : [kernels.length, Math.min(8, kernels.length), 5, 5, 3];
      paint(kernel, layout, values, -most, most);
    }
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

  // ---- Table I: which map of S2 feeds which of C3, each connection a button

  const MAPS = { s2: 6, c3: 16 }, table1 = find("#table1");

  function offerCuts() {
    const pairs = new Map(net.pairs3.map(([to, from], k) => [from * MAPS.c3 + to, k]));
    const shown = Array.from({ length: MAPS.s2 * MAPS.c3 }, (_, k) => {
      const from = Math.floor(k / MAPS.c3), to = k % MAPS.c3, button = document.createElement("button"), pair = pairs.get(k);
      const named = `S2 map ${from} to C3 map ${to}`;
      button.type = "button";
      button.className = "connection";
      button.disabled = pair === undefined;
      button.setAttribute("aria-label", button.disabled ? `${named}: not connected` : named);
      if (pair !== undefined) button.setAttribute("aria-pressed", String(!net.cut.has(pair)));
      button.addEventListener("click", () => {
        if (!net.cut.delete(pair)) net.cut.add(pair);
        button.setAttribute("aria-pressed", String(!net.cut.has(pair)));
        update();
      });
      return button;
    });
    table1.replaceChildren(...shown);
    const enter = (button) => shown.forEach((other) => { other.tabIndex = other === button ? 0 : -1; });
    enter(shown.find((button) => !button.disabled));
    table1.onkeydown = (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: MAPS.c3, ArrowUp: -MAPS.c3 }[event.key];
      if (!step) return;
      event.preventDefault();
      let at = shown.indexOf(document.activeElement) + step;
      while (shown[at]?.disabled) at += step; // on to the next that is connected
      if (!shown[at]) return;
      enter(shown[at]);
      shown[at].focus();
    };
  }

  /** What the network would say with all of its connections, beside what it says. */
  function tellCut(frame) {
    const { cut } = net;
    find("#uncut").hidden = !cut.size;
    if (!cut.size) {
      find("#cut").textContent = find("#cut").dataset.usual;
      return;
    }
    net.cut = new Set();
    const { ranking: [best], told } = answer(net, frame), before = `${best} (${told(best)})`;
    net.cut = cut;
    const { ranking: [now], told: toldNow } = answer(net, frame);
    find("#cut").textContent = `${cut.size} of ${net.pairs3.length} connections cut: it sees a ${now} (${toldNow(now)}); `
      + `whole, it sees a ${before}.`;
  }

  find("#uncut").addEventListener("click", () => {
    net.cut.clear();
    offerCuts();
    update();
  });

  // ---- the first image

  all("#outputs .code").forEach((code, digit) => paint(code, BITMAPS, data.codes[digit], -1, 1));
  all("#outputs .code").forEach((code) => code.style.removeProperty("width"));
  // A browser that goes back keeps what was chosen.
  net = nets[Number(find("#nets input:checked").value)];
  offerCuts();
  pick(find(".tile[data-image]"));
  const given = unwritten(location.hash.match(/^#drawn=(.+)$/)?.[1] ?? "");
  if (given.length) {
    wipe();
    for (const points of given) {
      strokes.push([]);
      extend(points);
    }
  }
})();
