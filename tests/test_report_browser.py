"""The report page in a browser without a window: what its networks compute, what a hand can do, how long it is."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pictures.draw import DIGITS, parse_path
from synthetic_report import images, networks, outputs, tables, write_results
from synthetic_runs import ROOT

from paper_lenet.commands.report import write
from paper_lenet.data import mnist_at_hand
from paper_lenet.reporting.page.build import page
from paper_lenet.reporting.page.live import STRINGS, Net, nets, strings

playwright = pytest.importorskip("playwright.sync_api", reason="pip install -e '.[browser]'")

pytestmark = pytest.mark.slow

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
OPTIONS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
WIDTHS = (1280, 768, 390, 320)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("needs Chromium")
    with playwright.sync_playwright() as started:
        running = started.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield running
        running.close()


@pytest.fixture
def screen(browser: Any) -> Iterator[Any]:
    """A page that nothing fails on and that asks nobody for anything."""
    shown = browser.new_page(viewport={"width": 1280, "height": 800})
    faults: list[str] = []
    shown.on("pageerror", lambda error: faults.append(str(error)))
    shown.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    shown.on("request", lambda request: faults.extend([request.url][: not request.url.startswith(("file:", "data:"))]))
    yield shown
    shown.close()
    assert faults == []


def shown_networks() -> list[Net]:
    """The released ones, and untrained ones, whose states differ more from each other."""
    return [*nets(), *networks("1998", "modern")]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a page of made results, one table hostile."""
    results = tmp_path_factory.mktemp("small") / "results"
    write_results(results)
    path = results / "report" / "index.html"
    path.parent.mkdir()
    path.write_text(page(tables(), results, None, shown_networks(), strings()), encoding="utf-8")
    path.with_name(STRINGS).write_text(strings().script(), encoding="utf-8")
    return path.as_uri()


@pytest.fixture(scope="module")
def committed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of the page of the committed results."""
    results = tmp_path_factory.mktemp("committed") / "results"
    shutil.copytree(ROOT / "results" / "figures", results / "figures")
    return write(ROOT / "results", results / "report", mnist_at_hand()).as_uri()


OUTPUTS = """(count) => {
  const data = JSON.parse(document.querySelector("#data").textContent), size = LeNet.IMAGE ** 2;
  const pixels = LeNet.bytes(data.images);
  const frames = Array.from({ length: count }, (_, k) => LeNet.frame(pixels.subarray(k * size, (k + 1) * size)));
  return data.nets.map(LeNet.load).map((net) => frames.map((frame) => Array.from(LeNet.run(net, frame).output)));
}"""


def assert_same_outputs(screen: Any, tried: Sequence[Net], shown: Any) -> None:
    for net, given in zip(tried, screen.evaluate(OUTPUTS, len(shown)), strict=True):
        np.testing.assert_allclose(given, outputs(net, shown), rtol=0, atol=1e-4)


def test_networks_are_those_of_pytorch(screen: Any, committed: str, small: str) -> None:
    data = mnist_at_hand()
    screen.goto(committed)
    assert_same_outputs(screen, nets(), images() if data is None else data.test_images[:20])
    screen.goto(small)
    assert_same_outputs(screen, shown_networks(), images())


# How many screens of these sizes the page is long at most.
SCREENS = {(1280, 800): 12, (390, 844): 20}


@pytest.mark.parametrize(("width", "height"), SCREENS)
def test_is_read_to_the_end(screen: Any, committed: str, width: int, height: int) -> None:
    screen.set_viewport_size({"width": width, "height": height})
    screen.goto(committed)
    assert screen.evaluate("document.documentElement.scrollHeight") / height <= SCREENS[width, height]


@pytest.mark.parametrize("width", WIDTHS)
def test_is_for_everybody(screen: Any, committed: str, width: int) -> None:
    """Nothing sticks out, folded or unfolded, and axe has no complaint, light or dark."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="pip install -e '.[browser]'").Axe()
    screen.set_viewport_size({"width": width, "height": 900})
    screen.goto(committed)
    for theme in ("light", "dark"):
        screen.evaluate("(theme) => { document.documentElement.dataset.theme = theme; }", theme)
        assert complaints(axe, screen) == []
    assert screen.evaluate("document.documentElement.scrollWidth") == width
    screen.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    assert screen.evaluate("document.documentElement.scrollWidth") == width
    if width == WIDTHS[-1]:  # all tables: they take long
        assert complaints(axe, screen) == []


