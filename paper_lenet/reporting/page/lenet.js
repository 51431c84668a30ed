// LeNet-5's forward pass and what comes before it, in plain JavaScript: for the report page, and for node in tests.
//
// Legend: c1 s2 c3 s4 c5 f6 output, the layers in the paper's own naming (Fig. 2, p. 7); an image is 28x28 and a frame
// 32x32 numbers from 0, paper, to 255, full ink.
"use strict";

const LeNet = (() => {
  const A = 1.7159, S = 2 / 3; // Eq. 6, p. 8 and Appendix A, p. 41
  const IMAGE = 28, FRAME = 32, KERNEL = 5, MAPS1 = 6, MAPS3 = 16;
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
   * A network ready to run from its description (live.py, `Net.for_page`): parameters by name as Float64Array, and the
   * states of all layers, which each run overwrites.
   */
  function load(about) {
    const raw = bytes(about.weights);
    const view = new DataView(raw.buffer);
    const parameters = {};
    let at = 0;
    for (const [name, size] of about.layout) {
      // little-endian float32, wherever this runs
      parameters[name] = Float64Array.from({ length: size }, (_, i) => view.getFloat32(4 * (at + i), true));
      at += size;
    }
    const states = {};
    const sizes = {
      input: FRAME * FRAME, c1: MAPS1 * 784, s2: MAPS1 * 196, c3: MAPS3 * 100, s4: MAPS3 * 25,
      c5: parameters["c5.bias"].length, f6: parameters["f6.bias"].length, output: 10,
    };
    for (const [name, size] of Object.entries(sizes)) states[name] = new Float64Array(size);
    return { ...about, parameters, states };
  }

  /** Weighted sums of maps (side x side) by 5x5 kernels, one a pair [map out, map in]. */
  function convolve(input, side, pairs, kernels, bias, out) {
    const small = side - KERNEL + 1;
    for (let map = 0; map < bias.length; map++) out.fill(bias[map], map * small * small, (map + 1) * small * small);
    for (let p = 0; p < pairs.length; p++) {
      const to = pairs[p][0] * small * small, from = pairs[p][1] * side * side;
      for (let k = 0; k < KERNEL * KERNEL; k++) {
        const w = kernels[p * KERNEL * KERNEL + k];
        const shift = from + Math.floor(k / KERNEL) * side + (k % KERNEL);
        for (let y = 0; y < small; y++) {
          const row = to + y * small, source = shift + y * side;
          for (let x = 0; x < small; x++) out[row + x] += w * input[source + x];
        }
      }
    }
  }

  /** 2x2 inputs added, times a coefficient and plus a bias a map (p. 7), or the largest of them. */
  function pool(net, name, input, side, out) {
    const half = side / 2, coefficient = net.parameters[`${name}.coefficient`], bias = net.parameters[`${name}.bias`];
    const squash = SQUASH[net.activation], trainable = net.pooling === "trainable";
    for (let i = 0; i < out.length; i++) {
      const map = Math.floor(i / (half * half)), place = i % (half * half);
      const at = map * side * side + 2 * side * Math.floor(place / half) + 2 * (place % half);
      const [a, b, c, d] = [input[at], input[at + 1], input[at + side], input[at + side + 1]];
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

  function squashAll(net, states) {
    const squash = SQUASH[net.activation];
    for (let i = 0; i < states.length; i++) states[i] = squash(states[i]);
  }

  /** The states of every layer for a frame: penalties as output where it is "rbf", else ten weighted sums. */
  function run(net, frame) {
    const { parameters: p, states: s } = net;
    const [low, high] = net.ends;
    for (let i = 0; i < s.input.length; i++) s.input[i] = low + ((high - low) * frame[i]) / 255;
    convolve(s.input, FRAME, net.pairs1, p["c1.weight"], p["c1.bias"], s.c1);
    squashAll(net, s.c1);
    pool(net, "s2", s.c1, 28, s.s2);
    convolve(s.s2, 14, net.pairs3, p["c3.weight"], p["c3.bias"], s.c3);
    squashAll(net, s.c3);
    pool(net, "s4", s.c3, 10, s.s4);
    dense(s.s4, p["c5.weight"], p["c5.bias"], s.c5);
    squashAll(net, s.c5);
    dense(s.c5, p["f6.weight"], p["f6.bias"], s.f6);
    squashAll(net, s.f6);
    if (net.output === "rbf") {
      const centres = p["output.centres"];
      for (let i = 0; i < s.output.length; i++) {
        let penalty = 0; // Eq. 7, p. 8
        for (let j = 0; j < s.f6.length; j++) penalty += (s.f6[j] - centres[i * s.f6.length + j]) ** 2;
        s.output[i] = net.factor * penalty;
      }
    } else {
      dense(s.f6, p["output.weight"], p["output.bias"], s.output);
    }
    return s;
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

  /** A fixed number from 0 to 1 for each pixel of a frame, so that more noise keeps the pixels of less. */
  const CHANCE = Float64Array.from({ length: FRAME * FRAME }, (_, i) => {
    let t = Math.imul(i + 1, 0x9e3779b1); // mulberry32, one draw a seed
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  });

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
      const value = (1 - v) * above + v * below;
      out[i] = CHANCE[i] < noise ? 255 - value : value;
    }
    return out;
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

  /**
   * A drawing made like MNIST's images (p. 9-10): its ink scaled so that the longer side is 20 pixels, by averaging areas,
   * and put into 28x28 with its centre of mass in the middle; the darkest pixel becomes full ink. ink: 0 to 255, row by
   * row. In whole numbers. Returns null for an empty drawing.
   */
  function fromDrawing(ink, width, height) {
    let [left, right, top, bottom, peak] = [width, -1, height, -1, 0];
    for (let i = 0; i < ink.length; i++) peak = Math.max(peak, ink[i]);
    const faint = (value) => value === 0 || 4 * value < peak;
    for (let i = 0; i < ink.length; i++) {
      if (faint(ink[i])) continue;
      const x = i % width, y = Math.floor(i / width);
      [left, right, top, bottom] = [Math.min(left, x), Math.max(right, x), Math.min(top, y), Math.max(bottom, y)];
    }
    if (right < 0) return null;
    const wide = right - left + 1, high = bottom - top + 1, longer = Math.max(wide, high);
    const [columns, rows] = [wide, high].map((n) => Math.max(1, Math.floor((2 * BOX * n + longer) / (2 * longer))));
    const inked = (y, x) => {
      const value = ink[(top + y) * width + left + x];
      return faint(value) ? 0 : value;
    };
    const bands = areaSums(high, wide, rows, inked); // rows x wide
    const sums = areaSums(wide, rows, columns, (x, y) => bands[y * wide + x]); // columns x rows
    const most = sums.reduce((a, b) => Math.max(a, b));
    const box = sums.map((sum) => Math.floor((510 * sum + most) / (2 * most)));
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

  return { IMAGE, FRAME, A, bytes, load, run, ranking, softmax, frame, fromDrawing };
})();

if (typeof module !== "undefined") module.exports = LeNet;
