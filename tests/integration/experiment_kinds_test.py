#!/usr/bin/env python3
"""The other quick experiments, and an experiment by a coordinator's own workers."""

import os
import unittest

from experiments import ExperimentCase, figure, rows, series
from services import run


class KindsTest(ExperimentCase):
    def test_mnist(self):
        results = self.experiment("hinton", "--seeds", "1")
        self.assertEqual(results["name"], "mnist")
        errors = {row["model"]: row["errors"] for row in rows(results, "Errors on the test split")}
        self.assertLess(errors["teacher"], 20)
        self.assertLess(errors["student, soft targets"], 20)
        study = figure(results, "Temperature by width")
        self.assertEqual([one["name"] for one in study["series"]],
                         ["32 units", "8 units", "4 units"])
        # Four units are too few at any temperature: 10 to 40 errors more than 32.
        wide, _, narrow = (sum(one["y"]) for one in study["series"])
        self.assertLess(wide, narrow)

    def test_robustness(self):
        results = self.experiment("robustness", "--seeds", "1")
        spoilt = rows(results, "Accuracy on spoilt test images")
        self.assertEqual(len(spoilt), 1 + 3 * 5)
        for name in ("Gaussian noise", "shift", "blur"):
            soft = series(results, "Accuracy under " + name, "soft targets")
            self.assertEqual(len(soft["y"]), 6)
            self.assertLess(soft["y"][-1], soft["y"][0] - 5, name)

    def test_compression(self):
        results = self.experiment("compression", "--seeds", "1")
        int8 = series(results, "Accuracy by size", "soft targets, int8")
        float32 = series(results, "Accuracy by size", "soft targets, float32")
        # The widest student is compared; a point is 4 images.
        self.assertLess(int8["x"][-1], 0.7 * float32["x"][-1])
        self.assertLess(abs(int8["y"][-1] - float32["y"][-1]), 1.1)
        self.assertGreater(float32["y"][-1], float32["y"][0])

    def test_sweep(self):
        whole = self.experiment("sweep", "--seeds", "1")
        map_ = figure(whole, "Errors on the validation part")
        mark = map_["mark"]
        self.assertEqual(map_["values"][mark["row"]][mark["column"]],
                         min(min(row) for row in map_["values"]))
        halved = self.experiment("sweep", "--seeds", "1", "--auto", folder=self.path("auto"))
        rungs = rows(halved, "Rungs of successive halving")
        self.assertEqual([row["pairs"] for row in rungs], ["28", "14", "7", "4", "2"])
        self.assertEqual([int(row["epochs"]) / int(rungs[0]["epochs"]) for row in rungs],
                         [1, 2, 4, 8, 16])
        for results in (whole, halved):
            final = rows(results, "The recommended pair on the test split")
            self.assertLess(final[1]["errors"], 20)

    def test_a_coordinators_workers_do_it(self):
        model = self.path("teacher.pt")
        run("distillery", "train-teacher", "--output", model)
        coordinator = self.coordinator()
        teacher = self.teacher(model)
        self.worker("one", coordinator.address, teacher.address)
        results = self.experiment("robustness", "--seeds", "1", "--teacher", model,
                                  "--coordinator", coordinator.address)
        own = self.experiment("robustness", "--seeds", "1", "--teacher", model,
                              folder=self.path("own"))
        self.assertEqual(results["tables"], own["tables"])
        self.assertEqual(results["figures"], own["figures"])
        self.assertEqual([kept["weights_sha256"] for kept in results["runs"]],
                         [kept["weights_sha256"] for kept in own["runs"]])
        self.assertNotEqual(results["runs"][0]["run_id"], "")
        self.assertFalse(os.path.exists(self.path("robustness/state")))


if __name__ == "__main__":
    unittest.main()
