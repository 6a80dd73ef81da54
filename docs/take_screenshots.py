"""Take the screenshots of the README from a report: `make screenshots`, or take_screenshots.py REPORT.html."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

FOLDER = Path(__file__).parent
IGV = "#igv-title"  # the reads at the first variant: IGV starts with a click
# Name of the picture -> width and height in pixels, and the part of the page at its top.
PICTURES = {
    "report.png": (1_400, 900, ""),
    "report-variants.png": (1_400, 900, "#list"),
    "report-phone.png": (390, 844, ""),
    "report-igv.png": (1_400, 760, IGV),
}


def main(report: str) -> None:
    """Write the pictures beside this script."""
    with sync_playwright() as playwright:
        # No sandbox: as root, Chromium has none. The page is ours.
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name, (width, height, part) in PICTURES.items():
            page = browser.new_page(viewport={"width": width, "height": height}, color_scheme="light")
            page.goto(f"{Path(report).resolve().as_uri()}{part}")
            if part == IGV:
                page.click("[data-site] >> nth=0")
                page.wait_for_selector("#igv-note:has-text('shown.')")
            page.screenshot(path=FOLDER / name)
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1])
