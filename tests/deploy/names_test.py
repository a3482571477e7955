#!/usr/bin/env python3
"""Flags, variables and ports that the compose files, the Dockerfile and the documents name are those of
the programs."""

import glob
import json
import os
import re
import unittest

import yaml

from deployment import DEPLOY, SOURCE, environment_variables, known_flags, read, unknown_flags

PROGRAM_OF_TARGET = {"teacher": "teacher_service", "coordinator": "coordinator",
                     "worker": "student_worker", "cli": "distillery",
                     "teacher-cuda": "teacher_service"}


def services(name):
    """{service: as written} of those that run an image of ours."""
    found = yaml.safe_load(read(name))["services"]
    return {key: value for key, value in found.items() if "build" in value}


def instructions(target):
    """{instruction: [arguments]} of one stage of the Dockerfile."""
    text = read("Dockerfile").replace("\\\n", " ")
    stage = re.search(rf"^FROM \S+ AS {target}$(.*?)(?=^FROM |\Z)", text, re.M | re.S)[1]
    found = {}
    for line in stage.splitlines():
        if line and not line.startswith("#"):
            word, _, rest = line.partition(" ")
            found.setdefault(word, []).append(rest.strip())
    return found


def command_lines(script):
    """Commands of `distillery` in a shell script, as words."""
    return [["distillery", *line.split()] for line in
            re.findall(r"distillery ([a-z][^;&|\n]*)", script.replace("\\\n", " "))]


class ComposeTest(unittest.TestCase):
    def test_flags_exist(self):
        checked = 0
        for name in ("docker-compose.yml", "docker-compose.worker.yml"):
            for service, entry in services(name).items():
                if "entrypoint" in entry:
                    lines = command_lines("\n".join(entry["command"]))
                    self.assertTrue(lines or "sleep" in "".join(entry["command"]), service)
                else:
                    lines = [[PROGRAM_OF_TARGET[entry["build"]["target"]], *entry["command"]]]
                for line in lines:
                    if "certificates" in line and "--hosts" in line:
                        continue
                    self.assertEqual(unknown_flags(line), [], service)
                    checked += 1
        self.assertGreaterEqual(checked, 8)

    def test_a_flag_that_is_none_is_seen(self):
        self.assertEqual(unknown_flags(["coordinator", "--state-folder", "x", "--listen=y"]),
                         ["--state-folder"])
        self.assertEqual(unknown_flags(["distillery", "healthcheck", "--address", "a"]), [])
        self.assertIn("--repair", known_flags(["coordinator", "state", "check"]))

    def test_variables_are_those_that_flags_may_come_from(self):
        named = set(re.findall(r"\bDISTILLERY_TLS_\w+", read("docker-compose.yml") +
                               read("docker-compose.worker.yml")))
        self.assertEqual(named, environment_variables() & named)
        self.assertEqual(len(named), 3)

    def test_published_ports_are_listened_on(self):
        for service, entry in services("docker-compose.yml").items():
            for port in entry.get("ports", []):
                address, inside = port.rsplit(":", 1)
                self.assertTrue(address.startswith("127.0.0.1:"), "beyond this machine")
                self.assertIn("0.0.0.0:" + inside, entry["command"], service)

    def test_prometheus_asks_the_ports_that_are_listened_on(self):
        jobs = yaml.safe_load(read("prometheus", "prometheus.yml"))["scrape_configs"]
        of_compose = services("docker-compose.yml")
        for job in jobs:
            (source,) = job["dns_sd_configs"]
            (name,) = source["names"]
            flags = of_compose[name]["command"]
            self.assertEqual(flags[flags.index("--metrics-listen") + 1],
                             f"0.0.0.0:{source['port']}")

    def test_no_service_has_a_key_of_another(self):
        authority = [name for name, entry in services("docker-compose.yml").items()
                     if any(volume.startswith("authority:") for volume in entry.get("volumes", [])
                            if isinstance(volume, str))]
        self.assertEqual(authority, ["certificates"])
        for name, entry in services("docker-compose.yml").items():
            for volume in entry.get("volumes", []):
                if (name != "certificates" and isinstance(volume, str) and
                        "-certificates:" in volume):
                    self.assertTrue(volume.startswith(name.partition("-")[0]), volume)
                    self.assertTrue(volume.endswith(":ro"), volume)

    def test_containers_have_time_to_drain_and_no_rights(self):
        for name in ("docker-compose.yml", "docker-compose.worker.yml"):
            for service, entry in services(name).items():
                self.assertTrue(entry["read_only"], service)
                self.assertEqual(entry["cap_drop"], ["ALL"], service)
                if "entrypoint" not in entry:
                    self.assertEqual(entry["stop_grace_period"], "20s", service)


