#!/usr/bin/env python3
"""`distillery certificates`, and who it lets in where: real services over mutual TLS."""

import json
import os
import pathlib
import shutil
import subprocess
import unittest

import specs
from services import TeacherTestCase, run, wait_for


class CertificatesTest(TeacherTestCase):
    def create(self, *arguments, folder="certificates", check=True):
        return run("distillery", "certificates", "create", self.path(folder), *arguments,
                   check=check)

    def tls(self, name, folder="certificates"):
        file = os.path.join(self.path(folder), name)
        return ["--tls-certificate", file + ".pem", "--tls-key", file + "-key.pem",
                "--tls-ca", self.path(folder + "/ca.pem")]

    def refused(self, expected, *command):
        """The command ends with 1, and says `expected`."""
        done = run(*command, check=False)
        self.assertEqual(done.returncode, 1, done.stderr)
        for text in expected:
            self.assertIn(text, done.stderr)
        return done.stderr

    def ends(self, worker, *expected):
        """The worker ends by itself with 1, and its last line says `expected`."""
        self.assertEqual(worker.child.wait(timeout=60), 1, worker.log())
        last = worker.log().strip().splitlines()[-1]
        for text in expected:
            self.assertIn(text, last)

    def test_create_and_show(self):
        done = self.create("--hosts", "c.example,10.0.0.7", "--days", 30)
        self.assertEqual([line.split()[0] for line in done.stdout.splitlines()], ["made"] * 7)
        shown = json.loads(run("distillery", "certificates", "show",
                               self.path("certificates/teacher.pem"), "--json").stdout)
        self.assertEqual(shown["role"], "teacher")
        self.assertEqual(shown["hosts"], ["c.example", "10.0.0.7", "localhost", "127.0.0.1"])
        self.assertTrue(shown["valid"])
        self.create("--role", "worker", "--name", "worker-7")
        text = run("distillery", "certificates", "show",
                   self.path("certificates/worker-7.pem")).stdout
        self.assertRegex(text, r"role +worker\nname +worker-7\nhosts +-\nissuer +CN=distillery CA\n")
        before = pathlib.Path(self.path("certificates/worker.pem")).read_text()
        kept = self.create().stdout
        self.assertEqual([line.split()[0] for line in kept.splitlines()], ["kept"] * 6)
        self.assertEqual(pathlib.Path(self.path("certificates/worker.pem")).read_text(), before)
        self.create("--role", "worker", "--force")
        self.assertNotEqual(pathlib.Path(self.path("certificates/worker.pem")).read_text(), before)

    def test_create_refuses_what_makes_no_sense(self):
        for arguments, expected in ((("--role", "wroker"), 'did you mean "worker"'),
                                    (("--name", "x"), "--name goes with a single --role"),
                                    (("--hosts", "c.example:7002"), "neither a DNS name"),
                                    (("--days", "0"), "--days")):
            done = self.create(*arguments, check=False)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(expected, done.stderr)
        done = run("distillery", "certificates", "show", self.teacher_file, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("no certificate", done.stderr)

    def test_a_run_over_tls_and_new_certificates_on_the_way(self):
        """Each program with its role; while it runs, all certificates are made anew by another
        authority. The weights are those of a run in one process."""
        self.create()
        spec = self.write("run.yaml", specs.digits(self.teacher_file, rounds=8))
        expected = json.loads(run("distillery", "run", spec, "--output", self.path("alone"),
                                  "--json").stdout)["run"]["weights_sha256"]
        coordinator = self.coordinator(*self.tls("coordinator"))
        teacher = self.teacher(self.teacher_file, *self.tls("teacher"))
        at = ["--coordinator", coordinator.address]
        worker = self.worker("worker", coordinator.address, teacher.address, *self.tls("worker"))
        operator = self.tls("operator")
        run_id = run("distillery", "submit", spec, *at, *operator).stdout.strip()
        wait_for("a round", lambda: self.record("SELECT 1 FROM rounds WHERE round >= 2 LIMIT 1"))
        # The files change under the programs' hands, one after the other.
        self.create(folder="new")
        for name in sorted(os.listdir(self.path("new"))):
            shutil.copy(self.path("new/" + name), self.path("copy"))
            os.rename(self.path("copy"), self.path("certificates/" + name))
        second = self.worker("second", coordinator.address, teacher.address, *self.tls("worker"))
        done = json.loads(run("distillery", "watch", run_id, *at, *operator,
                              "--json").stdout)["run"]
        self.assertEqual(done["weights_sha256"], expected)
        self.assertIn("read anew", wait_for("the new certificate", lambda: (
            coordinator.log() if "read anew" in coordinator.log() else "")))
        reader = self.tls("reader")
        self.assertIn("succeeded", run("distillery", "runs", *at, *reader).stdout)
        run("distillery", "query", "--teacher", teacher.address, "--index", 3, *reader)
        run("distillery", "healthcheck", "--address", coordinator.address, *self.tls("teacher"))
        for process in (worker, second):
            self.assertEqual(process.terminate(), 0, process.log())

    def test_Fault47_each_wrong_certificate_is_told_what_is_wrong(self):
        self.create()
        self.create(folder="other")
        coordinator = self.coordinator(*self.tls("coordinator"))
        teacher = self.teacher(self.teacher_file, *self.tls("teacher"))
        at = ["--coordinator", coordinator.address]
        spec = self.write("run.yaml", specs.digits(self.teacher_file))
        query = ["distillery", "query", "--teacher", teacher.address, "--index", "3"]
        # No certificate.
        for command in (["distillery", "runs", *at], query,
                        ["distillery", "healthcheck", "--address", coordinator.address]):
            self.refused(["speaks TLS", "give --tls-certificate"], *command)
        # Another authority's server, and another authority's client.
        self.refused(["is from another authority", "--tls-ca"], "distillery", "runs", *at,
                     *self.tls("operator", "other"))
        mixed = self.tls("operator", "other")[:4] + ["--tls-ca", self.path("certificates/ca.pem")]
        self.refused(["refuses this program's certificate"], "distillery", "runs", *at, *mixed)
        # The wrong role.
        self.refused(['"reader" is reader', "SubmitRun needs operator", "--role operator"],
                     "distillery", "submit", spec, *at, *self.tls("reader"))
        self.refused(["GetTeacher needs worker or operator or reader"], *query,
                     *self.tls("coordinator"))
        # A key of another certificate.
        swapped = self.tls("operator")
        swapped[3] = self.path("certificates/reader-key.pem")
        self.refused(["reader-key.pem: not the key of"], "distillery", "runs", *at, *swapped)
        # The wrong host: it listens on all addresses, its certificate is for 127.0.0.1 alone.
        everywhere = self.listen("everywhere", "coordinator", "--state-dir", self.path("state-2"),
                                 *self.tls("coordinator"), at="0.0.0.0:0")
        port = everywhere.address.rpartition(":")[2]
        self.refused(["is for localhost, 127.0.0.1, not for 127.0.0.2", "--hosts 127.0.0.2"],
                     "distillery", "runs", "--coordinator", "127.0.0.2:" + port,
                     *self.tls("operator"))

    def test_Fault47_a_worker_with_a_wrong_certificate_ends(self):
        self.create()
        self.create(folder="other")
        coordinator = self.coordinator(*self.tls("coordinator"))
        teacher = self.teacher(self.teacher_file, *self.tls("teacher"))
        here = (coordinator.address, teacher.address)
        self.ends(self.worker("plain", *here), "speaks TLS", "give --tls-certificate")
        self.ends(self.worker("other", *here, *self.tls("worker", "other")),
                  "is from another authority")
        self.ends(self.worker("role", *here, *self.tls("reader")), "RegisterWorker needs worker")
        slots = self.worker("slots", *here, *self.tls("reader"), "--slots", 2)
        self.ends(slots)  # the slot that is stopped with the refused one may have the last word
        self.assertIn("RegisterWorker needs worker", slots.log())
        # A teacher that cannot be talked to shows at the start too.
        plain = self.listen("plain-teacher", "teacher_service", "--model", self.teacher_file)
        self.ends(self.worker("teacher", coordinator.address, plain.address, *self.tls("worker")),
                  "speaks plain text")
        # One that is only away is waited for.
        coordinator.kill()
        waiting = self.worker("waiting", *here, *self.tls("worker"))
        wait_for("the worker to wait", lambda: "waiting for it" in waiting.log())
        self.assertIsNone(waiting.child.poll())
        self.coordinator(*self.tls("coordinator"), at=coordinator.address)
        wait_for("it to register", lambda: "registered as" in waiting.log())

    def test_Fault47_a_certificate_that_has_expired(self):
        self.create()
        folder = self.path("certificates")
        request = subprocess.run(
            f"openssl req -new -key {folder}/reader-key.pem -subj /CN=reader -out {folder}/r.csr && "
            f"printf 'subjectAltName=URI:spiffe://distillery/reader/reader' > {folder}/r.cnf && "
            f"openssl x509 -req -in {folder}/r.csr -CA {folder}/ca.pem -CAkey {folder}/ca-key.pem "
            f"-days -1 -extfile {folder}/r.cnf -out {folder}/reader.pem", shell=True,
            capture_output=True, text=True)
        if request.returncode != 0:
            self.skipTest("openssl makes no expired certificate: " + request.stderr[-200:])
        coordinator = self.coordinator(*self.tls("coordinator"))
        self.refused(["reader.pem: the certificate", "--force --role reader --name reader"],
                     "distillery", "runs", "--coordinator", coordinator.address,
                     *self.tls("reader"))

    def test_Fault47_a_worker_that_is_not_on_the_list_until_it_is(self):
        self.create()
        self.create("--role", "worker", "--name", "worker-7")
        allowed = self.write("allowed", "# ours\nworker-1\n")
        coordinator = self.coordinator(*self.tls("coordinator"), "--allowed-workers", allowed)
        refused = self.worker("refused", coordinator.address, "", *self.tls("worker-7"))
        self.ends(refused, 'worker "worker-7" is not on', "add the line worker-7",
                  "--allowed-workers")
        self.assertNotIn(self.folder + "/allowed", refused.log())
        with open(allowed, "a") as file:
            file.write("worker-7\n")
        wait_for("the list to be read anew", lambda: self.admitted(coordinator.address))

    def admitted(self, address):
        """Whether the coordinator takes worker-7 now: it looks at the list once a second."""
        worker = self.worker("again", address, "", *self.tls("worker-7"))
        wait_for("an answer", lambda: "registered as" in worker.log() or
                 worker.child.poll() is not None)
        admitted = worker.child.poll() is None
        worker.kill()
        return admitted

    def test_allowed_workers_want_tls(self):
        done = run("coordinator", "--state-dir", self.path("state"), "--allowed-workers",
                   self.write("allowed", ""), check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("--allowed-workers goes by the names in certificates", done.stderr)


if __name__ == "__main__":
    unittest.main()
