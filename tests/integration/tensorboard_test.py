#!/usr/bin/env python3
"""TensorBoard's event files of a run, read by a reader of the test's own and held against
metrics.json, leases.json and the weights."""

import glob
import json
import os
import struct
import unittest

import event_reader
import numpy
import specs
from services import TeacherTestCase, run


def safetensors(path):
    """{name: float32 array} by the format's description."""
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        data = file.read()
    return {name: numpy.frombuffer(data[slice(*about["data_offsets"])], "<f4")
            for name, about in header.items() if name != "__metadata__" and about["dtype"] == "F32"}


def only(pattern):
    found = glob.glob(pattern)
    assert len(found) == 1, (pattern, found)
    return found[0]


class TensorBoardTest(TeacherTestCase):
    def test_crc32c_of_the_reader_is_that_of_rfc_3720(self):
        self.assertEqual(event_reader.crc32c(b"123456789"), 0xE3069283)
        self.assertEqual(event_reader.crc32c(bytes(32)), 0x8A9136AA)

    def test_files_of_a_run_hold_its_figures(self):
        folder = self.path("run")
        spec = self.write("run.yaml", specs.digits(teacher=self.teacher_file, rounds=3,
                                                   local_epochs=1))
        run("distillery", "run", spec, "--output", folder)
        with open(folder + "/metrics.json") as file:
            metrics = json.load(file)
        scalars, histograms, times = event_reader.read(
            only(folder + "/tensorboard/events.out.tfevents.*"))
        self.assertEqual(times, sorted(times))
        # protoc takes the records for the same messages.
        path = only(folder + "/tensorboard/events.out.tfevents.*")
        lines = [event_reader.decode_raw(data) for data in event_reader.records(path)]
        self.assertEqual(lines[0][1], '3: "brain.Event:2"')
        loss = struct.unpack("<I", struct.pack("<f", metrics["rounds"][0]["train"]["loss"]))[0]
        self.assertEqual(lines[1][1:], ["2: 1", "5 {", "1 {", '1: "loss/total"', f"2: 0x{loss:08x}",
                                        "}", "}"])

        def near(tag, step, expected):
            self.assertAlmostEqual(scalars[tag][step], expected, delta=1e-6 * max(1, abs(expected)),
                                   msg=f"{tag} at {step}")

        self.assertEqual(len(metrics["rounds"]), 3)
        for one in metrics["rounds"]:
            step, train, evaluation = one["round"] + 1, one["train"], one["evaluation"]
            near("loss/total", step, train["loss"])
            near("loss/soft", step, train["soft_loss"])
            near("loss/hard", step, train["hard_loss"])
            near("time/training_seconds", step, train["seconds"])
            near("time/teacher_wait_seconds", step, train["teacher_wait_seconds"])
            near("time/data_wait_seconds", step, train["data_wait_seconds"])
            near("averaging/delta_norm", step, one["delta_norm"])
            samples = int(evaluation["sample_count"])
            near("evaluation/accuracy", step, int(evaluation["correct_count"]) / samples)
            near("evaluation/cross_entropy", step, evaluation["cross_entropy"])
            near("evaluation/teacher_agreement", step,
                 int(evaluation["agreement_count"]) / samples)
            near("evaluation/teacher_kl", step, evaluation["teacher_kl"])
            self.assertGreater(scalars["time/samples_per_second"][step], 0)

        # Replica by replica, from the leases; their means by samples are the round's figures.
        with open(folder + "/leases.json") as file:
            leases = json.load(file)["leases"]
        trained = [one for one in leases if one.get("train")]
        self.assertEqual(len(trained), 3 * 5)
        for replica in range(5):
            own, _, _ = event_reader.read(
                only(f"{folder}/tensorboard/replica-{replica}/events.out.tfevents.*"))
            for one in trained:
                if one["lease"]["replica"] != replica:
                    continue
                step = one["lease"]["round"] + 1
                self.assertAlmostEqual(own["loss/total"][step], one["train"]["loss"], places=6)
                self.assertAlmostEqual(own["loss/soft"][step], one["train"]["soft_loss"], places=6)
        for one in metrics["rounds"]:
            of_round = [t["train"] for t in trained if t["lease"]["round"] == one["round"]]
            samples = sum(int(t["sample_count"]) for t in of_round)
            mean = sum(int(t["sample_count"]) * t["loss"] for t in of_round) / samples
            self.assertAlmostEqual(mean, one["train"]["loss"], places=9)

        # Weights of the last rounds; the newest are those of student.safetensors.
        for name, values in safetensors(folder + "/student.safetensors").items():
            of_tensor = histograms["weights/" + name]
            self.assertIn(2, of_tensor, "the round before is still kept")
            newest = of_tensor[3]
            self.assertEqual(newest["num"], values.size)
            self.assertEqual(newest["min"], float(values.min()))
            self.assertEqual(newest["max"], float(values.max()))
            wide = values.astype("float64")
            self.assertAlmostEqual(newest["sum"], wide.sum(), delta=1e-6)
            self.assertAlmostEqual(newest["sum_squares"], (wide * wide).sum(), delta=1e-6)
            limits, counts = newest["limits"], newest["counts"]
            self.assertEqual(len(limits), len(counts))
            self.assertEqual(limits, sorted(limits))
            edges = [-numpy.inf] + limits
            for low, high, count in zip(edges, limits, counts):
                self.assertEqual(count, ((wide > low) & (wide <= high)).sum())
        entropy = histograms["teacher/entropy"][3]
        self.assertEqual(entropy["num"], 397)
        self.assertGreaterEqual(entropy["min"], 0)
        self.assertLessEqual(entropy["max"], numpy.log(10) + 1e-6)

    def test_a_run_done_anew_leaves_no_file_of_the_old_one(self):
        folder = self.path("run")
        for rate in ("0.05", "0.02"):
            spec = self.write("run.yaml", specs.digits(alpha=0, rounds=1, local_epochs=1).replace(
                "learning_rate: 0.05", f"learning_rate: {rate}"))
            run("distillery", "run", spec, "--output", folder)
        scalars, _, _ = event_reader.read(only(folder + "/tensorboard/events.out.tfevents.*"))
        self.assertEqual(scalars["loss/soft"][1], 0)
        self.assertFalse(os.path.exists(folder + "/tensorboard/replica-5"))


if __name__ == "__main__":
    unittest.main()