class DocumentsTest(unittest.TestCase):
    def test_flags_of_command_lines_exist(self):
        pages = [name for name in os.listdir(SOURCE) if name.endswith(".md")]
        pages += [os.path.join("docs", page) for page in glob.glob("**/*.md", recursive=True,
                                                                   root_dir=f"{SOURCE}/docs")]
        unknown, checked = [], 0
        for page in pages:
            with open(os.path.join(SOURCE, page)) as file:
                blocks = re.findall(r"^```.*?\n(.*?)^```", file.read(), re.DOTALL | re.MULTILINE)
            for line in "\n".join(blocks).replace("\\\n", " ").splitlines():
                # A shell may do more after the command.
                words = re.split(r" *[&#;|]| \$\(", line)[0].split()
                picture = "----" in line
                if words and words[0] in PROGRAM_OF_TARGET.values() and not picture:
                    unknown += [f"{page}: {words[0]} {flag}" for flag in unknown_flags(words)]
                    checked += 1
        self.assertEqual(unknown, [])
        self.assertGreaterEqual(checked, 40)


class DockerfileTest(unittest.TestCase):
    def test_each_target_is_labelled_and_runs_as_nobody_special(self):
        with open(os.path.join(SOURCE, "CMakeLists.txt")) as file:
            version = re.search(r"project\(distillery VERSION ([0-9.]+)", file.read())[1]
        for target in PROGRAM_OF_TARGET:
            found = instructions(target)
            self.assertIn(f"VERSION={version}", found["ARG"])
            self.assertIn("org.opencontainers.image.version", found["LABEL"][0])
            user = found.get("USER") or instructions("torch")["USER"]
            self.assertIn(user, (["10001:10001"], ["distillery"]), target)

    def test_ports_and_health_checks_are_those_of_the_programs(self):
        for target, port, metrics in (("teacher", 7001, 9701), ("coordinator", 7002, 9702),
                                      ("teacher-cuda", 7001, 9701)):
            found = instructions(target)
            self.assertEqual(found["EXPOSE"], [f"{port} {metrics}"])
            command = json.loads(re.search(r"CMD (\[.*\])", found["HEALTHCHECK"][0])[1])
            self.assertEqual(command[-1], f"localhost:{port}")
            self.assertEqual(unknown_flags([os.path.basename(command[0]), *command[1:]]), [])
            copied = " ".join(found["COPY"])
            self.assertIn("/runtime/bin/" + os.path.basename(command[0]), copied)

    def test_what_is_downloaded_is_checked(self):
        found = instructions("build-cuda")
        (digest,) = [line for line in found["ARG"] if line.startswith("LIBTORCH_SHA256=")]
        self.assertRegex(digest, "^LIBTORCH_SHA256=[0-9a-f]{64}$")
        steps = " ".join(found["RUN"])
        self.assertLess(steps.index("curl"), steps.index("sha256sum -c"))
        self.assertLess(steps.index("sha256sum -c"), steps.index("unzip -q"))

    def test_the_chart_of_kubernetes_has_the_same_version(self):
        with open(os.path.join(SOURCE, "CMakeLists.txt")) as file:
            version = re.search(r"project\(distillery VERSION ([0-9.]+)", file.read())[1]
        with open(os.path.join(DEPLOY, "kubernetes", "base", "kustomization.yaml")) as file:
            images = yaml.safe_load(file)["images"]
        self.assertEqual({image["newTag"] for image in images}, {version})
        self.assertEqual({image["name"] for image in images},
                         {"distillery-teacher", "distillery-coordinator", "distillery-worker"})


if __name__ == "__main__":
    unittest.main()
