"""The report page in a browser without a window: what its networks compute, and that it works at two widths."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pictures.draw import DIGITS, parse_path
from PIL import Image
from synthetic_report import images, networks, outputs, tables, write_results
from synthetic_runs import ROOT

from paper_lenet.data import mnist_at_hand
from paper_lenet.reporting.page.build import page
from paper_lenet.reporting.page.live import STRINGS, Net, nets, strings
from paper_lenet.reporting.tables.build import available, made

pytestmark = pytest.mark.slow

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
NETS = ("1998", "modern")
LISTEN = "addEventListener('message', (event) => { document.querySelector('pre').textContent = event.data; });"
TELL = "addEventListener('load', () => parent.postMessage(document.querySelector('#selftest').textContent, '*'));"
# Draws, sorts, walks along the wall and changes the theme; then says what has come of it.
USE = """
  const $ = (selector) => document.querySelector(selector);
  const faults = [];
  addEventListener("error", (event) => faults.push(event.message));
  addEventListener("load", () => {
    const told = [], box = $("#draw").getBoundingClientRect();
    const point = (kind, y) => $("#draw").dispatchEvent(new PointerEvent(kind, {
      bubbles: true, button: 0, clientX: box.left + box.width / 2, clientY: box.top + y * box.height }));
    const answers = () => Array.from(document.querySelectorAll("#outputs .value"), (value) => value.textContent);
    const first = answers();
    $("#clear").click();
    told.push($("#answer").textContent);
    point("pointerdown", 0.2);
    point("pointermove", 0.8);
    point("pointerup", 0.8);
    const sorted = Array.from({ length: 3 }, () => {
      $("#table-other th button").click();
      const cells = Array.from(document.querySelectorAll("#table-other tbody th"), (cell) => cell.textContent);
      return [$("#table-other thead th").getAttribute("aria-sort"), ...cells];
    });
    $("#wall .tile").focus();
    document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
    told.push($("#told").textContent);
    $("#guess").click();
    $("#wall .tile").focus();
    told.push($("#told").textContent);
    $("#wall .tile").click();
    told.push($("#told").textContent);
    $("#layer-c3 canvas").focus();
    document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
    told.push($("#unit").textContent);
    const themes = [0, 1].map(() => { $("#theme").click(); return document.documentElement.dataset.theme; });
    requestAnimationFrame(() => requestAnimationFrame(() => {
      told.push($("#answer").textContent);
      const changed = answers().some((value, k) => value !== first[k]);
      const result = document.createElement("pre");
      result.id = "used";
      result.textContent = JSON.stringify({ told, sorted, themes, changed, faults });
      document.body.append(result);
    }));
  });
