#!/usr/bin/env python3
"""docker-compose builds the images, runs everything, and gives the weights of one process, whatever is
killed or cut off meanwhile.

Needs docker.io, docker-compose and, if no image registry answers, debootstrap. Uses the engine that is
running; else starts one of its own, as root, and ends with 77 where that cannot be."""

import contextlib
import ctypes
import hashlib
import importlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request

import debian
from services import BIN, SOURCE, add_stubs, run, wait_for

try:
    import grpc
except ImportError as error:
    print(f"skipped: {error}; install python3-grpcio")
    sys.exit(77)

# DISTILLERY_IMAGE_PROGRAMS=source builds the programs in the image, as a user does; two cores need 15
# minutes for it. The default takes the programs under test: what they are made from is the same.
PROGRAMS = os.environ.get("DISTILLERY_IMAGE_PROGRAMS", "host")

# When waiting is given up, in time to clean up before ctest's limit.
DEADLINE = time.monotonic() + 2900
UID, GID = (4321, 4322) if os.getuid() == 0 else (os.getuid(), os.getgid())
SERVICES = ("certificates", "train-teacher", "teacher", "coordinator", "worker", "submit")
GRACE = 20  # seconds, stop_grace_period of the compose file

# Long enough that all that is done to it comes in mid-run.
ROUNDS = 80
LONG_SPEC = f"""\
name: long
dataset: {{name: digits, shard_size: 128}}
teacher: {{model: runs/teacher.pt}}
student: {{architecture: "mlp:64-32-10"}}
loss: {{name: kd, alpha: 0.9, temperature: 4}}
training: {{rounds: {ROUNDS}, replicas: 3, local_epochs: 20, batch_size: 16}}
evaluation: {{every_rounds: 20}}
"""


def call(*command, check=True, timeout=600, **options):
    """Runs a command to its end; returns it with its output, standard error included."""
    done = subprocess.run(command, text=True, errors="replace", stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout,
                          **options)
    if check and done.returncode != 0:
        raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout[-6000:]}")
    return done


def succeeds(*command, **options):
    return call(*command, check=False, **options).returncode == 0


def composers():
    """The implementations of compose that are installed."""
    found = []
    if shutil.which("docker-compose"):
        found.append(["docker-compose"])
    if shutil.which("docker") and succeeds("docker", "compose", "version"):
        found.append(["docker", "compose"])
    return found


class Engine:
    """A docker engine: the one that is running, or one of our own in a temporary folder."""

    def __init__(self, stack):
        if shutil.which("docker") is None:
            raise unittest.SkipTest("docker is not installed")
        if succeeds("docker", "info"):
            return
        if os.getuid() != 0 or shutil.which("dockerd") is None:
            raise unittest.SkipTest("no docker engine is running, and this may not start one")
        had_bridge = os.path.exists("/sys/class/net/docker0")
        folder = tempfile.mkdtemp(prefix="distillery-docker-")
        stack.callback(self.clean, folder, had_bridge)
        os.environ["DOCKER_HOST"] = f"unix://{folder}/socket"
        stack.callback(os.environ.pop, "DOCKER_HOST")
        for storage in ("overlay2", "vfs"):
            daemon = self.start(folder, storage)
            if daemon is not None:
                stack.callback(self.stop, daemon)
                return
        with open(f"{folder}/log", errors="replace") as log:
            raise unittest.SkipTest("no docker engine can run here: " + log.read()[-1000:])

    @staticmethod
    def start(folder, storage):
        """The daemon once it answers, or None."""
        with open(f"{folder}/log", "ab") as log:
            daemon = subprocess.Popen(
                ["dockerd", "--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec",
                 "--pidfile", f"{folder}/pid", "--host", f"unix://{folder}/socket",
                 "--storage-driver", storage],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                # It must not outlive this test: SIGTERM when this process is gone.
                preexec_fn=lambda: ctypes.CDLL(None).prctl(1, signal.SIGTERM))
        deadline = time.monotonic() + 60
        while daemon.poll() is None and time.monotonic() < deadline:
            if succeeds("docker", "info"):
                return daemon
            time.sleep(0.2)
        Engine.stop(daemon)
        return None

    @staticmethod
    def stop(daemon):
        daemon.terminate()
        try:
            daemon.wait(60)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()

    @staticmethod
    def clean(folder, had_bridge):
        with open("/proc/mounts") as mounts:
            inside = [line.split()[1] for line in mounts if line.split()[1].startswith(folder)]
        for mount in sorted(inside, reverse=True):
            call("umount", "--lazy", mount, check=False)
        if not had_bridge and shutil.which("ip"):
            call("ip", "link", "delete", "docker0", check=False)
        shutil.rmtree(folder, ignore_errors=True)


