#!/usr/bin/env python3
"""The manifests are Kubernetes's: each object is read by the client's models, unknown and missing
fields are refused, and what one names in another is there."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import yaml

try:
    from kubernetes import client
except ImportError:
    print("python3-kubernetes is not installed", file=sys.stderr)
    sys.exit(77)

from deployment import DEPLOY, listed_metrics, unknown_flags

BASE = os.path.join(DEPLOY, "kubernetes", "base")
PEM = ("ca", *(name + key for name in ("teacher", "coordinator", "worker") for key in ("", "-key")))


def objects():
    """Those of the base, as written."""
    with open(os.path.join(BASE, "kustomization.yaml")) as file:
        names = yaml.safe_load(file)["resources"]
    found = []
    for name in names:
        with open(os.path.join(BASE, name)) as file:
            found += list(yaml.safe_load_all(file))
    return found


def strict(value, kind, path):
    """Raises if `value` has a field that the model `kind` has not, or lacks one that it must have."""
    listed = re.fullmatch(r"list\[(.*)\]", kind)
    if listed:
        if not isinstance(value, list):
            raise ValueError(f"{path}: a list is needed")
        for index, item in enumerate(value):
            strict(item, listed[1], f"{path}[{index}]")
        return
    mapped = re.fullmatch(r"dict\(str, (.*)\)", kind)
    if mapped:
        for key, item in value.items():
            strict(item, mapped[1], f"{path}.{key}")
        return
    model = getattr(client, kind, None)
    if model is None or not hasattr(model, "openapi_types"):
        expected = {"str": str, "int": int, "bool": bool, "float": (int, float)}.get(kind, object)
        if not isinstance(value, expected) or (kind == "int" and isinstance(value, bool)):
            raise ValueError(f"{path}: {value!r} is no {kind}")
        return
    if not isinstance(value, dict):
        raise ValueError(f"{path}: {value!r} is no {kind}")
    fields = {model.attribute_map[name]: kind_ for name, kind_ in model.openapi_types.items()}
    for key, item in value.items():
        if key not in fields:
            raise ValueError(f"{path}.{key}: {kind} has no such field")
        strict(item, fields[key], f"{path}.{key}")
    # The models' constructors refuse what must be there and is not.
    attributes = {attribute: name for name, attribute in model.attribute_map.items()}
    model(**{attributes[key]: item for key, item in value.items()})


def model_name(item):
    """V1Deployment of apps/v1, V2HorizontalPodAutoscaler of autoscaling/v2."""
    version = item["apiVersion"].rpartition("/")[2]
    # This client's autoscaling/v2 bears the name of its last beta in older releases.
    for name in (version.capitalize() + item["kind"], "V2beta2" + item["kind"]):
        if hasattr(client, name):
            return name
    raise ValueError(f"{item['apiVersion']} {item['kind']} is not known")


def pod_of(item):
    return item["spec"]["template"]["spec"]


class KubernetesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.objects = objects()
        cls.workloads = [item for item in cls.objects
                         if item["kind"] in ("Deployment", "StatefulSet")]

    def named(self, kind, name):
        (found,) = [item for item in self.objects
                    if item["kind"] == kind and item["metadata"]["name"] == name]
        return found

    def test_every_object_is_one_of_kubernetes(self):
        self.assertGreaterEqual(len(self.objects), 15)
        for item in self.objects:
            strict(item, model_name(item), item["kind"] + " " + item["metadata"]["name"])

    def test_what_is_none_is_refused(self):
        item = self.named("Deployment", "teacher")
        for change in (lambda spec: spec.update(replica=1), lambda spec: spec.pop("selector"),
                       lambda spec: spec.update(replicas="two")):
            broken = yaml.safe_load(yaml.safe_dump(item))
            change(broken["spec"])
            with self.assertRaises(ValueError):
                strict(broken, model_name(broken), "broken")

    def test_the_three_programs_are_there(self):
        self.assertEqual({(item["kind"], item["metadata"]["name"]) for item in self.workloads},
                         {("Deployment", "teacher"), ("StatefulSet", "coordinator"),
                          ("Deployment", "worker")})

    def test_flags_exist(self):
        programs = {"teacher": "teacher_service", "coordinator": "coordinator",
                    "worker": "student_worker"}
        for item in self.workloads:
            for container in pod_of(item)["containers"]:
                self.assertEqual(unknown_flags([programs[container["name"]], *container["args"]]),
                                 [], container["name"])
                for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                    command = container.get(probe, {}).get("exec", {}).get("command")
                    if command:
                        self.assertEqual(
                            unknown_flags([os.path.basename(command[0]), *command[1:]]), [], probe)

    def test_ports_are_those_that_the_programs_listen_on(self):
        for item in self.workloads:
            (container,) = pod_of(item)["containers"]
            flags = dict(argument.split("=", 1) for argument in container["args"]
                         if "=" in argument)
            ports = {port["name"]: port["containerPort"] for port in container["ports"]}
            listens = {"metrics": flags["--metrics-listen"]}
            if "--listen" in flags:
                listens["grpc"] = flags["--listen"]
            self.assertEqual({name: int(address.rpartition(":")[2])
                              for name, address in listens.items()}, ports)
            annotations = item["spec"]["template"]["metadata"]["annotations"]
            self.assertEqual(annotations["prometheus.io/port"], str(ports["metrics"]))
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                command = container.get(probe, {}).get("exec", {}).get("command", [])
                for word in command:
                    if word.startswith("localhost:"):
                        self.assertEqual(int(word.rpartition(":")[2]), ports["grpc"])
        worker = " ".join(pod_of(self.named("Deployment", "worker"))["containers"][0]["args"])
        for name in ("teacher", "coordinator"):
            service = self.named("Service", name)["spec"]
            ports = {port["name"]: port["port"] for port in service["ports"]}
            self.assertIn(f"{name}:{ports['grpc']}", worker)
            self.assertEqual(service["clusterIP"], "None", "each pod by its own address")

    def test_policies_budgets_and_services_select_pods_that_there_are(self):
        labels = [item["spec"]["template"]["metadata"]["labels"] for item in self.workloads]
        selectors = [self.named("Service", name)["spec"]["selector"]
                     for name in ("teacher", "coordinator")]
        for item in self.objects:
            if item["kind"] == "PodDisruptionBudget":
                selectors.append(item["spec"]["selector"]["matchLabels"])
            if item["kind"] in ("Deployment", "StatefulSet"):
                selectors.append(item["spec"]["selector"]["matchLabels"])
        for selector in selectors:
            self.assertTrue(any(selector.items() <= pod.items() for pod in labels), selector)
        names = {pod["app.kubernetes.io/name"] for pod in labels}
        text = yaml.safe_dump_all([item for item in self.objects
                                   if item["kind"] == "NetworkPolicy"])
        self.assertEqual(set(re.findall(r"app.kubernetes.io/name: (\S+)", text)), names)

    def test_policies_open_the_ports_that_the_pods_have(self):
        ports = {port["containerPort"] for item in self.workloads
                 for port in pod_of(item)["containers"][0]["ports"]}
        opened = {port["port"] for item in self.objects if item["kind"] == "NetworkPolicy"
                  for rule in item["spec"].get("ingress", []) for port in rule["ports"]}
        self.assertEqual(opened, ports)

    def test_the_autoscaler_asks_for_a_metric_of_ours(self):
        scaler = self.named("HorizontalPodAutoscaler", "teacher")["spec"]
        self.named(scaler["scaleTargetRef"]["kind"], scaler["scaleTargetRef"]["name"])
        (metric,) = [one["pods"]["metric"]["name"] for one in scaler["metrics"]]
        self.assertEqual(listed_metrics()[metric][0], "gauge", "a counter only grows")
        with open(os.path.join(DEPLOY, "kubernetes", "prometheus-adapter.yaml")) as file:
            self.assertIn(metric + "{", file.read())

    def test_pods_have_no_more_rights_than_they_need(self):
        for item in self.workloads:
            pod = pod_of(item)
            self.assertFalse(pod["automountServiceAccountToken"])
            self.assertTrue(pod["securityContext"]["runAsNonRoot"])
            self.assertGreaterEqual(pod["terminationGracePeriodSeconds"], 20)
            for container in pod["containers"]:
                rights = container["securityContext"]
                self.assertTrue(rights["readOnlyRootFilesystem"])
                self.assertFalse(rights["allowPrivilegeEscalation"])
                self.assertEqual(rights["capabilities"], {"drop": ["ALL"]})
                self.assertIn("memory", container["resources"]["limits"])

    def test_volumes_and_certificates_are_there(self):
        with open(os.path.join(BASE, "kustomization.yaml")) as file:
            secrets = {one["name"]: {line.partition("=")[0] for line in one["files"]}
                       for one in yaml.safe_load(file)["secretGenerator"]}
        for item in self.workloads:
            pod = pod_of(item)
            volumes = {volume["name"]: volume for volume in pod["volumes"]}
            claims = {claim["metadata"]["name"]
                      for claim in item["spec"].get("volumeClaimTemplates", [])}
            (container,) = pod["containers"]
            paths = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
            self.assertEqual(set(paths), set(volumes) | claims)
            secret = volumes["certificates"]["secret"]["secretName"]
            self.assertEqual(secret, item["metadata"]["name"] + "-certificate")
            for variable in container["env"]:
                folder, name = os.path.split(variable["value"])
                self.assertEqual(folder, paths["certificates"])
                self.assertIn(name, secrets[secret])
            for volume in volumes.values():
                if "persistentVolumeClaim" in volume:
                    self.named("PersistentVolumeClaim",
                               volume["persistentVolumeClaim"]["claimName"])

    @unittest.skipUnless(shutil.which("kubectl"), "kubectl is not installed")
    def test_kustomize_builds_both(self):
        with tempfile.TemporaryDirectory() as folder:
            copy = shutil.copytree(os.path.join(DEPLOY, "kubernetes"), os.path.join(folder, "copy"))
            os.makedirs(os.path.join(copy, "base", "certificates"), exist_ok=True)
            for name in PEM:
                with open(os.path.join(copy, "base", "certificates", name + ".pem"), "w") as file:
                    file.write("no certificate\n")
            for name in ("base", "cpu"):
                done = subprocess.run(["kubectl", "kustomize", os.path.join(copy, name)], text=True,
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
                self.assertEqual(done.returncode, 0, done.stderr)
                built = list(yaml.safe_load_all(done.stdout))
                for item in built:
                    strict(item, model_name(item), item["kind"])
                self.assertEqual({item["metadata"].get("namespace", "distillery")
                                  for item in built}, {"distillery"})
                self.assertEqual(name == "base", "nvidia.com/gpu" in done.stdout)
                self.assertEqual(name == "base", ",device=cuda" in done.stdout)


if __name__ == "__main__":
    unittest.main()
