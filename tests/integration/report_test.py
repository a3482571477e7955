#!/usr/bin/env python3
"""`distillery report`: its data against the schema, and its page in headless Chromium."""

import json
import math
import os
import shutil
import unittest

import numpy
import specs
from pictures import write_npy_dataset
from report_pages import ReportPages, read
from services import TeacherTestCase, run, wait_for


def softmax(logits, temperature):
    scaled = numpy.asarray(logits) / temperature
    powers = numpy.exp(scaled - scaled.max())
    return powers / powers.sum()


class ReportTest(ReportPages, TeacherTestCase):
    def bars(self, page):
        """{series: {class: (probability, width in pixels)}} of the soft targets shown."""
        shown = {}
        for series, k, p, width in page.evaluate(
                "[...document.querySelectorAll('.soft-targets rect[data-p]')].map(r => [r.dataset."
                "series, Number(r.dataset.class), Number(r.dataset.p), "
                "r.getBoundingClientRect().width])"):
            shown.setdefault(series, {})[k] = (p, width)
        return shown

    def check_slider(self, page, sample):
        for position in (0, 301, 1000):
            page.evaluate(f"(() => {{ const s = document.querySelector('input[type=range]'); "
                          f"s.value = {position}; s.dispatchEvent(new Event('input')); }})()")
            page.settle()
            temperature = float(f"{0.5 * 200 ** (position / 1000):.2g}")
            shown = self.bars(page)
            for series, logits in (("teacher", sample["teacher_logits"]),
                                   ("student", sample["student_logits"])):
                expected = softmax(logits, temperature)
                widest = max(width for _, width in shown[series].values())
                most = max(expected)
                for k, p in enumerate(expected):
                    self.assertAlmostEqual(shown[series][k][0], p, places=6)
                    if p > 0.02:
                        self.assertAlmostEqual(shown[series][k][1] / widest, p / most, places=2)
            self.assertEqual({k for k, (p, _) in shown["hard"].items() if p == 1},
                             {sample["label"]})

    def test_a_run_with_a_lost_worker(self):
        teacher = self.teacher(self.teacher_file)
        coordinator = self.coordinator("--lease-seconds", 1)
        workers = {name: self.worker(name, coordinator.address, teacher.address)
                   for name in ("north", "south")}
        spec = self.write("run.yaml", specs.digits(rounds=6, local_epochs=30))
        run_id = self.submit(spec, coordinator.address)
        holder = wait_for("a worker that trains", lambda: self.record(
            "SELECT w.name FROM leases l JOIN workers w USING (worker_id) "
            "WHERE l.outcome='active' AND l.kind=2 LIMIT 1"))[0][0]
        workers[holder].kill()
        done = self.finish(run_id, coordinator.address)
        self.assertGreaterEqual(int(done["lost_lease_count"]), 1)
        at = ("--coordinator", coordinator.address, "--teacher", self.teacher_file)
        path, results = self.report(run_id, *at)
        panels = results["runs"][0]["panels"]
        self.assertEqual(panels["absent"], [])
        self.assertEqual(os.path.exists(path + ".student.pt"), False)

        # The panels say what the record says.
        student = panels["models"][1]
        last = done["latest_evaluation"]
        for key in ("correct_count", "sample_count", "agreement_count"):
            self.assertEqual(student[key], int(last[key]), key)
        self.assertEqual(sum(student["confusion"]), 397)
        self.assertEqual(sum(student["confusion"][::11]), student["correct_count"])
        self.assertEqual(len(panels["rounds"]), 6)
        self.assertEqual(len(panels["replicas"]), 30)
        recorded = self.record(f"SELECT fencing_token, outcome FROM leases WHERE run_id='{run_id}' "
                               "ORDER BY fencing_token")
        self.assertEqual([(one["token"], one["outcome"]) for one in panels["leases"]], recorded)
        flow = panels["flow"]
        self.assertAlmostEqual(
            flow["alpha"] * flow["temperature"] ** 2 * flow["soft_loss"]
            + (1 - flow["alpha"]) * flow["hard_loss"], flow["loss"], delta=1e-4 * flow["loss"])
        self.assertEqual(len({sample["name"] for sample in panels["samples"]}),
                         len(panels["samples"]))
        entropies = []
        for sample in panels["samples"]:
            p = softmax(sample["teacher_logits"], 1)
            entropies.append(-sum(v * math.log(v) for v in p if v > 0))
            self.assertAlmostEqual(sample["entropy"], entropies[-1], places=4)
        self.assertEqual(entropies[0], max(entropies))

        page = self.check_page(path, 15, "run")
        self.check_slider(page, panels["samples"][0])
        # Another sample.
        page.evaluate("document.querySelectorAll('.thumbs button')[1].click()")
        page.settle()
        self.check_slider(page, panels["samples"][1])
        # What was lost is seen, and the table of all leases opens.
        self.assertEqual(page.evaluate("document.querySelectorAll('[data-lost]').length"),
                         sum(outcome not in ("done", "active") for _, outcome in recorded))
        rows = page.evaluate("new Promise(done => { const d = [...document.querySelectorAll('details')]"
                             ".find(e => e.textContent.startsWith('All ')); d.open = true; "
                             "setTimeout(() => done(d.querySelectorAll('tbody tr').length), 100); })")
        self.assertEqual(rows, len(recorded))
        # The toggle changes the theme.
        before = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.evaluate("document.getElementById('theme').click()")
        self.assertNotEqual(page.evaluate("getComputedStyle(document.body).backgroundColor"), before)
        # It stays chosen, so that others would see it.
        page.evaluate("localStorage.clear()")
        self.assertEqual(page.errors(), [])

    def test_a_folder_and_what_is_missing_there(self):
        folder = self.path("run")
        spec = self.write("run.yaml", specs.digits(teacher=self.teacher_file, rounds=2,
                                                   local_epochs=1))
        run("distillery", "run", spec, "--output", folder)
        _, results = self.report(folder)
        self.assertEqual(results["runs"][0]["panels"]["absent"], [])
        # As an older version left it, and without models.
        for name in ("leases.json", "student.pt"):
            os.remove(os.path.join(folder, name))
        shutil.move(self.teacher_file, self.teacher_file + ".away")
        try:
            path, results = self.report(folder)
        finally:
            shutil.move(self.teacher_file + ".away", self.teacher_file)
        panels = results["runs"][0]["panels"]
        self.assertEqual({one["panel"] for one in panels["absent"]},
                         {"replicas", "leases", "time", "teacher", "student", "samples"})
        page = self.check_page(path, 4, "bare")
        text = page.evaluate("document.body.innerText")
        for one in panels["absent"]:
            self.assertIn(one["reason"], text)
        # A teacher that is not the run's is said to be another.
        other = self.path("other.pt")
        run("distillery", "train-teacher", "--output", other, "--epochs", 1, "--seed", 7,
            "--architecture", "mlp:64-16-10")
        run("distillery", "run", spec, "--output", folder)
        shutil.rmtree(folder + "/state")
        _, results = self.report(folder, "--teacher", other)
        self.assertIn("is not the teacher that the run learnt from", json.dumps(results))

    def test_names_of_classes_are_text_and_nothing_else(self):
        evil = "</script><script>document.title='broken'</script>"
        image = "<img src=x onerror=document.title='broken'>"
        write_npy_dataset(self.path("data/evil"), 7)
        self.write("data/evil/classes.txt", "\n".join([evil, image, "c", "d", "e", "f", "g"]))
        spec = self.write("run.yaml", specs.digits(
            alpha=0, rounds=1, local_epochs=2, architecture="mlp:144-16-7").replace(
                "name: digits", "name: evil"))
        folder = self.path("run")
        run("distillery", "run", spec, "--output", folder, "--data-dir", self.path("data"))
        path, results = self.report(folder, "--data-dir", self.path("data"))
        self.assertEqual(results["runs"][0]["panels"]["class_names"][:2], [evil, image])
        page = self.check_page(path, 8, "evil")
        self.assertNotIn("broken", page.evaluate("document.title"))
        self.assertEqual(page.evaluate("document.querySelectorAll('img').length"), 0)
        self.assertEqual(page.evaluate("document.scripts.length"), 3)

    def test_an_experiment_with_every_kind_of_figure(self):
        folder = self.path("experiment")
        spec = self.write("run.yaml", specs.digits(teacher=self.teacher_file, rounds=2,
                                                   local_epochs=1))
        for name in ("one", "two"):
            run("distillery", "run", spec, "--output", f"{folder}/{name}")
        axis = {"label": "accuracy", "unit": "%", "logarithmic": False}
        part = {"label": "part of the data", "unit": "%", "logarithmic": True}
        runs = [{"name": name, "run_id": f"{name}-1", "folder": name, "teacher": "", "seed": 1,
                 "weights_sha256": "", "main": name != "gone"} for name in ("one", "two", "gone")]
        results = {
            "format": 1, "name": "all", "title": "Every kind of figure", "summary": "A <b>test</b>.",
            "dataset": "digits", "scale": "quick", "seeds": [1, 2, 3], "command": "none",
            "wall_seconds": 12.5,
            "tables": [{"title": "Errors", "note": "of 397", "columns": [
                {"name": "student", "unit": "", "decimals": 0},
                {"name": "errors", "unit": "%", "decimals": 1}],
                "rows": [["hard", {"value": 12.25, "half_width": 1.5}], ["soft", 9], ["x", None]]}],
            "figures": [
                {"kind": "lines", "title": "Small data", "x": part, "y": axis, "note": "",
                 "series": [{"name": "hard", "x": [1, 3, 10], "y": [50, 60, 70],
                             "low": [45, 57, 69], "high": [55, 63, 71]},
                            {"name": "soft", "x": [1, 3, 10], "y": [60, 69, 72]}]},
                {"kind": "bars", "title": "Recall", "x": {**axis, "label": ""}, "y": axis, "note": "",
                 "x_labels": ["a class with a long name", "7"],
                 "series": [{"name": "before", "y": [0, 90], "low": [0, 85], "high": [3, 95]},
                            {"name": "after", "y": [80, 92]}]},
                {"kind": "heat_map", "title": "T by alpha", "x": {**axis, "label": "T", "unit": ""},
                 "y": {**axis, "label": "alpha", "unit": ""}, "x_labels": ["1", "4", "100"],
                 "y_labels": ["0.5", "0.9"], "value": axis, "values": [[90, 91, 85], [92, 94, 80]],
                 "mark": {"row": 1, "column": 1}, "note": ""},
                {"kind": "scatter", "title": "Size", "x": {**part, "label": "size", "unit": "KB"},
                 "y": axis, "note": "", "series": [
                     {"name": "float32", "x": [2, 8, 90], "y": [90, 95, 98],
                      "labels": ["mlp:64-8-10", "mlp:64-16-10", "lenet"]},
                     {"name": "int8", "x": [1, 3, 30], "y": [90, 94, 98]}]}],
            "runs": runs}
        with open(folder + "/results.json", "w") as file:
            json.dump(results, file)
        path, shown = self.report(folder)
        # Every figure of the report is in results.json, and what was there is as it was.
        completed = read(folder + "/results.json")
        self.assertEqual(completed, shown)
        self.assertEqual(["panels" in one for one in completed["runs"]], [True, True, False])
        for key in ("tables", "figures", "seeds", "summary"):
            self.assertEqual(completed[key], results[key])
        page = self.check_page(path, 4 + 12, "experiment")
        text = page.evaluate("document.body.innerText").replace("\u00a0", " ")
        for words in ("A <b>test</b>.", "12.3 ± 1.5 %", "9.0 %"):
            self.assertIn(words, text)
        # A run whose folder has gone is said to be gone, and its place in the file stays free.
        results["runs"][2]["main"] = True
        with open(folder + "/results.json", "w") as file:
            json.dump({**results, "runs": completed["runs"][:2] + results["runs"][2:]}, file)
        _, shown = self.report(folder)
        self.assertIn("gone/metrics.json", shown["runs"][2]["panels"]["absent"][0]["reason"])
        self.assertNotIn("panels", read(folder + "/results.json")["runs"][2])
        page.evaluate("[...document.querySelectorAll('.tabs button')][1].click()")
        page.settle()
        self.assertEqual(page.errors(), [])
        # A file that is not as it must be is refused, naming the place.
        results["figures"][0]["series"][0]["y"] = [1]
        with open(folder + "/results.json", "w") as file:
            json.dump(results, file)
        refused = run("distillery", "report", folder, "-o", path, check=False)
        self.assertEqual(refused.returncode, 2)
        self.assertIn("figures[0].series[0].x must be as long as y", refused.stderr)

    def test_what_is_no_run_is_refused(self):
        empty = self.path("empty")
        os.makedirs(empty)
        for source, words in ((empty, "metrics.json"), (self.path("none/such"), "no folder")):
            done = run("distillery", "report", source, "-o", self.path("r.html"), check=False)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(words, done.stderr)
            self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
            self.assertFalse(os.path.exists(self.path("r.html")))


if __name__ == "__main__":
    unittest.main()
