// Strings of digits: drawn, typed or out of the paper, read by the network at each of its positions.
"use strict";

(() => {
  const { find, all, data, paint, pointed, trace } = Page;
  const row = find("#row");
  if (!row) return;

  const PEN = 12, BITMAPS = [1, 1, 7, 12, 0];
  const line = row.getContext("2d", { willReadFrequently: true });
  const gap = find("#row-gap"), noise = find("#row-noise"), typed = find("#typed");
  let strip = null; // what is read, before any noise
  let points = []; // strokes of a drawing, each a list of points
  let readers = [], reader = null, coming = false, due = false;

  /** The readers come when the part is near, in a file beside the page. */
  function load(then) {
    if (readers.length) then();
    else if (!coming) {
      coming = true;
      Page.beside("strings.js", () => {
        readers = LeNet.strings.nets.map((about) => ({ ...about, net: LeNet.load(about.net) }));
        reader = readers[Number(find("#readers input:checked").value)];
        then();
      }, () => { find("#row-answer").textContent = "strings.js is not beside this page."; });
    }
  }

  function wipe() {
    line.clearRect(0, 0, row.width, row.height);
    [strip, points] = [null, []];
    typed.value = "";
    gap.disabled = true;
  }

  /** A strip of pixels on the canvas. */
  function redraw(pixels) {
    const width = pixels.length / LeNet.FRAME, cell = Math.min(row.width / width, row.height / LeNet.FRAME);
    line.clearRect(0, 0, row.width, row.height);
    pixels.forEach((value, i) => {
      line.fillStyle = `rgb(0 0 0 / ${value / 255})`;
      line.fillRect((i % width) * cell, Math.floor(i / width) * cell, cell, cell);
    });
  }

  function shown() {
    for (const slider of [gap, noise]) Page.showValue(slider);
    const film = find("#film"), said = find("#row-answer");
    film.replaceChildren();
    if (!strip || !reader) {
      said.textContent = "Nothing drawn yet.";
      return;
    }
    const share = Number(noise.value) / 100, seen = LeNet.noisy(strip, share);
    if (share || !points.length) redraw(seen);
    else {
      line.clearRect(0, 0, row.width, row.height);
      points.forEach((stroke) => trace(line, stroke, PEN));
    }
    const { net, model } = reader;
    const states = LeNet.run(net, seen), { positions } = net, { digits, path } = LeNet.read(net, model);
    const names = [..."0123456789", "·"];
    for (let k = 0; k < positions; k++) {
      const item = document.createElement("li"), code = document.createElement("canvas");
      paint(code, BITMAPS, LeNet.at(states.f6, k, positions), -1, 1);
      code.removeAttribute("style");
      const nearest = LeNet.ranking(net, LeNet.at(states.output, k, positions))[0];
      item.append(code, names[nearest]);
      item.classList.toggle("taken", path[k] !== names.length - 1);
      film.append(item);
    }
    said.textContent = digits.length ? `It reads ${digits.join("")}.` : "It sees no digit.";
  }

  // ---- drawn

  function drew() {
    due = false;
    // what the canvas shows may be moved or noisy: the ink alone, anew
    const sheet = Object.assign(document.createElement("canvas"), { width: row.width, height: row.height });
    const ink = sheet.getContext("2d", { willReadFrequently: true });
    points.forEach((stroke) => trace(ink, stroke, PEN));
    const colours = ink.getImageData(0, 0, row.width, row.height).data;
    const inked = Uint8Array.from({ length: row.width * row.height }, (_, i) => colours[4 * i + 3]);
    strip = LeNet.stripOf(inked, row.width, row.height);
    load(shown);
  }

  function placed(event) {
    const box = row.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * row.width, ((event.clientY - box.top) / box.height) * row.height];
  }

  pointed(row, () => {
    if (!points.length) wipe();
    points.push([]);
  }, (events) => {
    points.at(-1).push(...events.map(placed));
    trace(line, points.at(-1), PEN);
    if (!due) requestAnimationFrame(drew);
    due = true;
  });

  // ---- typed: MNIST's images of these digits, one after another

  const pixels = LeNet.bytes(data.images), SIZE = LeNet.IMAGE ** 2;

  function write() {
    const used = Array(10).fill(0);
    const images = Array.from(typed.value.replace(/\D/g, ""), (digit) => {
      const places = data.labels.flatMap((label, k) => (label === Number(digit) ? [k] : []));
      const k = places[used[digit]++ % places.length]; // another image where a digit comes again
      return pixels.subarray(k * SIZE, (k + 1) * SIZE);
    });
    points = [];
    gap.disabled = !images.length;
    strip = images.length ? LeNet.rowOf(images, Number(gap.value)) : null;
    if (!strip) line.clearRect(0, 0, row.width, row.height);
    load(shown);
  }
  typed.addEventListener("input", write);
  gap.addEventListener("input", write);
  noise.addEventListener("input", () => load(shown));

  // ---- out of the paper

  function example(k) {
    wipe();
    strip = LeNet.bytes(LeNet.strings.examples[k].pixels);
    shown();
  }

  find("#row-clear").addEventListener("click", () => { wipe(); shown(); });
  all("#examples button").forEach((button, k) => button.addEventListener("click", () => load(() => example(k))));
  find("#readers").addEventListener("change", (event) => load(() => { reader = readers[event.target.value]; shown(); }));
  new IntersectionObserver((entries, watch) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    watch.disconnect();
    if (strip) return;
    typed.value = "1998";
    write();
  }, { rootMargin: "400px" }).observe(row);
})();
