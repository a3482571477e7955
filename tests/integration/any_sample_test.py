#!/usr/bin/env python3
"""Table rows, lines of text, a language model, pictures whose pixels have classes, and recordings: one
RunSpec gives one SHA-256, in one process and on services of which a worker dies with a task in its hands."""

import json
import sys
import unittest

from services import ServiceTestCase, run, wait_for

try:
    import sample_sets
except ImportError as error:
    print(f"skipped: {error}; install python3-numpy")
    sys.exit(77)

SPEC = """\
name: {dataset}
dataset: {{name: {dataset}, shard_size: 64, augmentation: "{augmentation}", views: {views}}}
teacher: {{model: "{teacher}"}}
student: {{architecture: "{student}"}}
loss: {{alpha: 0.9, temperature: {temperature}}}
soft_targets: {soft_targets}
training:
  rounds: 2
  replicas: 2
  local_epochs: {local_epochs}
  batch_size: 16
  optimizer: adamw
  optimizer_state: average
  learning_rate: {learning_rate}
"""


class AnySampleTest(ServiceTestCase):
    def data(self, dataset):
        """The folder to write the data set into."""
        return self.path("data/" + dataset)

    def same_after_a_kill(self, dataset, teacher, student, epochs, teacher_epochs=10,
                          learning_rate=0.01, temperature=2, soft_targets="{encoding: float32}",
                          augmentation="none"):
        """Checks that the weights and the figures are those of one process; returns the figures."""
        data = ("--data-dir", self.path("data"))
        teacher_file = self.path("teacher.pt")
        run("distillery", "train-teacher", "--dataset", dataset, *data, "--architecture", teacher,
            "--epochs", teacher_epochs, "--learning-rate", 0.005, "--output", teacher_file)
        spec_path = self.write("run.yaml", SPEC.format(
            dataset=dataset, teacher=teacher_file, student=student, temperature=temperature,
            soft_targets=soft_targets, local_epochs=epochs, learning_rate=learning_rate,
            augmentation=augmentation, views=1 if augmentation == "none" else 3))
        expected = json.loads(run("distillery", "run", spec_path, *data, "--output",
                                  self.path("one"), "--json").stdout)["run"]
        self.assertNotEqual(expected["weights_sha256"], expected["initial_weights_sha256"])

        coordinator = self.coordinator("--lease-seconds", 1)
        service = self.teacher(teacher_file, *data, "--cache-dir", self.path("cache"))
        victim = self.worker("victim", coordinator.address, service.address, *data)
        run_id = run("distillery", "submit", spec_path, *data, "--coordinator",
                     coordinator.address).stdout.strip()
        held = ("SELECT fencing_token FROM leases WHERE outcome='active' AND kind=2 "
                f"AND run_id='{run_id}'")
        lost = wait_for("the victim to hold a task", lambda: self.held_while_stopped(victim, held))
        victim.kill()
        # One without the data: the samples come to it from the teacher.
        self.worker("heir", coordinator.address, service.address)
        done = self.finish(run_id, coordinator.address)

        self.assertEqual(done["state"], "RUN_STATE_SUCCEEDED")
        self.assertEqual(done["weights_sha256"], expected["weights_sha256"])
        self.assertEqual(done["dataset_digest"], expected["dataset_digest"])
        self.assertEqual(done["latest_evaluation"], expected["latest_evaluation"])
        self.assertEqual(int(done["lost_lease_count"]), 1)
        outcome = self.record(f"SELECT outcome FROM leases WHERE fencing_token={lost[0]}")
        self.assertEqual(outcome, [("expired",)])
        self.one_result_per_task(run_id, done)
        return done["latest_evaluation"]

    def accuracy(self, figures):
        return int(figures["correct_count"]) / int(figures["sample_count"])

    def table(self, name, student, least):
        try:
            table = sample_sets.sklearn_table(name)
        except ImportError as error:
            self.skipTest(f"{error}; install python3-sklearn")
        sample_sets.write_table(self.data(name), *table)
        columns, classes = len(table[0]), len(set(table[2]))
        figures = self.same_after_a_kill(name, f"mlp:{columns}-32-{classes}",
                                         f"mlp:{columns}-{student}-{classes}", epochs=20)
        self.assertGreaterEqual(self.accuracy(figures), least)

    def test_Fault01_rows_of_the_breast_cancer_table(self):
        self.table("breast_cancer", "16", 0.9)

    def test_Fault01_rows_of_the_wine_table(self):
        self.table("wine", "8", 0.9)

    def plays(self):
        try:
            return sample_sets.shakespeare()
        except FileNotFoundError as error:
            self.skipTest(f"{error}; name its folder by $DISTILLERY_DATA_DIR")

    def test_Fault01_the_speaker_of_a_line(self):
        sample_sets.write_speakers(self.data("speakers"), self.plays(), speakers=3, length=32,
                                   train=400, test=100)
        figures = self.same_after_a_kill("speakers", "transformer:1-2-16",
                                         "transformer:1-2-16,dropout=0.1", epochs=3,
                                         teacher_epochs=4, soft_targets="{encoding: float16}")
        self.assertGreater(self.accuracy(figures), 0.2)

    def language_model(self, student):
        sample_sets.write_plays(self.data("plays"), self.plays(), train=12_800, test=3_200,
                                length=32)
        figures = self.same_after_a_kill("plays", "transformer:1-2-32,causal", student, epochs=2,
                                         temperature=1,
                                         soft_targets="{encoding: top_k, top_k: 16}")
        self.assertLess(figures["cross_entropy"], 4)  # of 257 equally likely ones 5.5
        self.assertEqual(int(figures["position_count"]), 3_199)

    def test_Fault01_a_language_model_by_the_16_likeliest_tokens_and_a_tail(self):
        self.language_model("transformer:1-2-16,causal")

    def test_Fault01_the_same_with_a_recurrent_network(self):
        self.language_model("gru:24")

    def test_Fault01_digits_on_canvases_pixel_by_pixel(self):
        sample_sets.write_canvases(self.data("canvases"), train=160, test=40)
        figures = self.same_after_a_kill("canvases", "unet:6-2", "unet:4-2", epochs=2,
                                         teacher_epochs=6, soft_targets="{encoding: int8}",
                                         augmentation="color:40")
        self.assertEqual(int(figures["position_count"]), 40 * 32 * 32)
        self.assertGreater(figures["mean_iou"], 0.05)

    def spoken_digits(self, options, teacher, student, augmentation="none"):
        try:
            sample_sets.write_spoken_digits(self.data("spoken"), by_speaker=False, options=options,
                                            most=24)
        except FileNotFoundError as error:
            self.skipTest(f"{error}; name its folder by $DISTILLERY_DATA_DIR")
        figures = self.same_after_a_kill("spoken", teacher, student, epochs=6, teacher_epochs=12,
                                         augmentation=augmentation)
        self.assertEqual(int(figures["sample_count"]), 240)
        self.assertGreater(self.accuracy(figures), 0.1)

    def test_Fault01_spoken_digits_as_spectrograms(self):
        self.spoken_digits({"rate": 8000, "length": 8000, "features": "log_mel"}, "dscnn:16-2",
                           "dscnn:8-2")

    def test_Fault01_spoken_digits_as_raw_sound(self):
        self.spoken_digits({"rate": 4000, "length": 4000}, "conv1d:8", "conv1d:4",
                           augmentation="shift:200+gain:6+noise:1")


if __name__ == "__main__":
    unittest.main()
