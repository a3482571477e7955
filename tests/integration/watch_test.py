#!/usr/bin/env python3
"""`distillery watch` without a run: everything on a full screen, once as lines, or as JSON."""

import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
import unittest

import specs
from services import PATIENCE, TeacherTestCase, program, run, wait_for

ENTER, LEAVE = b"\x1b[?1049h", b"\x1b[?1049l"


class Screen:
    """A program in a terminal of so many columns and rows."""

    def __init__(self, columns, rows, *arguments):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        self.child = subprocess.Popen([program(arguments[0]), *arguments[1:]], stdin=slave,
                                      stdout=slave, stderr=slave, start_new_session=True)
        self.output = b""

    def read(self):
        while select.select([self.master], [], [], 0)[0]:
            self.output += os.read(self.master, 65536)
        return self.output

    def picture(self):
        """The lines of the newest whole picture, without what only styles them."""
        whole = self.read().split(b"\x1b[H")
        if len(whole) < 3:
            return []
        text = re.sub(rb"\x1b\[[?0-9;]*[A-Za-z]", b"", whole[-2]).decode()
        return text.split("\r\n")

    def resize(self, columns, rows):
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def close(self):
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait()
        os.close(self.master)
        os.close(self.slave)


class WatchTest(TeacherTestCase):
    def setUp(self):
        super().setUp()
        self.services = self.coordinator(), self.teacher(self.teacher_file)
        self.addresses = ["--coordinator", self.services[0].address,
                          "--teacher", self.services[1].address]

    def start_run(self, **options):
        spec = self.write("run.yaml", specs.digits(self.teacher_file, **options))
        return self.submit(spec, self.services[0].address)

    def work(self, count):
        for i in range(count):
            self.worker(f"phone-{i}", self.services[0].address, self.services[1].address)

    def snapshot(self):
        return json.loads(run("distillery", "watch", "--json", *self.addresses).stdout)

    def screen(self, columns, rows):
        screen = Screen(columns, rows, "distillery", "watch", *self.addresses)
        self.addCleanup(screen.close)
        return screen

    def test_json_and_one_look_name_runs_workers_and_teachers(self):
        run_id = self.start_run(rounds=200)
        self.work(2)
        busy = wait_for("both workers to have a task", lambda: [
            w for w in self.snapshot()["workers"] if w.get("lease", {}).get("run_id") == run_id][1:])
        self.assertTrue(busy)
        seen = wait_for("tasks to be done", lambda: next(
            (s for s in [self.snapshot()]
             if all(int(w["done_task_count"]) > 0 for w in s["workers"])), None))
        self.assertEqual([w["name"] for w in seen["workers"]], ["phone-0", "phone-1"])
        self.assertEqual([r["run_id"] for r in seen["runs"]], [run_id])
        (teacher,) = seen["teachers"]
        self.assertEqual(teacher["address"], self.services[1].address)
        self.assertGreater(int(teacher["answer"]["activity"]["computed_row_count"]), 0)
        text = run("distillery", "watch", "--once", *self.addresses).stdout
        for part in ("RUNS", "WORKERS", "TEACHERS", run_id, "phone-0", "phone-1", "running",
                     self.services[1].address, "1 run goes on, 2 workers, 1 teacher"):
            self.assertIn(part, text)

    def test_a_worker_that_was_lost_is_counted(self):
        self.start_run(rounds=200)
        coordinator = self.services[0]
        self.work(1)
        wait_for("a task", lambda: any("lease" in w for w in self.snapshot()["workers"]))
        self.assertEqual(len(self.snapshot()["workers"]), 1)
        self.processes[-1].kill()
        quiet = wait_for("silence", lambda: next(
            (w for w in self.snapshot()["workers"] if w["silent_seconds"] > 1), None))
        self.assertEqual(quiet["name"], "phone-0")
        self.assertIsNone(coordinator.child.poll())

    def test_a_killed_worker_is_shown_as_gone_once_its_lease_has_ended(self):
        coordinator = self.listen("short-leases", "coordinator", "--state-dir",
                                  self.path("short-leases"), "--lease-seconds", 1)
        self.addresses[1] = coordinator.address
        spec = self.write("run.yaml", specs.digits(self.teacher_file, rounds=200))
        self.submit(spec, coordinator.address)
        self.worker("phone-0", coordinator.address, self.services[1].address)
        wait_for("a task", lambda: any("lease" in w for w in self.snapshot()["workers"]))
        self.assertFalse(self.snapshot()["workers"][0]["gone"])
        self.processes[-1].kill()
        gone = wait_for("it to be gone", lambda: next(
            (w for w in self.snapshot()["workers"] if w["gone"]), None))
        self.assertNotIn("lease", gone)
        text = run("distillery", "watch", "--once", *self.addresses).stdout
        self.assertIn("0 workers (1 gone)", text)
        self.assertRegex(text, r"phone-0 +gone ")

    def test_the_screen_fits_the_terminal_and_gives_it_back(self):
        self.start_run(rounds=200)
        self.work(3)
        for columns, rows in ((80, 24), (160, 50), (40, 10)):
            screen = self.screen(columns, rows)
            lines = wait_for("a picture", lambda: next(
                (p for p in [screen.picture()] if any("running" in line for line in p)), None))
            self.assertLessEqual(len(lines), rows)
            self.assertLessEqual(max(len(line) for line in lines), columns, lines)
            for title in ("RUNS", "WORKERS") + (("TEACHERS",) if rows > 10 else ()):
                self.assertIn(title, lines)
            if columns == 160:  # else it depends on the other columns' contents
                self.assertTrue(any("samples/s" in line for line in lines), lines)
            os.write(screen.master, b"q")
            self.assertEqual(screen.child.wait(PATIENCE), 0)
            output = screen.read()
            self.assertTrue(output.startswith(ENTER))
            self.assertTrue(output.rstrip().endswith(LEAVE))
            self.assertEqual(termios.tcgetattr(screen.slave), screen.before)

    def test_it_follows_the_size_and_ends_on_ctrl_c(self):
        screen = self.screen(160, 50)
        wait_for("a picture", lambda: screen.picture())
        screen.resize(60, 12)
        wait_for("a smaller one", lambda: 0 < max(map(len, screen.picture())) <= 60)
        screen.child.send_signal(2)
        self.assertEqual(screen.child.wait(PATIENCE), 0)
        self.assertEqual(termios.tcgetattr(screen.slave), screen.before)

    def test_services_that_are_away_are_said_so_and_come_back(self):
        coordinator, teacher = self.services
        run_id = self.start_run()
        self.assertEqual(teacher.terminate(), 0)
        screen = self.screen(100, 30)
        wait_for("the teacher's absence", lambda: any(
            "does not answer" in line for line in screen.picture()))
        coordinator.terminate()
        picture = wait_for("the coordinator's", lambda: next(
            (p for p in [screen.picture()] if any("no coordinator answers" in line for line in p)),
            None))
        self.assertTrue(any(run_id[:10] in line for line in picture))  # as it was last known
        self.coordinator(at=coordinator.address)
        wait_for("it to be back", lambda: screen.picture() and not any(
            "no coordinator answers" in line for line in screen.picture()))
        done = run("distillery", "watch", "--once", "--coordinator", "127.0.0.1:1", check=False)
        self.assertEqual(done.returncode, 1)


if __name__ == "__main__":
    unittest.main()
