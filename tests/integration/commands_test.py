#!/usr/bin/env python3
"""The daily commands: predict, query, dataset inspect, model show, runs compare, healthcheck."""

import gzip
import json
import os
import subprocess
import unittest
import xml.etree.ElementTree

import numpy
import specs
from pictures import blobs, write_pgm, write_png
from services import SOURCE, TeacherTestCase, run


def digits_image(row):
    """One picture of the built-in data, as it is stored: 8 x 8, 0..16, and its label."""
    with gzip.open(os.path.join(SOURCE, "common/data/digits/digits.csv.gz"), "rt") as file:
        values = [int(value) for value in file.read().splitlines()[row].split(",")]
    return numpy.array(values[:64]).reshape(8, 8), values[64]


class CommandsTest(TeacherTestCase):
    def test_predict_names_the_classes_of_image_files(self):
        right = 0
        files, labels = [], []
        for row in range(20):
            pixels, label = digits_image(row)
            path = self.path(f"{row}.{'png' if row % 2 else 'pgm'}")
            (write_png if row % 2 else write_pgm)(path, pixels * 255 // 16)
            files.append(path)
            labels.append(label)
        done = run("distillery", "predict", "--model", self.teacher_file, "--json", *files)
        predictions = json.loads(done.stdout)
        self.assertEqual([p["image"] for p in predictions], files)
        for prediction, label in zip(predictions, labels):
            probabilities = [c["probability"] for c in prediction["classes"]]
            self.assertEqual(len(probabilities), 3)
            self.assertEqual(probabilities, sorted(probabilities, reverse=True))
            right += prediction["classes"][0]["class"] == str(label)
        self.assertGreaterEqual(right, 18)
        text = run("distillery", "predict", "--model", self.teacher_file, files[0]).stdout
        self.assertRegex(text, r"0\.pgm: \d \d+\.\d\d %, \d \d+\.\d\d %, \d \d+\.\d\d %")

    def test_predict_refuses_what_is_no_image(self):
        path = self.write("note.png", "not a picture")
        done = run("distillery", "predict", "--model", self.teacher_file, path, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("note.png", done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1)

    def test_query_shows_soft_targets_at_several_temperatures(self):
        teacher = self.teacher(self.teacher_file)
        picture = self.path("sample.svg")
        done = run("distillery", "query", "--index", 12, "--teacher", teacher.address, "--json",
                   "--svg", picture)
        view = json.loads(done.stdout)
        self.assertEqual([row["temperature"] for row in view["soft_targets"]], [1, 3, 10, 100])
        spread = [max(row["probabilities"]) for row in view["soft_targets"]]
        self.assertEqual(spread, sorted(spread, reverse=True))
        for row in view["soft_targets"]:
            self.assertAlmostEqual(sum(row["probabilities"]), 1, places=5)
        self.assertLess(spread[-1], 0.2)
        tree = xml.etree.ElementTree.parse(picture)
        self.assertTrue(tree.getroot().tag.endswith("svg"))
        text = run("distillery", "query", "--index", 12, "--teacher", teacher.address).stdout
        self.assertIn("hard label", text)
        self.assertIn("T = 100", text)
        self.assertIn("█", text)
        pixels, _ = digits_image(3)
        write_png(self.path("big.png"), numpy.kron(pixels * 15, numpy.ones((4, 4))))
        run("distillery", "query", self.path("big.png"), "-T", 2, "--teacher", teacher.address)
        done = run("distillery", "query", "--index", 999, "--teacher", teacher.address, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("indexes are 0 to 396", done.stderr)

    def test_dataset_inspect_counts_and_draws(self):
        sheet = self.path("sheet.png")
        done = run("distillery", "dataset", "inspect", "digits", "--json", "--sheet", sheet)
        about = json.loads(done.stdout)
        self.assertEqual(about["sample_count"], 1400)
        self.assertEqual(sum(c["sample_count"] for c in about["classes"]), 1400)
        self.assertEqual(len(about["digest"]), 64)
        with open(sheet, "rb") as file:
            self.assertEqual(file.read(8), b"\x89PNG\r\n\x1a\n")

    def test_dataset_inspect_refuses_bad_folders(self):
        images, _ = blobs(4, 2)
        cases = {
            "empty": lambda folder: None,
            "corrupt": lambda folder: self.folder_of_images(folder, images, corrupt=True),
            "sizes": lambda folder: self.folder_of_images(folder, images, odd_size=True),
        }
        for name, make in cases.items():
            folder = self.path("data/" + name)
            for split in ("train", "test"):
                for label in ("a", "b"):
                    os.makedirs(os.path.join(folder, split, label))
            make(folder)
            done = run("distillery", "dataset", "inspect", name, "--data-dir", self.path("data"),
                       check=False)
            self.assertNotEqual(done.returncode, 0, name)
            self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
            if name != "empty":
                self.assertIn("train/b/1.png", done.stderr)

    def folder_of_images(self, folder, images, corrupt=False, odd_size=False):
        for split in ("train", "test"):
            for label in ("a", "b"):
                for i in range(2):
                    write_png(os.path.join(folder, split, label, f"{i}.png"), images[i, 0])
        victim = os.path.join(folder, "train/b/1.png")
        if corrupt:
            with open(victim, "r+b") as file:
                file.truncate(60)
        if odd_size:
            write_png(victim, images[0, 0, :5])

    def test_model_show_tells_card_layers_and_size(self):
        about = json.loads(run("distillery", "model", "show", self.teacher_file, "--json").stdout)
        self.assertEqual(about["parameter_count"], 64 * 128 + 128 + 128 * 10 + 10)
        self.assertEqual(about["card"]["input_shape"], [1, 8, 8])
        self.assertEqual({t["name"]: t["shape"] for t in about["tensors"]}["fc1.weight"], [128, 64])
        text = run("distillery", "model", "show", self.teacher_file).stdout
        self.assertIn("mlp:64-128-10", text)

    def test_runs_are_listed_compared_cancelled_and_exported(self):
        coordinator = self.coordinator()
        here = ("--coordinator", coordinator.address)
        self.worker("worker", coordinator.address)
        ids = []
        for rate in ("0.05", "0.01"):
            spec = self.write("run.yaml", specs.digits(alpha=0, rounds=2, local_epochs=1).replace(
                "learning_rate: 0.05", f"learning_rate: {rate}"))
            ids.append(self.submit(spec, coordinator.address))
            self.finish(ids[-1], coordinator.address)
        text = run("distillery", "runs", "compare", *ids, *here).stdout
        self.assertRegex(text, r"training.learning_rate\s+0.05\s+0.01")
        self.assertNotIn("training.momentum", text)
        compared = json.loads(run("distillery", "runs", "compare", *ids, "--json", *here).stdout)
        self.assertEqual(list(compared["spec_differences"]), ["training.learning_rate"])
        listed = json.loads(run("distillery", "runs", "--json", *here).stdout)
        self.assertEqual([r["run_id"] for r in listed], ids[::-1])
        exported = json.loads(run("distillery", "export", ids[0], "--output",
                                  self.path("student.onnx"), "--json", *here).stdout)
        self.assertEqual(exported["weights_sha256"], listed[1]["weights_sha256"])
        int8 = json.loads(run("distillery", "export", ids[0], "--int8", "--output",
                              self.path("student.ptl"), "--json", *here).stdout)
        self.assertEqual(int8["weights_sha256"], exported["weights_sha256"])
        self.assertLess(int8["file_byte_count"], int8["float32_file_byte_count"])
        long = self.write("long.yaml", specs.digits(alpha=0, rounds=5000))
        run_id = self.submit(long, coordinator.address)
        self.assertIn("cancelled", run("distillery", "cancel", run_id, *here).stdout)

    def test_healthcheck_tells_serving_from_absent(self):
        teacher = self.teacher(self.teacher_file)
        run("distillery", "healthcheck", "--address", teacher.address)
        run("distillery", "healthcheck", "--address", self.coordinator().address)
        done = run("distillery", "healthcheck", "--address", "127.0.0.1:1", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("does not answer", done.stderr)

    def test_bash_completes_commands_and_flags(self):
        script = self.write("completion", run("distillery", "completion", "bash").stdout)

        def complete(*words):
            line = " ".join(f"'{word}'" for word in ("distillery",) + words)
            return subprocess.run(
                ["bash", "-c", f"source {script}; COMP_WORDS=({line}); "
                 f"COMP_CWORD={len(words)}; _distillery; echo ${{COMPREPLY[@]}}"],
                check=True, text=True, stdout=subprocess.PIPE).stdout.split()

        self.assertEqual(complete("que"), ["query"])
        self.assertEqual(complete("runs", "comp"), ["compare"])
        self.assertEqual(complete("export", "--out"), ["--output"])
        self.assertIn("--sheet", complete("dataset", "inspect", "--"))


if __name__ == "__main__":
    unittest.main()
