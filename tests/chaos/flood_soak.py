#!/usr/bin/env python3
"""Floods of hostile clients beside an honest run, which keeps its bits and half of its pace.

A coordinator, a teacher and two workers train a student of the built-in digits again and again, first
by themselves, then with floods of all kinds at both services, in an order that `--seed` gives. It
fails unless each run ended with the weights of `distillery run`, the runs under floods took at most
twice as long as those before, and both services' resident memory is back within 64 MiB of its start
a minute after the last flood. Runs are deleted as they end: a coordinator keeps the figures of each
run in memory, 0.2 MiB for one of these, which is not what floods leave behind. The floods come from an
address of their own, 127.0.0.2, since limits that go by the address would else hold the honest clients
as well.

Not part of the tests: run it by hand, as in `flood_soak.py --minutes 60`."""

import argparse
import contextlib
import json
import multiprocessing
import os
import random
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))

import specs
from http2_frames import (DATA, END_HEADERS, END_STREAM, HEADERS, Frames, frame, request_headers,
                          reset_streams)
from services import Process, add_stubs, program, run, wait_for

MIB = 1 << 20
FROM = "127.0.0.2"
CALM_RUNS = 3
SETTLE = 60  # seconds
KEPT = 64 * MIB
COORDINATOR = "/distillery.v1.CoordinatorService/"
TEACHER = "/distillery.v1.TeacherService/"


def message(proto):
    data = proto.SerializeToString()
    return b"\x00" + struct.pack(">I", len(data)) + data


def call(stream, path, *messages, ended=True):
    """The frames of a call that sends `messages`, of at most 16 KiB each."""
    frames = frame(HEADERS, request_headers(path), END_HEADERS, stream)
    for i, data in enumerate(messages):
        last = ended and i == len(messages) - 1
        frames += frame(DATA, data, END_STREAM if last else 0, stream)
    return frames


class Hold:
    """Connections that are kept for a while, and then closed."""

    def __init__(self):
        self.connections = []

    def open(self, address, content=b""):
        with contextlib.suppress(OSError):
            connection = Frames(address, FROM)
            self.connections.append(connection)
            connection.socket.settimeout(5)
            connection.socket.sendall(content)

    def keep(self, seconds):
        time.sleep(seconds)
        for connection in self.connections:
            connection.close()


def drained(address, frames):
    """Sends, and throws away what comes back."""
    with contextlib.suppress(OSError):
        connection = Frames(address, FROM)
        connection.socket.settimeout(60)

        def read():
            with contextlib.suppress(OSError):
                while connection.socket.recv(1 << 16):
                    pass

        threading.Thread(target=read, daemon=True).start()
        connection.socket.sendall(frames)
        connection.close()


def rapid_reset(target, generator):
    path = generator.choice((COORDINATOR + "ListRuns", TEACHER + "GetTeacher", "/no/such"))
    drained(generator.choice((target.coordinator, target.teacher)), reset_streams(path, 100_000))


def unread(target, generator, method, request, connections, streams):
    """So many calls on each of so many connections, of which nothing is read."""
    hold = Hold()
    for _ in range(connections):
        hold.open(target.coordinator, b"".join(
            call(2 * i + 1, COORDINATOR + method, message(request)) for i in range(streams)))
    hold.keep(generator.uniform(5, 20))


def unread_watches(target, generator):
    unread(target, generator, "WatchRun", target.messages.WatchRunRequest(run_id=target.run_id),
           connections=12, streams=1000)


def unread_downloads(target, generator):
    unread(target, generator, "DownloadWeights",
           target.messages.DownloadWeightsRequest(run_id=target.run_id), connections=5, streams=200)


def half_uploads(target, generator):
    messages = target.messages
    chunk = message(messages.UploadWeightsRequest(
        chunk=messages.BytesChunk(offset=0, data=bytes(15 << 10))))
    hold = Hold()
    for _ in range(2):
        content = b""
        for i in range(100):
            header = messages.UploadWeightsHeader(
                request_id=f"half-{generator.getrandbits(64):x}", byte_count=7 * MIB,
                sha256=f"{generator.getrandbits(256):064x}")
            content += call(2 * i + 1, COORDINATOR + "UploadWeights",
                            message(messages.UploadWeightsRequest(header=header)), chunk,
                            ended=False)
        # What one connection may send before it is told that there is room for more.
        hold.open(target.coordinator, content[:60_000])
    hold.keep(generator.uniform(5, 20))


