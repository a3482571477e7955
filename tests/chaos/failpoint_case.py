"""A coordinator and workers that meet failpoints, for tests of single faults."""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))

import failpoints
import specs
from services import Process, TeacherTestCase, run, wait_for

LEASE = 1  # seconds


class FailpointCase(TeacherTestCase):
    """With a teacher at `self.teacher_address`, a RunSpec file `self.spec` and the SHA-256 of its
    undisturbed weights `self.expected`."""

    TRAINING = dict(rounds=3, local_epochs=10)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.spec, cls.expected = cls.undisturbed("run", **cls.TRAINING)
        address_file = os.path.join(cls.class_folder, "teacher.address")
        teacher = Process(cls.class_folder, "teacher", "teacher_service", "--model",
                          cls.teacher_file, "--listen", "127.0.0.1:0", "--address-file",
                          address_file)
        cls.addClassCleanup(teacher.kill)
        wait_for("the teacher to be warm", lambda: "listens on" in teacher.log())
        with open(address_file) as file:
            cls.teacher_address = file.read().strip()

    @classmethod
    def undisturbed(cls, name, **training):
        """(path of a RunSpec, SHA-256 of its weights)"""
        path = os.path.join(cls.class_folder, name + ".yaml")
        with open(path, "w") as file:
            # Momentum, so that a round leaves more than one file.
            file.write(specs.digits(cls.teacher_file, nesterov=True, **training))
            # A stopped worker's task is to wait for it, or for the end of its lease.
            file.write("scheduling: {backup_after: 0}\n")
        done = run("distillery", "run", path, "--output", os.path.join(cls.class_folder, name),
                   "--json")
        return path, json.loads(done.stdout)["run"]["weights_sha256"]

    def setUp(self):
        super().setUp()
        self.failpoint_log = self.path("failpoints.log")

    def armed(self, **arms):
        """Options of a process that acts: armed(coordinator_spool_renamed="kill@2")."""
        known = {name.replace(".", "_"): name for name in failpoints.names()}
        return dict(environment=failpoints.environment(
            {known[name]: act for name, act in arms.items()}, self.failpoint_log))

    def start_coordinator(self, lease=LEASE, **options):
        self.server = self.coordinator("--lease-seconds", lease, **options)
        return self.server

    def restart_coordinator(self, lease=LEASE):
        """Where it was, without failpoints."""
        address = self.server.address
        self.server = self.start("coordinator", "coordinator", "--state-dir", self.path("state"),
                                 "--listen", address, "--lease-seconds", lease)
        self.server.address = address

    def start_worker(self, name="worker-0", coordinator=None, **options):
        return self.worker(name, coordinator or self.server.address, self.teacher_address,
                           "--log-level", "debug", **options)

    def await_death(self, process):
        """Of a process that a failpoint kills."""
        wait_for(f"{process.label} to be killed", lambda: process.child.poll() is not None)
        self.assertEqual(process.child.returncode, -9, process.log())

    def await_stop(self, count=1):
        wait_for("a process to stop itself",
                 lambda: len(failpoints.acted(self.failpoint_log)) >= count)

    def submit_run(self):
        self.run_id = self.submit(self.spec, self.server.address)

    def leases(self, where="1"):
        """(token, round, replica, worker, outcome) of training, in the order of their tokens."""
        return self.record(
            "SELECT l.fencing_token, l.round, l.replica, w.name, l.outcome FROM leases l "
            f"JOIN workers w USING (worker_id) WHERE l.kind=2 AND {where} ORDER BY 1")

    def assert_finishes(self, lost=0):
        """The run ends with the undisturbed weights, and each result was counted once. `lost` leases,
        None for any number."""
        done = self.finish(self.run_id, self.server.address)
        self.assertEqual(done["state"], "RUN_STATE_SUCCEEDED", done["state_reason"])
        self.assertEqual(done["weights_sha256"], self.expected)
        if lost is not None:
            self.assertEqual(int(done["lost_lease_count"]), lost)
        counted = self.record("SELECT round, replica, COUNT(*) FROM leases WHERE kind=2 AND "
                              "outcome='done' GROUP BY round, replica")
        training = done["spec"]["training"]
        self.assertEqual(len(counted), training["rounds"] * training["replicas"])
        self.assertEqual({count for _, _, count in counted}, {1})
        self.assertEqual(self.record("SELECT COUNT(*) FROM leases WHERE outcome IN "
                                     "('active', 'failed')"), [(0,)])
        return done
