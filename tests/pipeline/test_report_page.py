"""The page of the report in Chromium: nothing fails, nothing is loaded, axe-core finds nothing, the table works."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, sync_playwright
from support.report_page import SCRIPT, write_page

SIZES = {"phone": 390, "screen": 1_400}  # pixels of width


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium")
    if not program and not os.environ.get("CI"):
        pytest.skip("chromium is not installed: `apt-get install chromium`")
    with sync_playwright() as playwright:
        # No sandbox: as root, Chromium has none. The page is ours.
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(autouse=True)
def _close_pages(browser: Browser) -> Iterator[None]:
    yield
    for context in browser.contexts:
        context.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_page(tmp_path_factory.mktemp("page") / "S.report.html")


class Watched:
    """An open page, with what it has asked for and what went wrong."""

    def __init__(self, browser: Browser, file: Path, width: int = 1_400, **settings: Any) -> None:
        self.errors: list[str] = []
        self.requests: list[str] = []
        context = browser.new_context(viewport={"width": width, "height": 900}, **settings)
        self.page: Page = context.new_page()
        self.page.on("console", lambda message: message.type == "log" or self.errors.append(message.text))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(file.as_uri())

    def open_first(self) -> None:
        """Open the reads at the first variant of the list."""
        self.page.click("#variant-table tbody a >> nth=0")
        self.wait_for_note("All 20 reads")

    def click_read(self) -> Locator:
        """Click on a read at the variant that IGV shows; return what IGV says of it."""
        viewport = self.page.locator("#igv-frame .igv-viewport").nth(2)  # below the ruler and the reference
        size = viewport.bounding_box()
        assert size
        viewport.click(position={"x": size["width"] / 2, "y": 100})
        popover = self.page.locator("#igv-frame .igv-ui-popover").filter(has_text="Read Name")
        popover.wait_for()
        return popover

    def wait_for_note(self, text: str) -> str:
        """Wait until the note of IGV has a text; return the whole note."""
        self.page.wait_for_selector(f"#igv-note:has-text('{text}')")
        return self.page.inner_text("#igv-note")

    def locus(self) -> str:
        """Return the bases that IGV shows."""
        value: str = self.page.locator("#igv-frame input.igv-search-input").input_value()
        return value

    def rows(self) -> list[str]:
        """Return the first cell of the variants that are shown."""
        return self.page.locator("#variant-table tbody tr:visible th").all_inner_texts()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_the_page_loads_nothing_fails_nowhere_and_is_accessible(
    browser: Browser, file: Path, size: str, scheme: str
) -> None:
    opened = Watched(browser, file, SIZES[size], color_scheme=scheme)
    assert (opened.errors, opened.requests) == ([], [file.as_uri()])
    assert not opened.page.evaluate("'igv' in window")
    opened.open_first()
    assert (opened.errors, opened.requests) == ([], [file.as_uri()])
    width = opened.page.evaluate("document.documentElement.scrollWidth")
    assert width <= SIZES[size], "the page scrolls sideways"
    # axe-core is added by the debugger, which the security policy of the page does not stop.
    found = Axe().run(opened.page).response
    assert [(one["id"], [node["html"] for node in one["nodes"]][:3]) for one in found["violations"]] == []
    assert {"color-contrast", "button-name", "th-has-data-cells"} <= {one["id"] for one in found["passes"]}


def test_the_table_is_filtered_and_sorted(browser: Browser, file: Path) -> None:
    opened = Watched(browser, file)
    everything = opened.rows()
    assert opened.page.inner_text("#shown") == f"{len(everything)} of {len(everything) + 1} listed variants are shown."
    opened.page.uncheck("#filter-pass")
    assert len(opened.rows()) == len(everything) + 1
    opened.page.check("#filter-pass")
    opened.page.fill("#filter-text", "gene7")
    assert opened.rows() == ["chr1:700"]
    opened.page.fill("#filter-text", "")
    opened.page.select_option("#filter-impact", "HIGH")
    assert 0 < len(opened.rows()) < len(everything)
    opened.page.select_option("#filter-impact", "")
    opened.page.fill("#filter-share", "0.9")
    assert 0 < len(opened.rows()) < len(everything)
    opened.page.fill("#filter-share", "")
    opened.page.click("#variant-table >> text=Depth")
    head = opened.page.locator("th[aria-sort]")
    assert head.get_attribute("aria-sort") == "ascending"
    depths = [
        int(text) for text in opened.page.locator("#variant-table tbody tr:visible td:nth-child(9)").all_inner_texts()
    ]
    assert depths == sorted(depths)
    opened.page.click("#variant-table >> text=Depth")
    assert head.get_attribute("aria-sort") == "descending"
    assert opened.errors == []


def test_igv_shows_one_variant_after_the_other(browser: Browser, file: Path) -> None:
    opened = Watched(browser, file)
    opened.open_first()
    first = opened.rows()[0]
    assert opened.page.inner_text("#igv-note").startswith(f"{first} A>G, GENE")
    position = int(first.split(":")[1])
    assert opened.locus() == f"chr1:{position - 40:,}-{position + 40:,}"
    assert opened.page.is_disabled("#igv-back")
    opened.page.click("#igv-next")
    second = opened.rows()[1]
    opened.wait_for_note(f"{second} A>G")
    opened.wait_for_note("All 20 reads")
    assert opened.locus().startswith(f"chr1:{int(second.split(':')[1]) - 40:,}-")
    opened.page.click("#variant-table tbody a >> nth=-1")
    assert opened.wait_for_note("Not shown").endswith(f"Not shown {SCRIPT}")
    assert not opened.page.is_visible("#igv-frame")
    assert opened.page.is_disabled("#igv-next")
    assert opened.errors == []


def test_the_page_is_complete_without_scripts_and_on_paper(browser: Browser, file: Path, tmp_path: Path) -> None:
    opened = Watched(browser, file, java_script_enabled=False)
    assert len(opened.rows()) > 1
    assert not opened.page.is_visible("#filter-text")
    assert opened.page.is_visible("text=IGV needs JavaScript")
    opened.page.pdf(path=tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").stat().st_size > 10_000


def test_a_script_in_a_value_does_not_run(browser: Browser, file: Path) -> None:
    """The page of the test has scripts in the names of a contig, a gene and a step."""
    opened = Watched(browser, file)
    assert "<script>" in opened.page.inner_text("main")
    assert opened.page.evaluate("window.hostile") is None
    assert opened.page.evaluate("[...document.scripts].filter((script) => !script.type).length") == 1
    # Even one that a fault of the template would let into the page is refused by the policy in it.
    opened.page.evaluate("""() => {
        const script = document.createElement("script");
        script.textContent = "window.hostile = 1";
        document.body.append(script);
    }""")
    assert opened.page.evaluate("window.hostile") is None
    assert "Content Security Policy" in opened.errors[0]


def test_an_element_in_the_name_of_a_read_is_text(browser: Browser, file: Path) -> None:
    """The names and tags of all reads of the page have a link that would cover the page."""
    opened = Watched(browser, file)
    opened.open_first()
    popover = opened.click_read()
    assert popover.inner_text().count("_a/class=_hostile_style=position:fixed____") == len(("name", "RG", "SA"))
    assert opened.page.locator(".hostile").count() == 0
    assert opened.errors == []


def test_a_page_without_reads_says_why_and_has_no_igv(browser: Browser, tmp_path: Path) -> None:
    opened = Watched(browser, write_page(tmp_path / "S.report.html", sites=1))
    opened.page.click("#variant-table tbody a")
    assert opened.wait_for_note("Not shown").endswith(f"Not shown {SCRIPT}")
    assert opened.page.is_disabled("#igv-next")
    assert opened.page.locator("#igv-script").count() == 0
    assert opened.errors == []