"""


def shown_networks() -> list[Net]:
    """The released ones, and untrained ones, whose states differ more from each other."""
    return [*nets(), *networks(*NETS)]


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """The page, in a copy with scripts that only this test needs as well."""
    results = tmp_path / "results"
    write_results(results)
    path = results / "report" / "index.html"
    path.parent.mkdir()
    text = page(tables(), results, None, shown_networks())
    path.write_text(text, encoding="utf-8")
    for name, script in (("use", USE), ("tell", TELL)):
        path.with_name(f"{name}.html").write_text(
            text.replace("<header>", f"<script>{script}</script><header>"), encoding="utf-8"
        )
    return path


@pytest.fixture(scope="module")
def committed() -> str:
    """The page of the committed results."""
    results = ROOT / "results"
    return page(made(results, available(results)), results, mnist_at_hand(), nets(), strings(), True)


def test_the_committed_results(committed: str, tmp_path: Path) -> None:
    """Nothing of the real page fails, or sticks out."""
    path = tmp_path / "results" / "report" / "index.html"
    path.parent.mkdir(parents=True)
    faults = """
      const faults = [];
      addEventListener("error", (event) => faults.push(event.message));
      addEventListener("load", () => {
        const result = document.createElement("pre");
        result.id = "faults";
        result.textContent = JSON.stringify(faults);
        document.body.append(result);
      });
    """
    path.write_text(committed.replace("<header>", f"<script>{faults}</script><header>"), encoding="utf-8")
    dom = browse(tmp_path, "--window-size=1280,900", "--dump-dom", f"{path.as_uri()}#selftest")
    found = read(dom, "selftest")
    assert read(dom, "faults") == []
    assert found["width"] == [1280, 1280]
    data = mnist_at_hand()
    shown = images() if data is None else data.test_images[:20]
    for net, given in zip(nets(), found["outputs"], strict=True):
        np.testing.assert_allclose(given, outputs(net, shown), rtol=0, atol=1e-4)


# How many screens of these sizes the page is long at most.
SCREENS = {(1280, 800): 12, (390, 844): 20}


@pytest.mark.parametrize(("width", "height"), SCREENS)
def test_is_read_to_the_end(width: int, height: int, committed: str, tmp_path: Path) -> None:
    """The real page, in a frame: how long it is, and that nothing sticks out."""
    results = tmp_path / "results"
    shutil.copytree(ROOT / "results" / "figures", results / "figures")
    (results / "report").mkdir()
    measure = """
      addEventListener("load", () => parent.postMessage(JSON.stringify(
        [document.documentElement.scrollHeight, document.documentElement.scrollWidth, innerWidth]), "*"));
    """
    (results / "report" / "page.html").write_text(
        committed.replace("<header>", f"<script>{measure}</script><header>"), encoding="utf-8"
    )
    frame = results / "report" / "frame.html"
    frame.write_text(
        f'<!doctype html><body><pre id="told"></pre><script>{LISTEN}</script>'
        f'<iframe src="page.html" width="{width}" height="{height}" style="border: 0"></iframe>',
        encoding="utf-8",
    )
    long, wide, shown = read(browse(tmp_path, "--dump-dom", frame.as_uri()), "told")
    assert wide <= shown == width
    assert long / height <= SCREENS[width, height]


DRAW_ROWS = """
  requestAnimationFrame = queueMicrotask;
  addEventListener("load", async () => {
    const row = document.querySelector("#row"), box = row.getBoundingClientRect(), answers = [];
    const point = (kind, [x, y]) => row.dispatchEvent(new PointerEvent(kind, {
      bubbles: true, button: 0, pointerId: 7, clientX: box.left + x * box.height, clientY: box.top + y * box.height }));
    const until = async (done) => { while (!done()) await new Promise((go) => setTimeout(go, 20)); };
    const said = () => document.querySelector("#row-answer").textContent;
    document.querySelector("#examples button").click();
    await until(() => said().startsWith("It reads"));
    document.querySelectorAll("#readers input")[1].click();
    for (const strokes of DRAWN) {
      document.querySelector("#row-clear").click();
      for (const [first, ...rest] of strokes) {
        point("pointerdown", first);
        rest.forEach((next) => point("pointermove", next));
        point("pointerup", rest.at(-1) ?? first);
      }
      await null;
      answers.push(said());
    }
    const result = document.createElement("pre");
    result.id = "read";
    result.textContent = JSON.stringify([answers, document.querySelectorAll("#film li").length]);
    document.body.append(result);
  });
"""
ROWS = ("305", "472", "916")


def test_three_drawn_strings_are_read(written: Path, tmp_path: Path) -> None:
    digits = dict(zip(DIGITS, drawn_digits(), strict=True))
    rows = [
        [[[x + 0.2 + 0.75 * k, y] for x, y in stroke] for k, digit in enumerate(row) for stroke in digits[digit]]
        for row in ROWS
    ]
    results = written.parent.parent
    text = page(tables(), results, None, shown_networks(), strings())
    script = DRAW_ROWS.replace("DRAWN", json.dumps(rows))
    path = written.with_name("rows.html")
    path.write_text(text.replace("<header>", f"<script>{script}</script><header>"), encoding="utf-8")
    path.with_name(STRINGS).write_text(strings().script(), encoding="utf-8")
    answers, positions = read(browse(tmp_path, "--dump-dom", path.as_uri()), "read")
    assert answers == [f"It reads {row}." for row in ROWS] and positions > 10


DRAW = """
  requestAnimationFrame = queueMicrotask; // a browser without a window shows frames when it likes
  addEventListener("load", async () => {
    const box = document.querySelector("#draw").getBoundingClientRect(), answers = [];
    const point = (kind, [x, y]) => document.querySelector("#draw").dispatchEvent(new PointerEvent(kind, {
      bubbles: true, button: 0, pointerId: 7, clientX: box.left + x * box.width, clientY: box.top + y * box.height }));
    for (const strokes of DRAWN) {
      document.querySelector("#clear").click();
      for (const [first, ...rest] of strokes) {
        point("pointerdown", first);
        rest.forEach((next) => point("pointermove", next));
        point("pointerup", rest.at(-1) ?? first);
      }
      await null;
      answers.push(document.querySelector("#answer strong").textContent);
    }
    document.querySelector("#share").click();
    answers.push(location.hash);
    const result = document.createElement("pre");
    result.id = "read";
    result.textContent = JSON.stringify(answers);
    document.body.append(result);
  });
