#!/usr/bin/env python3
"""Quick experiments: what distillation does, with margins that noise does not reach, and that they
go on when interrupted. What the margins stand against, of 397 test images: see the comments."""

import json
import os
import signal
import subprocess
import unittest

from experiments import ExperimentCase, rows, series
from services import program, run, wait_for


class DirectionTest(ExperimentCase):
    def test_a_class_never_shown_is_recognised(self):
        results = self.experiment("zero-shot", "--seeds", "1")
        students = {row["model"]: row for row in rows(results, "Transfer set without class 3")}
        self.assertEqual(students["hard labels"]["recall of unseen"], 0)
        fitted = students["soft targets, bias fitted"]
        self.assertGreater(fitted["recall of unseen"], 50)
        # From some 15 errors with the bias of the training, below 60 of hard labels in any case.
        self.assertLess(fitted["errors"], students["hard labels"]["errors"] - 10)
        self.assertGreater(fitted["bias"], 0)

        only = {row["model"]: row
                for row in rows(results, "Transfer set only classes 7 and 8")}
        self.assertEqual(only["hard labels"]["recall of unseen"], 0)
        before, after = (only[name] for name in ("soft targets", "soft targets, bias fitted"))
        self.assertLess(after["bias"], 0)
        self.assertLess(after["errors"], before["errors"] - 40)
        self.assertGreater(after["recall of unseen"], 50)

    def test_another_class_can_be_left_out(self):
        done = run("distillery", "experiment", "zero-shot", "--omit", "eleven", "--output",
                   self.path("no"), check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn('unknown --omit class "eleven"', done.stderr)

    def test_soft_targets_need_less_data(self):
        results = self.experiment("small-data", "--seeds", "1")
        three = {row["student"]: row for row in rows(results, "Accuracy by the part of the data")
                 if row["training images"] == "3 %"}
        # 58 to 92 errors on hard labels, 36 to 50 on soft targets, over seeds and rates.
        hard, soft = three["hard labels"], three["soft targets"]
        self.assertLess(soft["test errors"], 0.9 * hard["test errors"])
        # Learnt by heart.
        self.assertGreater(hard["training accuracy"], 99)
        self.assertGreater(hard["training accuracy"] - hard["test accuracy"],
                           soft["training accuracy"] - soft["test accuracy"])
        title = "Training and test accuracy by the part of the data"
        self.assertEqual(series(results, title, "soft targets, test")["x"], [1, 3, 10, 30, 100])

    def test_soft_targets_outweigh_wrong_labels(self):
        results = self.experiment("label-noise", "--seeds", "1")
        clean, _, wrong = rows(results, "Wrong labels")
        # 71 to 77 errors on hard labels, 5 to 9 on soft targets.
        self.assertLess(wrong["soft, errors"], 0.5 * wrong["hard, errors"])
        self.assertGreater(wrong["hard, errors"], 2 * clean["hard, errors"])


class InterruptionTest(ExperimentCase):
    def start_experiment(self, folder):
        """robustness, the one with the fewest runs; its standard error goes to a file."""
        os.makedirs(folder, exist_ok=True)
        log = os.path.join(folder, "stderr")
        with open(log, "w") as file:
            child = subprocess.Popen([program("distillery"), "experiment", "robustness", "--seeds",
                                      "1", "--output", "here"], cwd=folder, text=True,
                                     stdout=subprocess.DEVNULL, stderr=file)

        def says(text):
            with open(log) as written:
                return text in written.read()
        return child, says

    def results(self, folder):
        with open(os.path.join(folder, "here", "results.json")) as file:
            results = json.load(file)
        self.assertGreater(results.pop("wall_seconds"), 0)
        for kept in results["runs"]:
            # Who did which task when, the rates of samples: times.
            kept.pop("panels", None)
        return results

    def test_it_goes_on_after_sigint_and_sigkill(self):
        undisturbed = self.path("undisturbed")
        child, _ = self.start_experiment(undisturbed)
        self.assertEqual(child.wait(timeout=600), 0)

        disturbed = self.path("disturbed")
        child, says = self.start_experiment(disturbed)
        wait_for("the first runs", lambda: says("choosing learning rates"))
        child.send_signal(signal.SIGINT)
        self.assertEqual(child.wait(timeout=60), 1)
        self.assertTrue(says("distillery experiment robustness --dataset digits --scale quick "
                             "--seeds 1 --output here"))
        self.assertFalse(os.path.exists(os.path.join(disturbed, "here", "results.json")))

        child, says = self.start_experiment(disturbed)
        wait_for("the students", lambda: says("students: "), patience=400)
        child.kill()
        child.wait()

        child, _ = self.start_experiment(disturbed)
        self.assertEqual(child.wait(timeout=600), 0)
        self.assertEqual(self.results(disturbed), self.results(undisturbed))

    def test_one_folder_holds_one_experiment(self):
        folder = self.path("folder")
        os.makedirs(folder)
        purpose = {"experiment": "sweep", "dataset": "digits", "scale": "quick",
                   "teacher_sha256": "", "seconds": 1.5}
        with open(os.path.join(folder, "experiment.json"), "w") as file:
            json.dump(purpose, file)
        done = run("distillery", "experiment", "robustness", "--output", folder, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn('holds an experiment with experiment "sweep", not "robustness"', done.stderr)


class UsageTest(ExperimentCase):
    def test_without_a_name_it_lists_what_there_is(self):
        for arguments in ([], ["--list"]):
            listed = run("distillery", "experiment", *arguments).stdout
            for name in ("mnist", "zero-shot", "small-data", "label-noise", "robustness", "sweep",
                         "compression"):
                self.assertRegex(listed, f"(?m)^{name} +[^ ]")
            self.assertIn("hinton", listed)

    def test_what_does_not_fit_is_refused(self):
        for arguments, message in (
                (["zero-shoot"], 'unknown experiment "zero-shoot"; did you mean "zero-shot"?'),
                (["sweep", "--omit", "3"], "--omit is for the experiment zero-shot"),
                (["zero-shot", "--auto"], "--auto is for the experiment sweep"),
                (["mnist", "--scale", "huge"], 'unknown --scale "huge"'),
                (["mnist", "--dataset", "digits", "--scale", "paper"],
                 "--scale paper is for --dataset mnist"),
                (["sweep", "--dataset", "digts"], 'did you mean "digits"?'),
                (["sweep", "--coordinator", "127.0.0.1:1"], "--coordinator needs --teacher FILE"),
                (["sweep", "--coordinator", "127.0.0.1:1", "--workers", "2"],
                 "--workers is for processes here"),
                (["sweep", "--seeds", "0"], "--seeds")):
            done = run("distillery", "experiment", *arguments, "--output", self.path("no"),
                       check=False)
            self.assertIn(message, done.stderr)
            self.assertNotEqual(done.returncode, 0)
            self.assertFalse(os.path.exists(self.path("no")))


if __name__ == "__main__":
    unittest.main()