def idle_connections(target, generator):
    hold = Hold()
    address = generator.choice((target.coordinator, target.teacher))
    for _ in range(1024):
        hold.open(address)
    hold.keep(generator.uniform(5, 20))


def slow_requests(target, generator):
    hold = []
    for address in (target.coordinator_metrics, target.teacher_metrics):
        host, port = address.split(":")
        for _ in range(400):
            with contextlib.suppress(OSError):
                connection = socket.create_connection((host, int(port)), 5, (FROM, 0))
                connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: l")
                hold.append(connection)
    time.sleep(generator.uniform(2, 10))
    for connection in hold:
        connection.close()


FLOODS = (rapid_reset, unread_watches, unread_downloads, half_uploads, idle_connections,
          slow_requests)


class Target:
    """What floods need to know."""

    def __init__(self, **values):
        self.__dict__.update(values)


def resident(process):
    with open(f"/proc/{process.child.pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Soak:
    def __init__(self, folder, flags):
        self.folder = folder
        self.flags = flags
        self.problems = []
        self.most = {}
        self.counts = {}
        self.flooded = None  # the run that floods ask for

    def path(self, name):
        return os.path.join(self.folder, name)

    def serve(self, label, *arguments):
        """A service with its `address` and its metrics' address."""
        process = Process(self.folder, label, *arguments, "--listen", "127.0.0.1:0",
                          "--address-file", self.path(label + ".address"), "--metrics-listen",
                          "127.0.0.1:0", "--metrics-address-file", self.path(label + ".metrics"),
                          "--log-level", "warning")
        for name in (".address", ".metrics"):
            wait_for(f"{label}{name}", lambda: os.path.exists(self.path(label + name)))
        process.address = open(self.path(label + ".address")).read().strip()
        process.metrics = open(self.path(label + ".metrics")).read().strip()
        return process

    def submit(self):
        return run("distillery", "submit", self.spec, "--coordinator",
                   self.coordinator.address).stdout.strip()

    def honest_run(self, run_id):
        """Waits for its end, and deletes it: its seconds."""
        start = time.monotonic()
        with open(self.path("watch.log"), "a") as log:
            watch = subprocess.Popen([program("distillery"), "watch", run_id, "--coordinator",
                                      self.coordinator.address, "--json"], text=True,
                                     stdout=subprocess.PIPE, stderr=log)
        while watch.poll() is None:
            time.sleep(0.05)
            if any(process.child.poll() is not None for process in self.processes):
                watch.kill()  # it would wait for one that does not come back
                watch.communicate()
                raise AssertionError(f"run {run_id} stands still")
        done = json.loads(watch.communicate()[0])["run"]
        if done["weights_sha256"] != self.expected:
            self.problems.append(f"run {run_id} has the weights {done['weights_sha256']}, "
                                 f"`distillery run` has {self.expected}")
        seconds = time.monotonic() - start
        if run_id != self.flooded:
            run("distillery", "delete", run_id, "--coordinator", self.coordinator.address)
        return seconds

    def note_memory(self):
        for process in (self.coordinator, self.teacher):
            self.most[process.label] = max(self.most.get(process.label, 0), resident(process))
            if process.child.poll() is not None:
                raise AssertionError(f"{process.label} ended:\n{process.log()[-3000:]}")

    def flood(self, stop):
        """One after the other, each in a process of its own, until `stop` is set."""
        generator = random.Random(self.flags.seed)
        while not stop.is_set():
            kinds = list(FLOODS)
            generator.shuffle(kinds)
            for kind in kinds:
                if stop.is_set():
                    return
                flood = multiprocessing.get_context("fork").Process(
                    target=kind, args=(self.target, random.Random(generator.getrandbits(64))))
                flood.start()
                while flood.is_alive() and not stop.is_set():
                    flood.join(0.2)
                    self.note_memory()
                if flood.is_alive():
                    flood.terminate()
                    flood.join()
                self.counts[kind.__name__] = self.counts.get(kind.__name__, 0) + 1

    def run(self):
        add_stubs(self.path("stubs"), "coordinator_service")
        from distillery.v1 import coordinator_service_pb2 as messages
        teacher_file = self.path("teacher.pt")
        run("distillery", "train-teacher", "--output", teacher_file, "--epochs", 5,
            "--architecture", "mlp:64-128-10")
        self.spec = self.path("spec.yaml")
        with open(self.spec, "w") as file:
            file.write(specs.digits(teacher_file, seed=self.flags.seed, rounds=40, replicas=2,
                                    local_epochs=2))
        self.expected = json.loads(run("distillery", "run", self.spec, "--output",
                                       self.path("alone"), "--json").stdout)["run"]["weights_sha256"]
        self.coordinator = self.serve("coordinator", "coordinator", "--state-dir",
                                      self.path("state"))
        self.teacher = self.serve("teacher", "teacher_service", "--model", teacher_file)
        workers = [Process(self.folder, f"worker-{i}", "student_worker", "--name", f"worker-{i}",
                           "--coordinator", self.coordinator.address, "--teacher",
                           self.teacher.address, "--log-level", "warning") for i in range(2)]
        self.processes = [self.coordinator, self.teacher, *workers]
        calm = [self.honest_run(self.submit()) for _ in range(1 + CALM_RUNS)][1:]
        start = {process.label: resident(process) for process in (self.coordinator, self.teacher)}
        first = self.flooded = self.submit()
        self.target = Target(coordinator=self.coordinator.address, teacher=self.teacher.address,
                             coordinator_metrics=self.coordinator.metrics,
                             teacher_metrics=self.teacher.metrics, messages=messages, run_id=first)
        stop, failed = threading.Event(), []

        def flood():
            try:
                self.flood(stop)
            except Exception as error:  # what ends a thread would go unseen
                failed.append(error)

        flooder = threading.Thread(target=flood)
        flooder.start()
        end = time.monotonic() + 60 * self.flags.minutes
        stormy = []
        try:
            stormy.append(self.honest_run(first))
            while time.monotonic() < end and not failed:
                stormy.append(self.honest_run(self.submit()))
        finally:
            stop.set()
            flooder.join()
        if failed:
            raise failed[0]
        time.sleep(SETTLE)
        pace = statistics.mean(calm) / statistics.mean(stormy)
        print(f"{len(calm)} runs alone: {statistics.mean(calm):.2f} s each; {len(stormy)} beside "
              f"floods: {statistics.mean(stormy):.2f} s each (slowest {max(stormy):.2f}): "
              f"{100 * pace:.0f} % of the pace")
        print("floods: " + ", ".join(f"{count} {name}" for name, count in
                                     sorted(self.counts.items())))
        if pace < 0.5:
            self.problems.append(f"the pace beside floods is {100 * pace:.0f} %, at least 50 wanted")
        for process in (self.coordinator, self.teacher):
            at_end = resident(process)
            print(f"{process.label}: {start[process.label] / MIB:.0f} MiB at the start, "
                  f"{self.most[process.label] / MIB:.0f} at the most, {at_end / MIB:.0f} a minute "
                  "after the end")
            if at_end - start[process.label] > KEPT:
                self.problems.append(f"{process.label} keeps {at_end - start[process.label]} bytes")

    def note_ends(self):
        """No process may have ended by itself."""
        for process in getattr(self, "processes", []):
            if process.child.poll() is not None:
                self.problems.append(f"{process.label} ended with {process.child.poll()}:\n"
                                     f"{process.log()[-3000:]}")

    def stop(self):
        for process in getattr(self, "processes", []):
            if process.child.poll() is None:
                process.kill()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    flags = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="distillery-")
    os.mkdir(os.path.join(folder, "stubs"))
    soak = Soak(folder, flags)
    try:
        soak.run()
    except AssertionError as error:
        soak.problems.append(str(error))
    soak.note_ends()
    soak.stop()
    for problem in soak.problems:
        print(f"FAILED: {problem}")
    if soak.problems:
        print(f"logs and record: {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if soak.problems else 0


if __name__ == "__main__":
    sys.exit(main())
