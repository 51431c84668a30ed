// Charts that can be asked: errors against what is done to the images, against cost, and against the learning rate; and
// one training, pass by pass.
"use strict";

(() => {
  const { find, all, data, paint } = Page;
  const percent = (value) => `${value.toFixed(2).replace(/(\.\d)0$/, "$1")} %`;

  /** A new part of an SVG, with its attributes and text. */
  function add(svg, name, attributes = {}, text = "") {
    const part = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) part.setAttribute(key, value);
    part.textContent = text;
    svg.append(part);
    return part;
  }

  /**
   * Axes on an empty SVG. x, y: {low, high, log, ticks, label}. Returns where a value stands, x(value) and y(value), and a
   * line's points; what lies outside stands at the edge.
   */
  function axes(svg, x, y) {
    const { width, height } = svg.viewBox.baseVal, [left, right, top, bottom] = [40, width - 22, 8, height - 34];
    const place = ({ low, high, log }, from, to) => {
      const scale = log ? Math.log : (value) => value;
      return (value) => from + ((to - from) * (scale(Math.min(high, Math.max(low, value))) - scale(low))) / (scale(high) - scale(low));
    };
    const [across, up] = [place(x, left, right), place(y, bottom, top)];
    svg.replaceChildren();
    for (const tick of x.ticks) {
      add(svg, "line", { class: "grid", x1: across(tick), x2: across(tick), y1: top, y2: bottom });
      add(svg, "text", { x: across(tick), y: bottom + 13, "text-anchor": "middle" }, tick.toLocaleString("en"));
    }
    for (const tick of y.ticks) {
      add(svg, "line", { class: "grid", x1: left, x2: right, y1: up(tick), y2: up(tick) });
      add(svg, "text", { x: left - 5, y: up(tick) + 4, "text-anchor": "end" }, tick.toLocaleString("en"));
    }
    add(svg, "text", { x: (left + right) / 2, y: height - 5, "text-anchor": "middle" }, x.label);
    add(svg, "text", { x: 10, y: (top + bottom) / 2, "text-anchor": "middle", transform: `rotate(-90 10 ${(top + bottom) / 2})` }, y.label);
    return { x: across, y: up, line: (points) => points.map(([a, b]) => `${across(a).toFixed(1)},${up(b).toFixed(1)}`).join(" ") };
  }

  const ERRORS = { log: true, label: "test error, %" };

  // ---- Section III-E: what moving, turning and noise do to all test images

  // The slider of each kind of change, and the slider's value for a measured amount.
  const KINDS = {
    shift: ["down", (amount) => amount], rotation: ["turn", (amount) => -amount], // measured counter-clockwise
    scale: ["scale", (amount) => amount], noise: ["noise", (amount) => 100 * amount],
  };
  const TICKS = { shift: [-10, -5, 0, 5, 10], rotation: [-60, -30, 0, 30, 60], scale: [0.5, 1, 1.5, 2], noise: [0, 10, 20, 30] };
  const moved = find("#moved");
  if (moved && data.nets.length) {
    const slider = (kind) => find(`#move-${KINDS[kind][0]}`);
    const charts = all("svg", moved).map((svg) => {
      const { kind } = svg.dataset, { measured, estimate } = data.moved[kind], [, toSlider] = KINDS[kind];
      const curves = measured.map(([name, points]) => [name, points.map(([amount, error]) => [toSlider(amount), error])]);
      const values = curves.flatMap(([, points]) => points.map(([amount]) => amount));
      const x = { low: Math.min(...values), high: Math.max(...values), ticks: TICKS[kind], label: svg.dataset.label };
      const at = axes(svg, x, { ...ERRORS, low: 0.7, high: 100, ticks: [1, 3, 10, 30, 100] });
      const [one, other] = estimate.map(toSlider).map(at.x);
      svg.prepend(add(svg, "rect", { class: "estimate", x: Math.min(one, other), width: Math.abs(other - one), y: 8, height: at.y(0.7) - 8 }));
      for (const [name, points] of curves) {
        add(svg, "polyline", { class: `of of-${data.moved.classifiers.indexOf(name)}`, points: at.line(points.sort(([a], [b]) => a - b)) });
      }
      const here = add(svg, "line", { class: "here", y1: 8, y2: at.y(0.7) });
      return { kind, here, at };
    });
    const show = () => {
      for (const { kind, here, at } of charts) {
        const place = at.x(Number(slider(kind).value));
        here.setAttribute("x1", place);
        here.setAttribute("x2", place);
      }
      const seen = find("#layer-input canvas"), copy = find("#moved-image");
      Object.assign(copy, { width: seen.width, height: seen.height });
      copy.getContext("2d").drawImage(seen, 0, 0);
      find("#moved-answer").textContent = find("#answer").textContent;
    };
    document.addEventListener("answered", () => { if (moved.open) show(); });
    moved.addEventListener("toggle", show);

    let playing = null; // what moves by itself, and since when
    const step = (now) => {
      if (!playing) return;
      const { kind, began } = playing, input = slider(kind), from = Number(input.defaultValue);
      const phase = ((now - began) / 8000) % 1, [low, high] = [Number(input.min), Number(input.max)];
      const wave = Math.sin(2 * Math.PI * phase); // from where nothing is done to one end, back, and to the other
      input.value = from + (wave > 0 ? wave * (high - from) : wave * (from - low));
      input.dispatchEvent(new Event("input", { bubbles: true }));
      requestAnimationFrame(step);
    };
    for (const button of all("button[data-kind]", moved)) {
      button.addEventListener("click", () => {
        const { kind } = button.dataset, stops = playing?.kind === kind;
        if (playing) find("#reset").click();
        playing = stops ? null : { kind, began: performance.now() };
        all("button[data-kind]", moved).forEach((other) => other.setAttribute("aria-pressed", String(playing?.kind === other.dataset.kind)));
        if (playing) requestAnimationFrame(step);
      });
    }
  }

  // ---- error against cost (Fig. 9 against Figs. 10 to 12)

  const costs = find("#costs");
  if (costs) {
    const COSTS = {
      adds: { label: "multiply-adds a recognition, thousands", low: 3, high: 1e5, ticks: [10, 100, 1000, 10000, 100000] },
      variables: { label: "variables stored, thousands", low: 3, high: 2e5, ticks: [10, 100, 1000, 10000, 100000] },
      rejects: { label: "rejected for 0.5 % error, %", low: 0.3, high: 60, ticks: [0.5, 1, 2, 5, 10, 20, 50] },
    };
    const svg = find("svg", costs), chosen = find("select", costs);
    const show = () => {
      const by = find("input:checked", costs).value, about = COSTS[by];
      const at = axes(svg, { ...about, log: true }, { ...ERRORS, low: 0.6, high: 14, ticks: [0.7, 1, 2, 5, 10] });
      const place = ({ error, [by]: cost }) => (error && cost ? [at.x(cost), at.y(error)] : null);
      const marked = Number(chosen.value);
      data.costs.forEach((each, k) => {
        const [paper, ours] = [each.paper, each.ours].map(place), group = add(svg, "g", { class: k === marked ? "pair marked" : "pair" });
        if (paper && ours) add(group, "line", { x1: paper[0], y1: paper[1], x2: ours[0], y2: ours[1] });
        if (paper) add(group, "circle", { class: "paper-dot", cx: paper[0], cy: paper[1], r: 4 });
        if (ours) add(group, "circle", { class: "our-dot", cx: ours[0], cy: ours[1], r: 4 });
        if (k === marked && (ours ?? paper)) {
          const [x, y] = ours ?? paper, end = x > svg.viewBox.baseVal.width / 2;
          add(group, "text", { x: x + (end ? -8 : 8), y: y - 7, "text-anchor": end ? "end" : "start" }, each.name);
        }
        group.addEventListener("pointerenter", () => { chosen.value = k; show(); });
      });
      svg.append(find(".marked", svg)); // over the others
      const { name, paper, ours, verdict } = data.costs[marked], number = (value) => Number(value.toPrecision(3)).toLocaleString("en");
      const told = [
        ["test error", (each) => each.error, percent], ["rejected for 0.5 % error", (each) => each.rejects, percent],
        ["thousand multiply-adds", (each) => each.adds, number], ["thousand variables", (each) => each.variables, number],
      ].filter(([, of]) => of(ours)).map(([what, of, say]) => `${what} ${of(paper) ? say(of(paper)) : "not printed"}, ours ${say(of(ours))}`);
      find("p", costs).textContent = `${name}: ${told.join("; ")}. Error: ${verdict}.`;
    };
    costs.addEventListener("change", show);
    show();
  }

  // ---- the learning rate: why the recipe as printed does not train

  const rates = find("#rates");
  if (rates) {
    const svg = find("svg", rates), factor = find("input[type=range]", rates), passes = data.rates.paper.length;
    const reading = () => data.rates.readings[Number(find("input[type=radio]:checked", rates).value)];
    const show = () => {
      const { factors } = reading();
      factor.max = factors.length - 1;
      const shown = factors[Number(factor.value)], curve = (errors) => errors.map((error, k) => [k + 1, error]);
      const at = axes(svg, { low: 0.5, high: passes + 0.5, ticks: [1, 5, 10, 15, 20], label: "pass" },
        { log: true, low: 0.25, high: 100, ticks: [0.3, 1, 3, 10, 30, 100], label: "training error, %" });
      for (const other of factors) if (other !== shown) add(svg, "polyline", { class: "of faint", points: at.line(curve(other.errors)) });
      for (const [pass, error] of curve(data.rates.paper)) add(svg, "circle", { class: "paper-dot", cx: at.x(pass), cy: at.y(error), r: 3.5 });
      add(svg, "polyline", { class: "of of-0", points: at.line(curve(shown.errors)) });
      for (const [pass, error] of curve(shown.errors)) add(svg, "circle", { class: "our-dot", cx: at.x(pass), cy: at.y(error), r: 2.5 });
      find("output", rates).textContent = `${shown.factor} ×`;
      const { errors, seeds, diverged } = shown;
      const ended = diverged ? `${diverged} of ${seeds} trainings diverge`
        : `${percent(errors.at(-1))} after the last (the paper's ${percent(data.rates.paper[errors.length - 1])})`;
      find("p", rates).textContent = errors.length
        ? `Training error ${percent(errors[0])} after the first pass, ${percent(errors[1] ?? errors[0])} after the second, ${ended}.`
        : `${ended} before the first pass is over.`;
    };
    rates.addEventListener("input", (event) => {
      if (event.target.type === "radio") factor.value = reading().factors.length - 1;
      show();
    });
    show();
  }

  // ---- one training, pass by pass

  find("#replay")?.addEventListener("toggle", () => Page.beside("replay.js", () => {
    const floats = (name) => new Float32Array(LeNet.bytes(LeNet.replay[name].values).buffer);
    const [kernels, f6, output, train, test] = ["c1.weight", "f6", "output", "train_error", "test_error"].map(floats);
    const passes = test.length, of = (array, pass) => LeNet.at(array, pass, passes + 1);
    const svg = find("#errors-by-pass"), errors = Array.from(test, (share, k) => [k + 1, 100 * share]);
    const at = axes(svg, { low: 0, high: passes, ticks: [0, 5, 10, 15, 20].filter((tick) => tick <= passes), label: "pass" },
      { ...ERRORS, low: 0.8, high: 5, ticks: [1, 2, 5] });
    add(svg, "polyline", { class: "of of-0", points: at.line(errors) });
    const dot = add(svg, "circle", { class: "our-dot", r: 4 });
    find("#pass").max = passes;
    const go = () => {
      const pass = Number(find("#pass").value);
      Page.showValue(find("#pass"));
      const right = Array.from({ length: 10 }, (_, k) => {
        const penalties = LeNet.at(of(output, pass), k, 10);
        return penalties.indexOf(Math.min(...penalties)) === k;
      }).filter(Boolean).length;
      find("#passed").textContent = pass
        ? `Test error ${percent(100 * test[pass - 1])}, training error on the fly ${percent(100 * train[pass - 1])}; ${right} of the ten images are right.`
        : `Before the first pass: ${right} of the ten images are right.`;
      const most = Math.max(...kernels.map(Math.abs));
      paint(find("#kernels"), [6, 6, 5, 5, 4], of(kernels, pass), -most, most);
      paint(find("#codes"), [10, 10, 7, 12, 2], of(f6, pass), -1, 1);
      dot.toggleAttribute("hidden", !pass);
      if (pass) {
        dot.setAttribute("cx", at.x(pass));
        dot.setAttribute("cy", at.y(errors[pass - 1][1]));
      }
    };
    find("#pass").addEventListener("input", go);
    go();
  }, () => { find("#passed").textContent = "replay.js is not beside this page."; }), { once: true });
})();