def base_image(stack):
    """Debian 12, from a registry or by debootstrap."""
    official = "debian:bookworm-slim"
    if (succeeds("docker", "image", "inspect", official) or
            succeeds("docker", "pull", "--quiet", official)):
        return official
    archive = debian.archive()
    name = f"distillery-test-base:{os.getpid()}"
    call("docker", "import", archive, name)
    stack.callback(call, "docker", "rmi", name, check=False)
    return name


def build_network(image):
    """(APT_MIRROR, proxy, network) with which a container reaches Debian's packages."""
    mirror, proxy = debian.host_mirror(), debian.host_proxy()
    ways = [("", "", None), (mirror, proxy, None), (mirror, proxy, "host")]
    for mirror, proxy, network in ways:
        script = "apt-get -qq -o APT::Update::Error-Mode=any update"
        if mirror:
            script = ("find /etc/apt -name '*.list' -o -name '*.sources' | "
                      f"xargs sed -i 's|http://deb.debian.org|{mirror}|'; {script}")
        options = (["--network", network] if network else []) + \
                  (["--env", f"http_proxy={proxy}"] if proxy else [])
        done = call("docker", "run", "--rm", *options, image, "sh", "-ec", script, check=False)
        if done.returncode == 0:
            return mirror, proxy, network
    raise unittest.SkipTest("no container reaches Debian's packages here: " + done.stdout[-500:])


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class ComposeFilesTest(unittest.TestCase):
    """What needs no engine."""

    def config(self, composer, file, **variables):
        return call(*composer, "-f", os.path.join(SOURCE, "deploy", file), "config", check=False,
                    env={"PATH": os.environ["PATH"], "HOME": "/tmp", **variables})

    def test_both_files_parse_in_each_compose_that_is_installed(self):
        found = composers()
        if not found:
            self.skipTest("docker-compose is not installed")
        for composer in found:
            done = self.config(composer, "docker-compose.yml")
            self.assertEqual(done.returncode, 0, done.stdout)
            for service in SERVICES:
                self.assertIn(f"{service}:\n", done.stdout)
            for profile, service in (("gpu", "teacher-gpu"), ("gpu", "worker-gpu"),
                                     ("metrics", "prometheus"), ("metrics", "grafana")):
                with_it = self.config([*composer, "--profile", profile], "docker-compose.yml")
                self.assertEqual(with_it.returncode, 0, with_it.stdout)
                self.assertIn(f"  {service}:\n", with_it.stdout)
            needed = {"COORDINATOR": "c:1", "TEACHER": "", "TLS_DIR": "/etc/distillery"}
            done = self.config(composer, "docker-compose.worker.yml", **needed)
            self.assertEqual(done.returncode, 0, done.stdout)
            for name in needed:
                others = {key: value for key, value in needed.items() if key != name}
                done = self.config(composer, "docker-compose.worker.yml", **others)
                self.assertNotEqual(done.returncode, 0)
                self.assertIn(f"set {name} to ", done.stdout)

    def test_the_images_are_labelled_with_the_version_of_the_project(self):
        def version(path, pattern):
            with open(os.path.join(SOURCE, path)) as file:
                return re.search(pattern, file.read(), re.MULTILINE).group(1)
        self.assertEqual(version("deploy/Dockerfile", r"^ARG VERSION=(\S+)"),
                         version("CMakeLists.txt", r"project\(distillery VERSION ([0-9.]+)"))


    def test_the_context_holds_all_that_the_build_reads(self):
        """The image's build from source takes a quarter of an hour: what could break it is a file that
        .dockerignore keeps out, and CMake misses that at once."""
        with tempfile.TemporaryDirectory(prefix="distillery-context-") as folder:
            with open(os.path.join(SOURCE, ".dockerignore")) as file:
                kept = [line[1:].strip() for line in file
                        if line.startswith("!") and not line.startswith("!build/")]
            call("bash", "-ec", f"set -o pipefail; git -C {SOURCE} archive HEAD {' '.join(kept)} | "
                                f"tar -x -C {folder}")
            call("cmake", "--preset", "release", "-DDISTILLERY_TESTS=OFF", cwd=folder)


class ComposeTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = contextlib.ExitStack()
        cls.addClassCleanup(cls.stack.close)
        found = composers()
        if not found:
            raise unittest.SkipTest("docker-compose is not installed")
        Engine(cls.stack)
        image = base_image(cls.stack)
        # Nothing is fetched to make images of what is built already.
        mirror, proxy, network = build_network(image) if PROGRAMS == "source" else ("", "", None)
        cls.checkout = tempfile.mkdtemp(prefix="distillery-compose-")
        cls.stack.callback(shutil.rmtree, cls.checkout, ignore_errors=True)
        call("bash", "-ec",
             f"set -o pipefail; git -C {SOURCE} archive HEAD | tar -x -C {cls.checkout}")
        if PROGRAMS == "host":
            call("deploy/collect_runtime", "build/runtime", os.path.abspath(BIN), cwd=cls.checkout)
        cls.write_override(proxy, network)
        cls.project = f"distillery-test-{os.getpid()}"
        cls.composer = [*found[0], "-f", "deploy/docker-compose.yml", "-f", "override.json",
                        "-p", cls.project]
        cls.environment = {**os.environ, "UID": str(UID), "GID": str(GID), "BASE_IMAGE": image,
                           "APT_MIRROR": mirror, "PROGRAMS": PROGRAMS,
                           "TEACHER_PORT": str(free_port()), "COORDINATOR_PORT": str(free_port())}
        cls.stack.callback(cls.compose, "down", "--volumes", "--rmi", "local", check=False)
        started = time.monotonic()
        cls.compose("build", timeout=DEADLINE - time.monotonic())
        print(f"images built in {time.monotonic() - started:.0f} s", file=sys.stderr)

    def tearDown(self):
        failed = any(self is test for test, _ in
                     self._outcome.result.failures + self._outcome.result.errors)
        if failed:
            print(self.compose("logs", "--no-color", check=False).stdout[-30000:], file=sys.stderr)
        self.compose("down", "--volumes", check=False)
        shutil.rmtree(os.path.join(self.checkout, "runs", "compose"), ignore_errors=True)

    @classmethod
    def write_override(cls, proxy, network):
        """What this machine needs and the product's files do not say. JSON is YAML."""
        build = {"args": {"http_proxy": proxy, "https_proxy": proxy}} if proxy else {}
        if network:
            build["network"] = network
        # A variable that chooses OpenBLAS's kernels here chooses them there.
        numerics = {name: value for name, value in os.environ.items()
                    if name.startswith(("OPENBLAS_", "ATEN_", "DNNL_", "ONEDNN_"))}
        service = {**({"build": build} if build else {}),
                   **({"environment": numerics} if numerics else {})}
        with open(os.path.join(cls.checkout, "override.json"), "w") as file:
            json.dump({"services": {name: service for name in SERVICES}}, file)

    @classmethod
    def compose(cls, *arguments, environment=None, **options):
        return call(*cls.composer, *arguments, cwd=cls.checkout,
                    env={**cls.environment, **(environment or {})}, **options)

    def containers(self):
        """{service: [container as docker describes it]}."""
        described = {}
        label = f"label=com.docker.compose.project={self.project}"
        for name in call("docker", "ps", "--all", "--quiet", "--filter", label).stdout.split():
            (container,) = json.loads(call("docker", "inspect", name).stdout)
            service = container["Config"]["Labels"]["com.docker.compose.service"]
            described.setdefault(service, []).append(container)
        return described

    def weights_of_the_host(self, spec):
        """SHA-256 of the same RunSpec and the same teacher, without containers."""
        done = run("distillery", "run", spec, "--output", os.path.join(self.checkout, "here"),
                   "--json", timeout=600)
        return json.loads(done.stdout)["run"]["weights_sha256"]

    def check_ended(self, containers):
        """SIGTERM reached the programs, and they ended by themselves."""
        for service in ("teacher", "coordinator", "worker"):
            for container in containers[service]:
                self.assertEqual(container["State"]["ExitCode"], 0, service)
                self.assertNotIn(container["Config"]["User"], ("", "0", "root", "0:0"), service)

    def test_one_command_gives_the_weights_of_one_process(self):
        started = time.monotonic()
        up = self.compose("up", "--exit-code-from", "submit", "--scale", "worker=3",
                          check=False, timeout=DEADLINE - time.monotonic())
        self.assertEqual(up.returncode, 0, up.stdout[-6000:])
        print(f"run in {time.monotonic() - started:.0f} s", file=sys.stderr)

        folder = os.path.join(self.checkout, "runs", "compose")
        for name in ("../teacher.pt", "student.pt", "student.safetensors", "metrics.json",
                     "../certificates/operator-key.pem"):
            status = os.stat(os.path.join(folder, name))
            self.assertEqual((status.st_uid, status.st_gid), (UID, GID), name)
        self.assertEqual(os.stat(os.path.join(folder, "../certificates/operator-key.pem")).st_mode
                         & 0o777, 0o400)
        with open(os.path.join(folder, "metrics.json")) as file:
            done = json.load(file)["run"]
        with open(os.path.join(folder, "student.safetensors"), "rb") as file:
            self.assertEqual(done["weights_sha256"], hashlib.sha256(file.read()).hexdigest())
        here = self.weights_of_the_host(os.path.join(self.checkout, "deploy/examples/digits.yaml"))
        print(f"containers {done['weights_sha256']}\nhost       {here}", file=sys.stderr)
        self.assertEqual(done["weights_sha256"], here)
        self.assertFalse(done["inexact"])

        containers = self.containers()
        self.assertEqual(len(containers["worker"]), 3)
        self.check_ended(containers)
        for service in ("coordinator", "worker", "teacher", "certificates"):
            (image,) = json.loads(call("docker", "inspect", containers[service][0]["Image"]).stdout)
            self.assertIn("org.opencontainers.image.version", image["Config"]["Labels"])
            print(f"image of {service}: {image['Size'] / 1e6:.0f} MB", file=sys.stderr)

    def coordinator(self, channel):
        """A stub made from our proto, and the modules of its messages."""
        folder = os.path.join(self.checkout, "stubs")
        if not os.path.exists(folder):
            os.mkdir(folder)
            add_stubs(folder, "tensor", "teacher_service", "coordinator_service")
        rpc = importlib.import_module("distillery.v1.coordinator_service_pb2_grpc")
        return (rpc.CoordinatorServiceStub(channel),
                importlib.import_module("distillery.v1.coordinator_service_pb2"))

    def rounds(self):
        """Rounds completed of the run; -1 while nobody answers. In this process: starting
        `distillery runs` again and again would take the processor from the workers."""
        def read(name):
            with open(os.path.join(self.checkout, "runs", "certificates", name), "rb") as file:
                return file.read()

        credentials = grpc.ssl_channel_credentials(read("ca.pem"), read("operator-key.pem"),
                                                   read("operator.pem"))
        with grpc.secure_channel("localhost:" + self.environment["COORDINATOR_PORT"],
                                 credentials) as channel:
            stub, messages = self.coordinator(channel)
            try:
                runs = stub.ListRuns(messages.ListRunsRequest(), timeout=10).runs
            except grpc.RpcError:
                return -1
        return runs[0].completed_round_count if runs else -1

    def reach(self, round_):
        return wait_for(f"round {round_}", lambda: self.rounds() >= round_, patience=300)

    def is_running(self, container):
        (found,) = json.loads(call("docker", "inspect", container["Id"]).stdout)
        return found["State"]["Running"] and found

    def scraped_targets(self, folder):
        """What a Prometheus of this machine hears, {(job, address): health}, and its rules: with the
        product's configuration, names resolved here since it does not live in that network. Waits until
        the coordinator knows of three workers."""
        jobs = {}
        for job in ("teacher", "coordinator", "worker"):
            jobs[job] = [next(iter(one["NetworkSettings"]["Networks"].values()))["IPAddress"]
                         for one in self.containers()[job]]
        shutil.copytree(os.path.join(self.checkout, "deploy", "prometheus"), folder)
        path = os.path.join(folder, "prometheus.yml")
        with open(path) as file:
            text = file.read()
        for job, addresses in jobs.items():
            found = re.search(rf"    dns_sd_configs:\n(?:      .*\n)*?      - names: \[{job}\]\n"
                              r"(?:        .*\n)*?        port: (\d+)\n(?:        .*\n)*", text)
            self.assertIsNotNone(found, job)
            targets = json.dumps([f"{address}:{found[1]}" for address in addresses])
            text = text.replace(found[0], f"    static_configs:\n      - targets: {targets}\n")
        with open(path, "w") as file:
            file.write(text.replace("scrape_interval: 15s", "scrape_interval: 1s"))
        port = free_port()
        with open(os.path.join(folder, "log"), "w") as log:
            server = subprocess.Popen(
                ["prometheus", "--config.file=" + path, f"--storage.tsdb.path={folder}/data",
                 f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log)

        def ask(what):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/{what}") as answer:
                    return json.load(answer)["data"]
            except OSError:
                return None

        def all_heard():
            data = ask("targets?state=active")
            active = data["activeTargets"] if data else []
            return len(active) == sum(map(len, jobs.values())) and \
                all(one["health"] != "unknown" for one in active) and active

        try:
            active = wait_for("Prometheus to ask everybody", all_heard)
            # The one that was cut off takes up to 40 seconds to see that its connections are dead.
            wait_for("all workers to be back", lambda: [one["value"][1] for one in ask(
                "query?query=distillery_coordinator_live_workers")["result"]] == ["3"])
            return ({(one["labels"]["job"], one["scrapeUrl"]): one["health"] for one in active},
                    ask("rules")["groups"][0]["rules"])
        finally:
            server.terminate()
            server.wait()

    def test_whatever_is_killed_or_cut_off_the_weights_are_the_same(self):
        spec = os.path.join(self.checkout, "long.yaml")
        with open(spec, "w") as file:
            file.write(LONG_SPEC)
        self.compose("up", "-d", "--scale", "worker=3", environment={"SPEC": spec},
                     timeout=DEADLINE - time.monotonic())
        first, second, third = self.containers()["worker"]
        (coordinator,) = self.containers()["coordinator"]
        (submit,) = self.containers()["submit"]

        self.reach(2)
        # The main process dies: the engine starts it again.
        call("kill", "-KILL", str(self.is_running(first)["State"]["Pid"]))
        wait_for("the engine to start the worker again",
                 lambda: (self.is_running(first) or {}).get("RestartCount", 0) == 1)
        self.reach(6)
        # A person kills it: that is final, until a person starts it.
        call("docker", "kill", second["Id"])
        self.reach(9)
        self.assertFalse(self.is_running(second))
        call("docker", "start", second["Id"])
        self.reach(12)
        call("docker", "kill", coordinator["Id"])
        self.assertEqual(self.rounds(), -1)
        call("docker", "start", coordinator["Id"])
        self.reach(18)
        # Cut off, in mid-task or not, and back with another address.
        (network,) = third["NetworkSettings"]["Networks"]
        call("docker", "network", "disconnect", network, third["Id"])
        self.reach(21)
        call("docker", "network", "connect", "--alias", "worker", network, third["Id"])
        completed = self.reach(23) and self.rounds()
        self.assertLess(completed, ROUNDS, "all of it was to come in mid-run")
        print(f"{completed} of {ROUNDS} rounds when the last of it was over", file=sys.stderr)

        if shutil.which("prometheus"):
            with tempfile.TemporaryDirectory() as folder:
                targets, rules = self.scraped_targets(os.path.join(folder, "prometheus"))
            self.assertEqual(len(targets), 5)
            self.assertEqual(set(targets.values()), {"up"}, targets)
            self.assertGreater(len(rules), 8)

        code = call("docker", "wait", submit["Id"], timeout=600).stdout.strip()
        self.assertEqual(code, "0", call("docker", "logs", submit["Id"]).stdout[-3000:])
        with open(os.path.join(self.checkout, "runs", "compose", "metrics.json")) as file:
            done = json.load(file)["run"]
        self.assertEqual(done["weights_sha256"], self.weights_of_the_host(spec))
        self.assertFalse(done["inexact"])

        for service in ("teacher", "coordinator"):
            wait_for(service + " to be healthy", lambda: self.containers()[service][0]["State"]
                     ["Health"]["Status"] == "healthy")
        started = time.monotonic()
        self.compose("stop", "teacher", "coordinator", "worker")
        self.check_ended(self.containers())
        self.compose("down", "--volumes")
        self.assertLess(time.monotonic() - started, GRACE)
        print(f"stopped and removed in {time.monotonic() - started:.1f} s", file=sys.stderr)


if __name__ == "__main__":
    result = unittest.main(exit=False).result
    if result.wasSuccessful() and result.skipped:
        print("skipped: " + "; ".join(reason for _, reason in result.skipped), file=sys.stderr)
        sys.exit(77)
    sys.exit(0 if result.wasSuccessful() else 1)
