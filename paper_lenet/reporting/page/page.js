// The report page at work: theme, tables that sort, what is folded, walls of images; and what its other scripts share.
"use strict";

const Page = (() => {
  const find = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => Array.from(within.querySelectorAll(selector));
  const data = JSON.parse(find("#data").textContent);

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

  document.addEventListener("click", ({ target }) => {
    const header = target.closest("thead th");
    if (header) sort(header.closest("table"), header.cellIndex);
  });

  /** What can be scrolled can be reached by keyboard. */
  function reachable() {
    for (const box of all(".scroll")) {
      if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
    }
  }
  document.addEventListener("toggle", reachable, true);
  addEventListener("resize", reachable);
  addEventListener("load", reachable);

  /** A link to what is folded unfolds it. */
  function unfold() {
    const target = document.getElementById(location.hash.slice(1));
    for (let part = target?.closest("details"); part; part = part.parentElement.closest("details")) part.open = true;
    target?.scrollIntoView();
  }
  addEventListener("hashchange", unfold);
  addEventListener("DOMContentLoaded", unfold);

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
  function wall() {
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

  // This runs in the midst of the page, so that the network is there at once.
  addEventListener("DOMContentLoaded", () => {
    all(".tiles").forEach(roving);
    if (find("#wall")) wall();
  });

  // ---- what the other scripts share

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

  function trace(context, points, wide) {
    [context.lineWidth, context.lineCap, context.lineJoin, context.strokeStyle] = [wide, "round", "round", "#000"];
    context.beginPath();
    context.moveTo(...points[0]);
    for (const point of points) context.lineTo(...point);
    context.stroke();
  }

  /** A file beside the page, once; then what is to be done with it. */
  function beside(file, then, failed) {
    const script = Object.assign(document.createElement("script"), { src: file });
    script.addEventListener("load", then);
    script.addEventListener("error", failed);
    document.head.append(script);
  }

  /** The slider's value beside it, with as many digits as it has steps for. */
  function showValue(slider) {
    const digits = (slider.step.split(".")[1] || "").length;
    find("output", slider.parentElement).textContent = Number(slider.value).toFixed(digits) + (slider.dataset.unit ?? "");
  }

  return { find, all, data, paint, pointed, trace, beside, showValue };
})();
