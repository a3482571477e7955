#!/usr/bin/env python3
"""Fault 54: uploads whose safetensors headers have very many tensors."""

import hashlib
import os
import struct
import threading
import unittest
import uuid

from bare_coordinator import (CHUNK, OK, PATIENCE, BareCoordinatorCase, crc32c, grpc, model_file)

ENTRIES = 100_000
UPLOADS = 16  # twice the threads that transfer files
CPU_SECONDS = 30  # of all uploads; by a parser that looks back at each entry, one alone takes more


def file_of(header):
    return struct.pack("<Q", len(header)) + header


# As many entries as their bytes can hold, and none that is sound.
SHORT = file_of(b"{" + b",".join(b'"%06d":{}' % i for i in range(ENTRIES)) + b"}")


def cpu_seconds(process):
    with open(f"/proc/{process.child.pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class CoordinatorHeaders(BareCoordinatorCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.short_crc = crc32c(SHORT)

    def requests(self, file, crc):
        messages = self.messages
        yield messages.UploadWeightsRequest(header=messages.UploadWeightsHeader(
            request_id=uuid.uuid4().hex, byte_count=len(file),
            sha256=hashlib.sha256(file).hexdigest()))
        chunks = 0
        for at in range(0, len(file), CHUNK):
            yield messages.UploadWeightsRequest(
                chunk=messages.BytesChunk(offset=at, data=file[at:at + CHUNK]))
            chunks += 1
        yield messages.UploadWeightsRequest(trailer=messages.BytesTrailer(
            chunk_count=chunks, byte_count=len(file), crc32c=crc))

    def send(self, stub):
        return stub.UploadWeights.future(self.requests(SHORT, self.short_crc), timeout=PATIENCE)

    def test_Fault54_many_headers_of_very_many_tensors_at_once_cost_little_and_hold_nobody_up(self):
        coordinator = self.start_coordinator()
        stub, other = self.stub(coordinator), self.stub(coordinator)
        before = cpu_seconds(coordinator)
        calls = [self.send(stub) for _ in range(UPLOADS)]
        left = [self.send(stub) for _ in range(UPLOADS)]
        threading.Timer(0.2, lambda: [call.cancel() for call in left]).start()
        # Another's file is taken, and its questions are answered, all the while.
        sound = model_file(1)
        self.assertEqual(self.status_of(lambda: other.UploadWeights(
            self.requests(sound, crc32c(sound)), timeout=PATIENCE)), (OK, ""))
        self.assertEqual(self.status_of(lambda: other.ListRuns(
            self.messages.ListRunsRequest(), timeout=PATIENCE)), (OK, ""))
        for call in calls:
            code, text = self.status_of(call.result)
            self.assertEqual(code, grpc.StatusCode.INVALID_ARGUMENT)
            self.assertIn('tensor "000000" needs dtype, shape and data_offsets alone', text)
        self.assertLess(cpu_seconds(coordinator) - before, CPU_SECONDS)
        self.assertEqual(coordinator.terminate(), 0)

    def test_Fault54_a_stop_in_the_middle_of_them_is_clean(self):
        coordinator = self.start_coordinator()
        stub = self.stub(coordinator)
        calls = [self.send(stub) for _ in range(UPLOADS)]
        self.assertEqual(coordinator.terminate(), 0)
        for call in calls:
            self.assertNotEqual(self.status_of(call.result)[0], OK)


if __name__ == "__main__":
    unittest.main()
