"""A coordinator, teachers and workers as processes that may end and come back at any moment."""

import os
import random
import signal
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))

import failpoints
from process_killer import KILL, PAUSE
from services import Process

GRACE = 30  # seconds to end after SIGTERM


def free_address(generator=random):
    """Below the ports that outgoing connections get, so that it is free again after a restart."""
    while True:
        port = generator.randrange(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return f"127.0.0.1:{port}"


class Footprint:
    """What a process holds of the system."""

    def __init__(self, pid):
        self.descriptors = len(os.listdir(f"/proc/{pid}/fd"))
        self.threads = len(os.listdir(f"/proc/{pid}/task"))
        with open(f"/proc/{pid}/statm") as file:
            self.resident = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Member:
    """One role: its process, restarted with the same flags, and the failpoints it has still to hit."""

    def __init__(self, folder, role, *arguments):
        self.role = role
        self.program = role.split("-", 1)[0]
        self.arms = {}  # name: "kill@3", or "stop@1"
        self.process = None
        self.started = 0.0  # when
        self.resume_at = None  # when to send SIGCONT
        self.baseline = None  # a Footprint in the midst of its work
        self._folder = folder
        self._arguments = arguments
        self._log_start = 0

    @property
    def pid(self):
        return self.process.child.pid

    def age(self):
        return time.monotonic() - self.started

    def has_begun(self):
        """It has said something, so it has had its handler of SIGTERM for a while."""
        return len(self.log()) > self._log_start

    def works(self):
        """It has begun with what it is for."""
        done = {"coordinator": "registered as", "teacher": "stream model=", "worker": " is done "}
        return done[self.program] in self.log()[self._log_start:]

    def log(self):
        """Of all processes of the role."""
        path = os.path.join(self._folder, self.role + ".log")
        if not os.path.exists(path):
            return ""
        with open(path, errors="replace") as file:
            return file.read()

    def start(self, failpoint_log):
        environment = failpoints.environment(self.arms, failpoint_log) if self.arms else None
        self._log_start = len(self.log())
        self.process = Process(self._folder, self.role, *self._arguments, environment=environment)
        self.started = time.monotonic()
        self.resume_at = None
        self.baseline = None


class Fleet:
    """`members`: by role. `generator` draws the pauses of failpoints that stop a process.

    Threads: one; call `tend` often."""

    def __init__(self, folder, members, generator, pause_seconds):
        self.members = members
        self.deaths = []  # what ended without being told: a message each
        self.hits = []  # (failpoint, action, role)
        self._failpoint_log = os.path.join(folder, "failpoints.log")
        self._generator = generator
        self._pause_seconds = pause_seconds
        self._seen = 0  # lines of the failpoint log
        self._by_pid = {}
        self._killed_itself = set()  # process ids
        self._struck = {}  # (process id): signals we sent

    def start(self, role):
        member = self.members[role]
        member.start(self._failpoint_log)
        self._by_pid[member.pid] = member

    def tend(self):
        """Takes note of failpoints that acted, lets stopped processes go on, restarts dead ones."""
        self._read_failpoints()
        for member in self.members.values():
            if member.process is None:
                continue
            if member.resume_at is not None and member.resume_at <= time.monotonic():
                self.resume(member.role)
            code = member.process.child.poll()
            if code is not None:
                self._read_failpoints()  # it may have been written since
                self._judge(member, code)
                self.start(member.role)

    def tend_until(self, condition, deadline, look=lambda: None):
        """Keeps all going until the condition holds: true. False once the time is over, or a process
        has ended without being told. `look` is called again and again."""
        while not condition():
            if time.monotonic() >= deadline or self.deaths:
                return False
            self.tend()
            look()
            time.sleep(0.01)
        return True

    def strike(self, strike):
        """What process_killer.plan says."""
        if strike.action == PAUSE:
            self.pause(strike.role, strike.pause_seconds)
        elif strike.action == KILL:
            self.kill(strike.role)
        else:
            self.terminate(strike.role)

    def pause(self, role, seconds):
        member = self.members[role]
        self._send(member, signal.SIGSTOP)
        member.resume_at = time.monotonic() + seconds

    def resume(self, role):
        member = self.members[role]
        member.resume_at = None
        self._send(member, signal.SIGCONT)

    def kill(self, role):
        """SIGKILL; the next `tend` starts it again."""
        member = self.members[role]
        self._struck[member.pid] = signal.SIGKILL
        self._send(member, signal.SIGKILL)
        member.process.child.wait()

    def terminate(self, role):
        """SIGTERM, and waits for the end; the next `tend` starts it again."""
        member = self.members[role]
        if member.process.child.poll() is None:  # else what ended it before is what is judged
            self._struck[member.pid] = signal.SIGTERM
        self._send(member, signal.SIGTERM)
        self.resume(role)  # a stopped process does not see SIGTERM
        end = time.monotonic() + GRACE
        while member.process.child.poll() is None and time.monotonic() < end:
            self._read_failpoints()
            if member.resume_at is not None:
                self.resume(role)
            time.sleep(0.01)
        if member.process.child.poll() is None:
            self.deaths.append(f"{role} did not end within {GRACE} s of SIGTERM")
            member.process.kill()

    def stop(self):
        """The end of all, workers first; those that are alive must end with 0."""
        order = sorted(self.members, key=lambda role: ("worker", "teacher", "coordinator").index(
            self.members[role].program))
        for role in order:
            member = self.members[role]
            if member.process is None:
                continue
            self.terminate(role)
            self._read_failpoints()
            self._judge(member, member.process.child.poll())
            member.process = None

    def kill_all(self):
        for member in self.members.values():
            if member.process is not None and member.process.child.poll() is None:
                member.process.kill()

    def _send(self, member, number):
        if member.process.child.poll() is None:
            member.process.signal(number)

    def _read_failpoints(self):
        acted = failpoints.acted(self._failpoint_log)
        for name, action, pid in acted[self._seen:]:
            member = self._by_pid[pid]
            member.arms.pop(name, None)
            self.hits.append((name, action, member.role))
            if action == failpoints.KILL:
                self._killed_itself.add(pid)
            else:
                member.resume_at = (time.monotonic() +
                                    self._generator.uniform(*self._pause_seconds))
        self._seen = len(acted)

    def _judge(self, member, code):
        """I7: no process ends but those that were killed or told to end."""
        pid = member.pid
        struck = self._struck.get(pid)
        if code == -signal.SIGKILL and (struck == signal.SIGKILL or pid in self._killed_itself):
            return
        if struck == signal.SIGTERM and (code == 0 or (code == -signal.SIGTERM and
                                                       not member.has_begun())):
            return
        self.deaths.append(f"{member.role} ended by itself with {code}" if struck is None else
                           f"{member.role} ended with {code} after signal {struck}")
