// LeNet-5's forward pass and what comes before it, in plain JavaScript: for the report page, and for node in tests.
//
// Legend: c1 s2 c3 s4 c5 f6 output, the layers in the paper's own naming (Fig. 2, p. 7); an image is 28x28 and a frame
// 32x32 numbers from 0, paper, to 255, full ink; a strip is a wider frame, 32x(32 + 4k), that the network moves over in
// 1 + k positions (Section VII).
"use strict";

const LeNet = (() => {
  const A = 1.7159, S = 2 / 3; // Eq. 6, p. 8 and Appendix A, p. 41
  const IMAGE = 28, FRAME = 32, KERNEL = 5, MAPS1 = 6, MAPS3 = 16;
  const MARGIN = 14; // columns beside the digits of a strip
  const BOX = 20; // MNIST's digits fit a box of 20x20, and their centre of mass is in the middle (p. 9-10)

  const SQUASH = {
    scaled_tanh: (a) => A * Math.tanh(S * a), // Eq. 5-6
    relu: (a) => (a > 0 ? a : 0),
  };

  /** The bytes of a base64 text. */
  function bytes(text) {
    const binary = atob(text);
    return Uint8Array.from(binary, (_, i) => binary.charCodeAt(i));
  }

  /**
   * A network ready to run from its description (live.py, `Net.for_page`): parameters by name as Float64Array, the
   * states of all layers, which each run overwrites, and which of `pairs3` are cut: a set, empty at first.
   */
  function load(about) {
    const values = new Float32Array(bytes(about.weights).buffer); // little-endian, as are all machines with a browser
    const parameters = {};
    let at = 0;
    for (const [name, size] of about.layout) {
      parameters[name] = Float64Array.from(values.subarray(at, at + size));
      at += size;
    }
    return { ...about, parameters, cut: new Set(), ...room(parameters, FRAME) };
  }

  /** Room for the states of a frame so many pixels wide, and its number of positions. */
  function room(parameters, width) {
    const positions = (width - FRAME) / 4 + 1, states = {};
    const classes = (parameters["output.centres"] || parameters["output.weight"]).length / parameters["f6.bias"].length;
    const sizes = {
      input: FRAME * width, c1: MAPS1 * 28 * (width - 4), s2: MAPS1 * 14 * (width / 2 - 2),
      c3: MAPS3 * 10 * (width / 2 - 6), s4: MAPS3 * 5 * (positions + 4),
      c5: positions * parameters["c5.bias"].length, f6: positions * parameters["f6.bias"].length,
      output: positions * classes,
    };
    for (const [name, size] of Object.entries(sizes)) states[name] = new Float64Array(size);
    return { states, width, positions, classes };
  }

  /** Weighted sums of maps (high x wide) by 5x5 kernels, one a pair [map out, map in], without the pairs that are cut. */
  function convolve(input, high, wide, pairs, kernels, bias, out, cut) {
    const rows = high - KERNEL + 1, columns = wide - KERNEL + 1, size = rows * columns;
    for (let map = 0; map < bias.length; map++) out.fill(bias[map], map * size, (map + 1) * size);
    for (let p = 0; p < pairs.length; p++) {
      if (cut?.has(p)) continue;
      const to = pairs[p][0] * size, from = pairs[p][1] * high * wide;
      for (let k = 0; k < KERNEL * KERNEL; k++) {
        const w = kernels[p * KERNEL * KERNEL + k];
        const shift = from + Math.floor(k / KERNEL) * wide + (k % KERNEL);
        for (let y = 0; y < rows; y++) {
          const row = to + y * columns, source = shift + y * wide;
          for (let x = 0; x < columns; x++) out[row + x] += w * input[source + x];
        }
      }
    }
  }

  /** 2x2 inputs (of maps high x wide) added, times a coefficient and plus a bias a map (p. 7), or the largest of them. */
  function pool(net, name, input, high, wide, out) {
    const columns = wide / 2, size = (high / 2) * columns;
    const coefficient = net.parameters[`${name}.coefficient`], bias = net.parameters[`${name}.bias`];
    const squash = SQUASH[net.activation], trainable = net.pooling === "trainable";
    for (let i = 0; i < out.length; i++) {
      const map = Math.floor(i / size), place = i % size;
      const at = map * high * wide + 2 * wide * Math.floor(place / columns) + 2 * (place % columns);
      const [a, b, c, d] = [input[at], input[at + 1], input[at + wide], input[at + wide + 1]];
      out[i] = trainable ? squash(coefficient[map] * (a + b + c + d) + bias[map]) : Math.max(a, b, c, d);
    }
  }

  /** Weighted sums of a layer in which every unit sees every input. */
  function dense(input, weights, bias, out) {
    for (let i = 0; i < out.length; i++) {
      let a = bias[i];
      for (let j = 0, w = i * input.length; j < input.length; j++, w++) a += weights[w] * input[j];
      out[i] = a;
    }
  }

  /** The part of an array that belongs to a position, of so many alike. */
  function at(array, position, positions) {
    const size = array.length / positions;
    return array.subarray(position * size, (position + 1) * size);
  }

  function squashAll(net, states) {
    const squash = SQUASH[net.activation];
    for (let i = 0; i < states.length; i++) states[i] = squash(states[i]);
  }

  /**
   * The states of every layer for a frame or a strip, those of c5, f6 and output position by position: penalties as output
   * where it is "rbf", else weighted sums.
   */
  function run(net, frame) {
    const wide = frame.length / FRAME;
    if (wide !== net.width) Object.assign(net, room(net.parameters, wide));
    const { parameters: p, states: s, positions } = net;
    const [low, high] = net.ends;
    for (let i = 0; i < s.input.length; i++) s.input[i] = low + ((high - low) * frame[i]) / 255;
    convolve(s.input, FRAME, wide, net.pairs1, p["c1.weight"], p["c1.bias"], s.c1);
    squashAll(net, s.c1);
    pool(net, "s2", s.c1, 28, wide - 4, s.s2);
    convolve(s.s2, 14, wide / 2 - 2, net.pairs3, p["c3.weight"], p["c3.bias"], s.c3, net.cut);
    squashAll(net, s.c3);
    pool(net, "s4", s.c3, 10, wide / 2 - 6, s.s4);
    const seen = new Float64Array(MAPS3 * KERNEL * KERNEL), columns = positions + KERNEL - 1;
    for (let k = 0; k < positions; k++) {
      const [c5, f6, output] = [s.c5, s.f6, s.output].map((states) => at(states, k, positions));
      for (let i = 0; i < seen.length; i++) seen[i] = s.s4[Math.floor(i / KERNEL) * columns + k + (i % KERNEL)];
      dense(seen, p["c5.weight"], p["c5.bias"], c5);
      squashAll(net, c5);
      dense(c5, p["f6.weight"], p["f6.bias"], f6);
      squashAll(net, f6);
      if (net.output !== "rbf") dense(f6, p["output.weight"], p["output.bias"], output);
      else {
        const centres = p["output.centres"];
        for (let i = 0; i < output.length; i++) {
          let penalty = 0; // Eq. 7, p. 8
          for (let j = 0; j < f6.length; j++) penalty += (f6[j] - centres[i * f6.length + j]) ** 2;
          output[i] = net.factor * penalty;
        }
      }
    }
    return s;
  }

  /**
   * What a unit of a frame's network adds up: the sum of its weighted inputs, its bias (null where nothing is added, as by
   * the largest of four), and its kernels, or its only coefficient.
   */
  function inside(net, name, map, y, x) {
    const { parameters: p, states: s } = net, weights = p[`${name}.weight`], size = KERNEL * KERNEL;
    if (name === "c1" || name === "c3") {
      const [pairs, input, wide] = name === "c1" ? [net.pairs1, s.input, FRAME] : [net.pairs3, s.s2, 14];
      let sum = 0;
      const kernels = [];
      pairs.forEach(([to, from], k) => {
        if (to !== map || (name === "c3" && net.cut.has(k))) return;
        const kernel = weights.subarray(k * size, (k + 1) * size);
        kernels.push(kernel);
        kernel.forEach((w, i) => {
          sum += w * input[from * wide * wide + (y + Math.floor(i / KERNEL)) * wide + x + (i % KERNEL)];
        });
      });
      return { sum, bias: p[`${name}.bias`][map], kernels };
    }
    if (name === "s2" || name === "s4") {
      if (net.pooling !== "trainable") return { sum: null, bias: null, kernels: [] };
      const [input, wide] = name === "s2" ? [s.c1, 28] : [s.c3, 10], at = map * wide * wide + 2 * y * wide + 2 * x;
      const coefficient = p[`${name}.coefficient`][map];
      const four = input[at] + input[at + 1] + input[at + wide] + input[at + wide + 1];
      return { sum: coefficient * four, bias: p[`${name}.bias`][map], kernels: [], coefficient };
    }
    const input = name === "c5" ? s.s4 : s.c5, unit = y * (name === "c5" ? 20 : 7) + x;
    const own = weights.subarray(unit * input.length, (unit + 1) * input.length);
    const sum = own.reduce((total, w, i) => total + w * input[i], 0);
    const kernels = name === "c5" ? Array.from({ length: MAPS3 }, (_, k) => own.subarray(k * size, (k + 1) * size)) : [own];
    return { sum, bias: p[`${name}.bias`][unit], kernels };
  }

  /**
   * What is read in a strip by the best path (Viterbi) through a character model: the penalties of all positions, whose
   * last class is the blank. model: longest, at how many neighbouring positions a character is seen at most; apart, how
   * many blanks stand between two, at least one. Returns the digits, and of each position the class of the path.
   */
  function read(net, { longest, apart }) {
    const { output } = net.states, { classes, positions } = net, blank = classes - 1;
    // nodes: after 1, 2, ... blanks, the last of them after enough; then character by character how often it was seen
    const enough = apart - 1, nodes = apart + blank * longest;
    const character = (node) => (node < apart ? blank : Math.floor((node - apart) / longest));
    let costs = new Float64Array(nodes).fill(Infinity);
    costs[enough] = 0; // a string may begin at once
    const from = [];
    for (let k = 0; k < positions; k++) {
      const next = new Float64Array(nodes).fill(Infinity), came = new Int32Array(nodes), penalty = at(output, k, positions);
      const go = (a, b) => {
        const cost = costs[a] + penalty[character(b)];
        if (cost < next[b]) [next[b], came[b]] = [cost, a];
      };
      for (let node = 0; node < nodes; node++) {
        if (costs[node] === Infinity) continue;
        go(node, node < apart ? Math.min(node + 1, enough) : 0);
        if (node === enough) for (let c = 0; c < blank; c++) go(node, apart + c * longest);
        if (node >= apart && (node - apart) % longest !== longest - 1) go(node, node + 1);
      }
      from.push(came);
      costs = next;
    }
    let node = costs.indexOf(Math.min(...costs));
    const path = [], digits = [];
    for (let k = positions - 1; k >= 0; k--) {
      path.unshift(character(node));
      if (node >= apart && (node - apart) % longest === 0) digits.unshift(character(node));
      node = from[k][node];
    }
    return { digits, path };
  }

  /** Classes, the best first: by the smallest penalty, or the largest weighted sum; of equals the lower class. */
  function ranking(net, output) {
    const sign = net.output === "rbf" ? 1 : -1;
    return Array.from(output.keys()).sort((a, b) => sign * (output[a] - output[b]) || a - b);
  }

  /** Probabilities of ten weighted sums. */
  function softmax(output) {
    const largest = Math.max(...output);
    const powers = Array.from(output, (a) => Math.exp(a - largest));
    const total = powers.reduce((sum, power) => sum + power, 0);
    return powers.map((power) => power / total);
  }

  /** A fixed number from 0 to 1 for each pixel, so that more noise keeps the pixels of less. */
  function chance(i) {
    let t = Math.imul(i + 1, 0x9e3779b1); // mulberry32, one draw a seed
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A frame or a strip with a share of its pixels inverted. */
  function noisy(pixels, share) {
    return pixels.map((value, i) => (chance(i) < share ? 255 - value : value));
  }

  /**
   * An image moved into a frame. right, down: pixels; turn: degrees, clockwise; scale: factor; all about the middle.
   * noise: the share of the frame's pixels that are inverted.
   */
  function frame(image, { right = 0, down = 0, turn = 0, scale = 1, noise = 0 } = {}) {
    const out = new Float64Array(FRAME * FRAME);
    const radians = (turn * Math.PI) / 180, cos = Math.cos(radians) / scale, sin = Math.sin(radians) / scale;
    const middle = (FRAME - 1) / 2, inside = (IMAGE - 1) / 2;
    const pixel = (x, y) => (x >= 0 && y >= 0 && x < IMAGE && y < IMAGE ? image[y * IMAGE + x] : 0);
    for (let i = 0; i < out.length; i++) {
      const dx = (i % FRAME) - middle - right, dy = Math.floor(i / FRAME) - middle - down;
      const x = cos * dx + sin * dy + inside, y = -sin * dx + cos * dy + inside;
      const x0 = Math.floor(x), y0 = Math.floor(y), u = x - x0, v = y - y0;
      const above = (1 - u) * pixel(x0, y0) + u * pixel(x0 + 1, y0);
      const below = (1 - u) * pixel(x0, y0 + 1) + u * pixel(x0 + 1, y0 + 1);
      out[i] = (1 - v) * above + v * below;
    }
    return noisy(out, noise);
  }

  /**
   * Sums over `count` equal parts of `n` numbers, each number counted `count` times in all. read: number k of line j of
   * `lines`. Returns count x lines numbers, part by part.
   */
  function areaSums(n, lines, count, read) {
    const out = new Float64Array(count * lines);
    for (let i = 0; i < count; i++) {
      for (let k = Math.floor((i * n) / count); k * count < (i + 1) * n; k++) {
        const weight = Math.min((i + 1) * n, (k + 1) * count) - Math.max(i * n, k * count);
        for (let j = 0; j < lines; j++) out[i * lines + j] += weight * read(k, j);
      }
    }
    return out;
  }

  /** The box of a drawing's ink, faint ink left out: its sides, and its values line by line. Null for an empty one. */
  function inked(ink, width, height) {
    let [left, right, top, bottom, peak] = [width, -1, height, -1, 0];
    for (let i = 0; i < ink.length; i++) peak = Math.max(peak, ink[i]);
    const faint = (value) => value === 0 || 4 * value < peak;
    for (let i = 0; i < ink.length; i++) {
      if (faint(ink[i])) continue;
      const x = i % width, y = Math.floor(i / width);
      [left, right, top, bottom] = [Math.min(left, x), Math.max(right, x), Math.min(top, y), Math.max(bottom, y)];
    }
    if (right < 0) return null;
    const value = (y, x) => {
      const found = ink[(top + y) * width + left + x];
      return faint(found) ? 0 : found;
    };
    return { wide: right - left + 1, high: bottom - top + 1, value };
  }

  /** A box of ink scaled to columns x rows by averaging areas, column by column; its darkest pixel becomes full ink. */
  function scaled({ wide, high, value }, rows, columns) {
    const bands = areaSums(high, wide, rows, value); // rows x wide
    const sums = areaSums(wide, rows, columns, (x, y) => bands[y * wide + x]); // columns x rows
    const most = sums.reduce((a, b) => Math.max(a, b));
    return sums.map((sum) => Math.floor((510 * sum + most) / (2 * most)));
  }

  /**
   * A drawing made like MNIST's images (p. 9-10): its ink scaled so that the longer side is 20 pixels, and put into 28x28
   * with its centre of mass in the middle. ink: 0 to 255, row by row. In whole numbers. Null for an empty drawing.
   */
  function fromDrawing(ink, width, height) {
    const found = inked(ink, width, height);
    if (!found) return null;
    const { wide, high } = found, longer = Math.max(wide, high);
    const [columns, rows] = [wide, high].map((n) => Math.max(1, Math.floor((2 * BOX * n + longer) / (2 * longer))));
    const box = scaled(found, rows, columns);
    let mass = 0, down = 0, across = 0;
    box.forEach((value, i) => {
      [mass, down, across] = [mass + value, down + value * (i % rows), across + value * Math.floor(i / rows)];
    });
    // where the centre of mass comes nearest to pixel 14, as in MNIST's images, but inside
    const start = (moment, n) => Math.min(Math.max(Math.floor((29 * mass - 2 * moment) / (2 * mass)), 0), IMAGE - n);
    const y0 = start(down, rows), x0 = start(across, columns);
    const image = new Uint8Array(IMAGE * IMAGE);
    box.forEach((value, i) => { image[(y0 + (i % rows)) * IMAGE + x0 + Math.floor(i / rows)] = value; });
    return image;
  }

  /** A strip of paper so wide that the network fits into it a whole number of times, with `columns` between its margins. */
  function blank(columns) {
    const whole = Math.max(FRAME, columns + 2 * MARGIN), wide = whole + ((((FRAME - whole) % 4) + 4) % 4);
    return { strip: new Uint8Array(FRAME * wide), wide };
  }

  /**
   * Images of digits side by side as a strip. gap: columns between the ink of two; where it is negative they overlap, and
   * the darker pixel is seen.
   */
  function rowOf(images, gap) {
    const boxes = images.map((image) => {
      const columns = Array.from({ length: IMAGE }, (_, x) => x).filter((x) => {
        for (let y = 0; y < IMAGE; y++) if (image[y * IMAGE + x]) return true;
        return false;
      });
      return { image, left: columns[0], wide: columns.length ? columns.at(-1) - columns[0] + 1 : 0 };
    });
    const columns = boxes.reduce((sum, box) => sum + box.wide + gap, -gap);
    const { strip, wide } = blank(columns), top = (FRAME - IMAGE) / 2;
    let at = MARGIN;
    for (const box of boxes) {
      for (let y = 0; y < IMAGE; y++) {
        for (let x = 0; x < box.wide; x++) {
          const to = (top + y) * wide + at + x;
          strip[to] = Math.max(strip[to], box.image[y * IMAGE + box.left + x]);
        }
      }
      at += box.wide + gap;
    }
    return strip;
  }

  /**
   * A drawing of digits in a row as a strip: its ink scaled to a height of 20 pixels, with paper around it so that the
   * network may begin and end beside it. ink: as in `fromDrawing`. Null for an empty drawing.
   */
  function stripOf(ink, width, height) {
    const found = inked(ink, width, height);
    if (!found) return null;
    const columns = Math.max(1, Math.floor((2 * BOX * found.wide + found.high) / (2 * found.high)));
    const { strip, wide } = blank(columns), top = (FRAME - BOX) / 2;
    scaled(found, BOX, columns).forEach((value, i) => {
      strip[(top + (i % BOX)) * wide + MARGIN + Math.floor(i / BOX)] = value;
    });
    return strip;
  }

  return { IMAGE, FRAME, A, bytes, load, run, inside, read, at, ranking, softmax, frame, noisy, fromDrawing, rowOf, stripOf };
})();

if (typeof module !== "undefined") module.exports = LeNet;
