"""LibTorch and gRPC live in one process: no symbol of protobuf, gRPC or Abseil may come twice.

Prebuilt LibTorch holds a protobuf of its own inside (pytorch#14573, #120000); as long as it does not
export it, the two never meet. Debian's LibTorch exports instances of protobuf's templates, made from the
headers of the very libprotobuf that gRPC loads too: those are the same code twice, which the loader
joins.

And LibTorch, which takes a second to register its operators, does so once: a program that starts itself
anew with the environment that LibTorch's libraries read does that before.
"""
import os
import pathlib
import re
import subprocess
import sys
import unittest

PROGRAMS = pathlib.Path(os.environ.get("DISTILLERY_BIN", "build/release/bin"))
# std's own templates on protobuf's pointers and enums are the same code whatever protobuf it is.
OF_STD = re.compile(r"_ZZ?NK?St(9once_flag|10_Hashtable)")
# By the mangled name: google::protobuf, grpc and absl, and C names of gRPC.
SHARED_NAME = re.compile(r"6google8protobuf|N4grpc|N4absl|^_Z\w*4absl|^grpc_")
TORCH = re.compile(r"lib(torch|c10|caffe2|shm)")
SYSTEM = re.compile(r"lib(protobuf|grpc|gpr|absl|upb|address_sorting)")


def libraries(program):
    """{name: path} of what the loader gives the program."""
    lines = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    return dict(re.findall(r"^\s*(\S+) => (/\S+)", lines, re.M))


def defined(path):
    """{symbol: nm's letter} of what a library exports, of the names that matter here."""
    lines = subprocess.run(["nm", "-D", "--defined-only", path], capture_output=True, text=True,
                           check=True).stdout
    fields = (line.split() for line in lines.splitlines())
    return {words[-1].split("@")[0]: words[-2] for words in fields
            if len(words) >= 2 and SHARED_NAME.search(words[-1])}


def clashes(torch, system, same_protobuf):
    """Symbols that both define, without weak ones of both where they were made from one protobuf."""
    return sorted(name for name in torch.keys() & system.keys()
                  if not (torch[name] in "WVu" and system[name] in "WVu" and
                          (same_protobuf or OF_STD.match(name))))


def exports_filesystem(path):
    """LibTorch 2's downloads do, of a newer libstdc++; its remove_all crashes when it is found first."""
    return "std::filesystem::remove_all" in subprocess.run(
        ["nm", "-DC", "--defined-only", path], capture_output=True, text=True, check=True).stdout


class ClashesTest(unittest.TestCase):
    def test_a_name_that_both_define_is_one(self):
        torch = {"_ZN6google8protobuf7Message5ParseEv": "T", "_ZN6google8protobuf3fooEv": "W"}
        system = {"_ZN6google8protobuf7Message5ParseEv": "T", "_ZN6google8protobuf3fooEv": "W"}
        self.assertEqual(clashes(torch, system, same_protobuf=True),
                         ["_ZN6google8protobuf7Message5ParseEv"])
        self.assertEqual(len(clashes(torch, system, same_protobuf=False)), 2)
        self.assertEqual(clashes(torch, {}, same_protobuf=False), [])

    def test_names_that_matter_are_seen(self):
        for name in ("_ZN6google8protobuf5ArenaD1Ev", "_ZTIN6google8protobuf5ArenaE",
                     "_ZN4grpc7ChannelD1Ev", "_ZN4absl12lts_202206236StatusD1Ev", "grpc_init"):
            self.assertTrue(SHARED_NAME.search(name), name)
        self.assertFalse(SHARED_NAME.search("_ZN2at6native3addEv"))


class ProgramTest(unittest.TestCase):
    def check(self, program):
        loaded = libraries(PROGRAMS / program)
        torch = {name: path for name, path in loaded.items() if TORCH.match(name)}
        system = {name: path for name, path in loaded.items() if SYSTEM.match(name)}
        self.assertTrue(torch, loaded)
        self.assertTrue(system, loaded)
        self.assertEqual(len([name for name in loaded if name.startswith("libprotobuf.so")]), 1,
                         "one protobuf in one process")
        needed = subprocess.run(["readelf", "-d", torch.get("libtorch_cpu.so") or
                                 next(iter(torch.values()))],
                                capture_output=True, text=True, check=True).stdout
        of_system = {}
        for path in system.values():
            of_system.update(defined(path))
        self.assertIn("_ZN6google8protobuf11MessageLite15ParseFromStringERKNSt7__cxx11"
                      "12basic_stringIcSt11char_traitsIcESaIcEEE", of_system)
        for name, path in torch.items():
            self.assertEqual(clashes(defined(path), of_system, "libprotobuf.so" in needed), [],
                             f"{name} exports what gRPC's libraries export")

        needed = re.findall(r"NEEDED.*\[(\S+)\]", subprocess.run(
            ["readelf", "-d", PROGRAMS / program], capture_output=True, text=True, check=True).stdout)
        if any(exports_filesystem(path) for path in torch.values()):
            self.assertLess(needed.index("libstdc++.so.6"), needed.index("libtorch.so"),
                            "LibTorch's part of a libstdc++ must not be found first")

    def test_teacher_service(self):
        self.check("teacher_service")

    def test_student_worker(self):
        self.check("student_worker")

    def test_libtorch_is_initialised_once(self):
        ours = {"DISTILLERY_NUMERICS", "OMP_WAIT_POLICY", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"}
        environment = {name: value for name, value in os.environ.items() if name not in ours}
        for program in ("teacher_service", "student_worker"):
            told = subprocess.run([PROGRAMS / program, "--version"], capture_output=True, text=True,
                                  check=True, env={**environment, "LD_DEBUG": "files"}).stderr
            self.assertEqual(len(re.findall(r"calling init: \S*/libtorch_cpu\.so", told)), 1, program)
            self.assertGreater(len(re.findall(r"calling preinit: ", told)), 1,
                               f"{program} was not started anew")


if __name__ == "__main__":
    if not (PROGRAMS / "teacher_service").exists():
        sys.exit(77)
    unittest.main()
