#!/usr/bin/env python3
"""Two network namespaces as two hosts: coordinator and teacher on one, a worker on the other, over
mutual TLS. Ends with 77 where the kernel gives no namespaces."""

import json
import os
import subprocess
import sys
import unittest

import specs
from services import TeacherTestCase, program, run, wait_for

IP = "/usr/sbin/ip" if os.path.exists("/usr/sbin/ip") else "/sbin/ip"


def ip(*arguments):
    return subprocess.run([IP, *arguments], capture_output=True, text=True)


class TwoHostsTest(TeacherTestCase):
    SERVERS, WORKERS = "10.98.0.1", "10.98.0.2"

    def setUp(self):
        super().setUp()
        self.servers = f"distillery-s{os.getpid()}"
        self.workers = f"distillery-w{os.getpid()}"
        wires = f"ds{os.getpid()}", f"dw{os.getpid()}"
        steps = [("netns", "add", self.servers), ("netns", "add", self.workers),
                 ("link", "add", wires[0], "type", "veth", "peer", "name", wires[1])]
        for host, wire, address in ((self.servers, wires[0], self.SERVERS),
                                    (self.workers, wires[1], self.WORKERS)):
            steps += [("link", "set", wire, "netns", host),
                      ("-n", host, "addr", "add", address + "/24", "dev", wire),
                      ("-n", host, "link", "set", wire, "up"),
                      ("-n", host, "link", "set", "lo", "up")]
        for host in (self.servers, self.workers):
            self.addCleanup(ip, "netns", "del", host)
        self.addCleanup(ip, "link", "del", wires[0])  # only if it is in no namespace yet
        for step in steps:
            if not os.path.exists(IP):
                self.skipTest("iproute2 is not installed")
            done = ip(*step)
            if done.returncode != 0:
                self.skipTest(f"no network namespaces here: ip {' '.join(step)}: "
                              f"{done.stderr.strip()}")

    def on(self, host, name, *arguments):
        """A command line that runs a program of the build on a host."""
        return [IP, "netns", "exec", host, program(name), *arguments]

    def tls(self, name):
        file = self.path("certificates/" + name)
        return ["--tls-certificate", file + ".pem", "--tls-key", file + "-key.pem",
                "--tls-ca", self.path("certificates/ca.pem")]

    def test_a_worker_on_another_host_trains_the_same_weights(self):
        run("distillery", "certificates", "create", self.path("certificates"), "--hosts",
            self.SERVERS)
        spec = self.write("run.yaml", specs.digits(self.teacher_file))
        expected = json.loads(run("distillery", "run", spec, "--output", self.path("alone"),
                                  "--json").stdout)["run"]["weights_sha256"]
        coordinator = self.listen("coordinator", *self.on(
            self.servers, "coordinator", "--state-dir", self.path("state"),
            *self.tls("coordinator")), at=self.SERVERS + ":7002")
        teacher = self.listen("teacher", *self.on(
            self.servers, "teacher_service", "--model", self.teacher_file, *self.tls("teacher")),
            at=self.SERVERS + ":7001")
        wait_for("the teacher to be warm", lambda: "listens on" in teacher.log())
        # As deploy/docker-compose.worker.yml starts it; digits is built in, the folder is empty.
        os.makedirs(self.path("data"))
        worker = self.start("worker", *self.on(
            self.workers, "student_worker", "--coordinator", self.SERVERS + ":7002", "--teacher",
            self.SERVERS + ":7001", "--slots", "2", "--data-dir", self.path("data"),
            *self.tls("worker")))
        client = ["--coordinator", self.SERVERS + ":7002", *self.tls("operator")]
        run_id = run(*self.on(self.workers, "distillery", "submit", spec, *client)).stdout.strip()
        done = json.loads(run(*self.on(self.workers, "distillery", "watch", run_id, *client,
                                       "--json")).stdout)["run"]
        self.assertEqual(done["state"], "RUN_STATE_SUCCEEDED")
        self.assertEqual(done["weights_sha256"], expected)
        self.assertEqual(worker.terminate(), 0, worker.log())
        # Over that network nobody gets in without a certificate.
        bare = subprocess.run(self.on(self.workers, "distillery", "runs", "--coordinator",
                                      coordinator.address, "--insecure"),
                              capture_output=True, text=True)
        self.assertEqual(bare.returncode, 1)
        self.assertIn("speaks TLS", bare.stderr)


if __name__ == "__main__":
    result = unittest.main(exit=False).result
    if result.wasSuccessful() and result.skipped:
        print("skipped: " + "; ".join(reason for _, reason in result.skipped), file=sys.stderr)
        sys.exit(77)
    sys.exit(not result.wasSuccessful())
