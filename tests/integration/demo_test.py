#!/usr/bin/env python3
"""The demo: its table, its folder, its end by Ctrl-C and its way to go on."""

import json
import os
import signal
import subprocess
import unittest

from services import ServiceTestCase, program, run, wait_for

SMALL = ["--workers", "2"]


class DemoTest(ServiceTestCase):
    def start_demo(self, *arguments):
        return subprocess.Popen([program("distillery"), "demo", "--output", self.path("demo"),
                                 *SMALL, *arguments], text=True, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE,
                                # Meant for other services, and half of what TLS needs.
                                env={**os.environ, "DISTILLERY_TLS_CA": "/none"})

    def children_of(self, demo):
        listed = subprocess.run(["ps", "--ppid", str(demo.pid), "-o", "pid="], text=True,
                                stdout=subprocess.PIPE).stdout
        return [int(word) for word in listed.split()]

    def alive(self, pids):
        return [pid for pid in pids if os.path.exists(f"/proc/{pid}/exe")]

    def test_it_stops_by_ctrl_c_goes_on_and_leaves_what_it_says(self):
        demo = self.start_demo()
        children = wait_for("teacher, coordinator and workers", lambda: (
            lambda found: found if len(found) == 4 else None)(self.children_of(demo)))
        self.assertTrue(os.path.exists(self.path("demo/teacher.pt")))
        demo.send_signal(signal.SIGINT)
        _, stderr = demo.communicate(timeout=60)
        self.assertEqual(demo.returncode, 1)
        self.assertIn("the same command goes on from there", stderr)
        self.assertEqual(self.alive(children), [])

        done = run("distillery", "demo", "--output", self.path("demo"), *SMALL)
        for row in ("teacher ", "student, hard labels", "student, distilled ",
                    "student, distilled, int8"):
            self.assertIn(row, done.stdout)
        self.assertIn("worth trying next", done.stdout)
        for name in ("teacher.pt", "student.pt", "student_int8.pt", "student_hard.pt",
                     "metrics.json", "README.txt", "logs/coordinator.log", "logs/teacher_service.log",
                     "logs/student_worker-1.log", "logs/student_worker-2.log"):
            self.assertTrue(os.path.getsize(self.path("demo/" + name)) > 0, name)
        with open(self.path("demo/metrics.json")) as file:
            metrics = json.load(file)
        self.assertGreaterEqual(metrics["teacher"]["correct_count"] / 397, 0.95)
        self.assertGreaterEqual(metrics["student_distilled"]["correct_count"] / 397, 0.93)
        large, small = metrics["student_distilled"], metrics["student_distilled_int8"]
        self.assertEqual(small["parameter_count"], large["parameter_count"])
        self.assertEqual(small["file_byte_count"],
                         os.path.getsize(self.path("demo/student_int8.pt")))
        self.assertLess(small["file_byte_count"], large["file_byte_count"])
        self.assertLessEqual(abs(small["correct_count"] - large["correct_count"]), 4)
        runs = metrics["runs"]
        self.assertEqual(runs["hard"][0]["run"]["spec"]["loss"]["alpha"], 0)
        # What makes the comparison honest: all else is equal but the rate, and that is from the grid.
        hard, soft = (runs[kind][0]["run"]["spec"] for kind in ("hard", "distilled"))
        self.assertEqual(hard["dataset"], soft["dataset"])
        grid = {point["learning_rate"] for point in metrics["learning_rate_grid"]}
        for spec in (hard, soft):
            self.assertIn(spec["training"].pop("learning_rate"), grid)
        self.assertEqual(hard["training"], soft["training"])

    def test_its_processes_die_with_it(self):
        demo = self.start_demo()
        children = wait_for("its processes", lambda: (
            lambda found: found if len(found) == 4 else None)(self.children_of(demo)))
        demo.kill()
        demo.communicate()
        wait_for("the processes to end", lambda: not self.alive(children))

    def test_a_teacher_that_does_not_fit_is_refused(self):
        path = self.write("no.pt", "nothing")
        done = run("distillery", "demo", "--teacher", path, "--output", self.path("demo"),
                   check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("is not a TorchScript model", done.stderr)


if __name__ == "__main__":
    unittest.main()