def complaints(axe: Any, screen: Any) -> list[tuple[str, list[Any]]]:
    """What axe finds, and where."""
    found = axe.run(screen).response["violations"]
    return [(each["id"], [node["target"] for node in each["nodes"]]) for each in found]


def draw(screen: Any, canvas: str, strokes: Sequence[Sequence[Sequence[float]]], unit: str = "width") -> None:
    """Strokes by the mouse; their points are in parts of the canvas's width or height, from its upper left corner."""
    screen.locator(canvas).scroll_into_view_if_needed()
    box = screen.locator(canvas).bounding_box()
    for first, *rest in [[(box["x"] + x * box[unit], box["y"] + y * box[unit]) for x, y in each] for each in strokes]:
        screen.mouse.move(*first)
        screen.mouse.down()
        for point in rest:
            screen.mouse.move(*point)
        screen.mouse.up()
    settled(screen)


def settled(screen: Any) -> None:
    """Two frames later."""
    screen.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def drawn_digits() -> dict[str, list[list[list[float]]]]:
    """The ten digits as strokes of points, from 0 to 1 over the canvas; the first shape of each."""
    found = {}
    for digit, shapes in DIGITS.items():
        strokes = [np.array([point[:2] for point in stroke]) for stroke in parse_path(shapes[0][1])]
        every = np.concatenate(strokes)
        low, span = every.min(0), np.ptp(every, axis=0)
        found[digit] = [((stroke - low - span / 2) * 0.7 / span.max() + 0.5).tolist() for stroke in strokes]
    return found


def test_ten_drawn_digits_are_read(screen: Any, committed: str) -> None:
    screen.goto(committed)
    for digit, strokes in drawn_digits().items():
        screen.click("#clear")
        draw(screen, "#draw", strokes)
        assert screen.inner_text("#answer strong") == digit
    # a link that carries the last drawing
    screen.click("#share")
    link = screen.url
    screen.goto("about:blank")
    screen.goto(link)
    settled(screen)
    assert screen.inner_text("#answer strong") == digit


@pytest.mark.parametrize("row", ["305", "472", "916"])
def test_drawn_strings_are_read(screen: Any, committed: str, row: str) -> None:
    digits = drawn_digits()
    strokes = [[[x + 0.2 + 0.75 * k, y] for x, y in stroke] for k, digit in enumerate(row) for stroke in digits[digit]]
    screen.goto(committed)
    screen.click("#readers label:nth-of-type(2)")
    screen.click("#row-clear")
    draw(screen, "#row", strokes, "height")
    playwright.expect(screen.locator("#row-answer")).to_have_text(f"It reads {row}.")
    assert screen.locator("#film li").count() > 10


def test_a_typed_string_is_read(screen: Any, committed: str) -> None:
    screen.goto(committed)
    screen.click("#readers label:nth-of-type(2)")
    screen.fill("#typed", "3140")
    playwright.expect(screen.locator("#row-answer")).to_have_text("It reads 3140.")
    positions = screen.locator("#film li").count()
    screen.locator("#row-gap").press("End")
    assert screen.locator("#film li").count() > positions  # farther apart
    screen.locator("#row-noise").press("End")
    assert screen.inner_text("#row-answer") != "It reads 3140."  # 30 % of the pixels are inverted
    screen.click("#row-clear")
    assert screen.inner_text("#row-answer") == "Nothing drawn yet." and screen.is_disabled("#row-gap")


READY = """new MutationObserver(() => {
  if (document.querySelector("#answer")?.textContent) window.ready ??= performance.now();
}).observe(document, { subtree: true, childList: true });"""


def test_is_soon_ready(screen: Any, committed: str) -> None:
    """The network at work answers within two seconds where the processor is four times slower."""
    screen.add_init_script(READY)
    screen.context.new_cdp_session(screen).send("Emulation.setCPUThrottlingRate", {"rate": 4})
    screen.goto(committed)
    assert screen.evaluate("ready") < 2000


