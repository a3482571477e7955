"""Pages of `distillery report` in headless Chromium, and their data against the schema."""

import json
import os

import jsonschema
from browser import Browser, find_chromium
from services import SOURCE, run

with open(os.path.join(SOURCE, "deploy/results.schema.json")) as schema_file:
    SCHEMA = jsonschema.Draft202012Validator(json.load(schema_file))

SIZES = ((1280, 900), (390, 844))


def read(path):
    with open(path) as file:
        results = json.load(file)
    SCHEMA.validate(results)
    return results


class ReportPages:
    """For test cases of services.py that make reports and look at them in `browser`."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if find_chromium() is None:
            raise AssertionError("no chromium: apt-get install chromium (tests/packages.txt)")
        cls.browser = Browser()

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()
        super().tearDownClass()

    def report(self, source, *arguments):
        """Makes a report; returns the page's path and what it shows."""
        page, data = self.path("report.html"), self.path("report.json")
        run("distillery", "report", source, "-o", page, "--json", data, *arguments)
        return page, read(data)

    def check_page(self, path, least_charts, name):
        """The page at both widths and in both themes; the last one is returned open."""
        kept = os.environ.get("DISTILLERY_SCREENSHOTS")
        for width, height in SIZES:
            for dark in (False, True):
                page = self.browser.open(path, width, height, dark)
                where = f"{width} pixels, {'dark' if dark else 'light'}"
                self.assertEqual(page.errors(), [], where)
                self.assertEqual(page.requests(), [], where)
                self.assertEqual(page.evaluate("document.documentElement.dataset.theme"),
                                 "dark" if dark else "light")
                self.assertLessEqual(page.evaluate("document.documentElement.scrollWidth"), width,
                                     f"overflow at {where}")
                # Whatever stands out to the right scrolls within a box of its own.
                self.assertEqual(page.evaluate(
                    "[...document.querySelectorAll('main *')].filter(e => !e.closest('.scroll') && "
                    f"e.getBoundingClientRect().right > {width} + 0.5).map(e => e.outerHTML)"),
                    [], where)
                charts = page.evaluate(
                    "[...document.querySelectorAll('.plot')].map(p => { const svg = "
                    "p.querySelector('svg'), box = svg && svg.getBoundingClientRect(); return ["
                    "p.dataset.chart, box ? box.width : 0, box ? box.height : 0, svg ? "
                    "svg.querySelectorAll('rect,circle,polyline,polygon').length : 0, svg ? "
                    "/NaN|Infinity|undefined/.test(svg.outerHTML) : true]; })")
                self.assertGreaterEqual(len(charts), least_charts, where)
                for kind, w, h, marks, broken in charts:
                    self.assertGreater(w, 100, f"{kind} at {where}")
                    self.assertGreater(h, 60, f"{kind} at {where}")
                    self.assertGreater(marks, 0, f"{kind} at {where}")
                    self.assertFalse(broken, f"{kind} at {where} has a number that is none")
                if kept:
                    page.screenshot(os.path.join(
                        kept, f"{name}-{width}-{'dark' if dark else 'light'}.png"))
        return page