"""


def drawn_digits() -> list[list[list[list[float]]]]:
    """The ten digits as strokes of points, from 0 to 1 over the canvas; the first shape of each."""
    found = []
    for shapes in DIGITS.values():
        strokes = [np.array([point[:2] for point in stroke]) for stroke in parse_path(shapes[0][1])]
        every = np.concatenate(strokes)
        low, span = every.min(0), np.ptp(every, axis=0)
        found.append([((stroke - low - span / 2) * 0.7 / span.max() + 0.5).tolist() for stroke in strokes])
    return found


def test_ten_drawn_digits_are_read(written: Path, tmp_path: Path) -> None:
    script = DRAW.replace("DRAWN", json.dumps(drawn_digits()))
    path = written.with_name("draw.html")
    path.write_text(
        written.read_text(encoding="utf-8").replace("<header>", f"<script>{script}</script><header>"), encoding="utf-8"
    )
    *answers, link = read(browse(tmp_path, "--dump-dom", path.as_uri()), "read")
    assert answers == list(DIGITS)
    # a link that carries the last drawing
    again = "requestAnimationFrame = queueMicrotask;"
    written.write_text(
        written.read_text(encoding="utf-8").replace("<header>", f"<script>{again}</script><header>"), encoding="utf-8"
    )
    dom = browse(tmp_path, "--dump-dom", written.as_uri() + link)
    assert re.findall(r'<p id="answer".*?<strong>(.)</strong>', dom) == ["9"]


def browse(folder: Path, *arguments: str) -> str:
    if CHROMIUM is None:
        pytest.skip("needs Chromium")
    command = [CHROMIUM, *OPTIONS, f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=10000", *arguments]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=120).stdout


def read(dom: str, name: str) -> Any:
    """The JSON that a page wrote into its element of that name."""
    (text,) = re.findall(rf'<pre id="{name}">(.*?)</pre>', dom, re.DOTALL)
    return json.loads(html.unescape(text))


def test_golden_outputs(written: Path, tmp_path: Path) -> None:
    found = read(browse(tmp_path, "--window-size=1280,900", "--dump-dom", f"{written.as_uri()}#selftest"), "selftest")
    shown = images()
    tried = shown_networks()
    assert {"lenet5-1998", "lenet5-modern"} <= {net.name for net in tried}
    for net, given in zip(tried, found["outputs"], strict=True):
        np.testing.assert_allclose(given, outputs(net, shown), rtol=0, atol=1e-4)
    assert found["width"] == [1280, 1280]  # nothing sticks out


def test_use(written: Path, tmp_path: Path) -> None:
    found = read(browse(tmp_path, "--dump-dom", written.with_name("use.html").as_uri()), "used")
    assert found["faults"] == []
    empty, told, asked, guessed, unit, answer = found["told"]
    assert asked == "Which digit is it? A click, or Enter, tells."
    assert guessed.startswith("Test image 247: a 4; the paper's network took it for a 6.")
    assert unit.startswith("C3, map 0, row 0, column 1, fed by S2's maps 0, 1, 2 (Table I): ")
    assert unit.endswith("; it sees the framed 14×14 pixels.")
    assert empty == "Nothing drawn yet."
    assert told.startswith("Test image 449: a 3; the paper's network took it for a 5.")
    assert answer.startswith("It sees a ") and found["changed"]
    assert found["sorted"] == [["ascending", "-1", "9", "10"], ["descending", "10", "9", "-1"], [None, "10", "9", "-1"]]
    assert sorted(found["themes"]) == ["dark", "light"]


def test_phone(written: Path, tmp_path: Path) -> None:
    """At 390 px, in a frame: a window of this browser is never so narrow."""
    frame = written.with_name("frame.html")
    frame.write_text(
        f'<!doctype html><body style="margin: 0"><pre id="told"></pre><script>{LISTEN}</script>'
        f'<iframe src="tell.html#selftest" width="390" height="2000" style="border: 0"></iframe>',
        encoding="utf-8",
    )
    assert read(browse(tmp_path, "--dump-dom", frame.as_uri()), "told")["width"] == [390, 390]


@pytest.mark.parametrize("width", [1280, 390])
def test_picture(written: Path, tmp_path: Path, width: int) -> None:
    path = tmp_path / "page.png"
    browse(tmp_path, f"--window-size={width},2000", f"--screenshot={path}", written.as_uri())
    with Image.open(path) as picture:
        assert picture.size == (width, 2000)
        assert len(picture.convert("L").getcolors() or []) > 50