def test_connections_are_cut(screen: Any, small: str) -> None:
    """All that feed C3's map 0, by the keyboard, and mended again."""
    screen.goto(small)
    before = screen.inner_text("#answer")
    screen.click("summary:has-text('Table I')")
    first = screen.locator("#table1 button").first
    assert first.get_attribute("aria-label") == "S2 map 0 to C3 map 0"
    first.focus()
    screen.keyboard.press("Enter")
    screen.keyboard.press("ArrowDown")
    screen.keyboard.press("Space")
    assert screen.locator("#table1 [aria-pressed=false]").count() == 2
    told = screen.inner_text("#cut")
    assert told.startswith("2 of 60 connections cut: it sees a ") and "; whole, it sees a " in told
    assert screen.inner_text("#answer") != before
    screen.click("#uncut")
    assert screen.inner_text("#answer") == before and screen.inner_text("#cut") == "Nothing is cut."
    # the network of today has all connections
    screen.click("#nets label:nth-of-type(2)")
    assert screen.locator("#table1 button:disabled").count() == 0


def test_it_moves_by_itself(screen: Any, committed: str) -> None:
    screen.goto(committed)
    screen.click("#moved summary")
    here = screen.locator("#moved svg[data-kind=rotation] .here")
    unmoved = here.get_attribute("x1")
    screen.click("#moved button[data-kind=rotation]")
    screen.wait_for_function("Math.abs(document.querySelector('#move-turn').value) > 5")
    assert here.get_attribute("x1") != unmoved
    screen.click("#moved button[data-kind=rotation]")
    assert screen.input_value("#move-turn") == "0" and here.get_attribute("x1") == unmoved


def test_charts_tell_what_the_tables_have(screen: Any, committed: str) -> None:
    screen.goto(committed)
    runs = pd.read_csv(ROOT / "results" / "runs" / "comparison.csv")
    screen.select_option("#classifier", label="28x28-300-100-10")
    error = runs.loc[runs["classifier"] == "28x28-300-100-10", "error_percent"].mean()
    assert f"test error 3.05 %, ours {error:.2f} %" in screen.inner_text("#costs p")
    drawn = screen.locator("#costs .our-dot").first.get_attribute("cx")
    screen.click("#costs label:has-text('variables')")
    assert screen.locator("#costs .our-dot").first.get_attribute("cx") != drawn

    screen.click("#rates summary")
    assert screen.inner_text("#rates p").endswith("2 of 2 trainings diverge.")
    screen.click("#rates label:nth-of-type(3)")
    assert "after the last (the paper's 0.36 %)" in screen.inner_text("#rates p")


def test_use(screen: Any, small: str) -> None:
    screen.goto(small)
    before = screen.locator("#outputs .value").all_inner_texts()
    screen.click("#clear")
    assert screen.inner_text("#answer") == "Nothing drawn yet."
    draw(screen, "#draw", [[(0.5, 0.2), (0.5, 0.8)]])
    assert screen.inner_text("#answer").startswith("It sees a ")
    assert screen.locator("#outputs .value").all_inner_texts() != before

    header = screen.locator("#table-other thead th").first
    for order, cells in (
        ("ascending", ["-1", "9", "10"]),
        ("descending", ["10", "9", "-1"]),
        (None, ["10", "9", "-1"]),
    ):
        header.locator("button").dispatch_event("click")
        assert header.get_attribute("aria-sort") == order
        assert screen.locator("#table-other tbody th").all_text_contents() == cells

    themes = {screen.evaluate("document.documentElement.dataset.theme")}
    screen.click("#theme")
    assert themes | {screen.evaluate("document.documentElement.dataset.theme")} == {"light", "dark"}


def test_the_wall_by_keyboard(screen: Any, small: str) -> None:
    screen.goto(small)
    first = screen.locator("#wall .tile").first
    first.focus()
    screen.keyboard.press("ArrowRight")
    assert screen.inner_text("#told").startswith("Test image 449: a 3; the paper's network took it for a 5.")
    screen.check("#guess")
    first.focus()
    assert screen.inner_text("#told") == "Which digit is it? A click, or Enter, tells."
    first.click()
    assert screen.inner_text("#told").startswith("Test image 247: a 4; the paper's network took it for a 6.")


def test_a_unit_by_keyboard(screen: Any, small: str) -> None:
    screen.goto(small)
    screen.focus("#layer-c3 canvas")
    screen.keyboard.press("ArrowRight")
    told = screen.inner_text("#unit")
    assert told.startswith("C3, map 0, row 0, column 1, fed by S2's maps 0, 1, 2 (Table I): ")
    assert told.endswith(" (bias). It sees the framed 14×14 pixels.") and " = 1.7159 tanh(⅔ · " in told
    assert screen.locator("#kernel").get_attribute("width") == str(3 * 6 - 1)  # three kernels of five by five
