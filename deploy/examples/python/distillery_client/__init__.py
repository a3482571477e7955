"""Soft targets from a Distillery teacher service, as NumPy arrays.

    from distillery_client import Teacher
    teacher = Teacher("127.0.0.1:7001")
    soft = teacher.compute(images, temperature=4)      # images [n, channels, height, width], 0..1
    soft = teacher.compute({"tokens": tokens, "mask": mask}, temperature=4)
    rows = teacher.shard("digits", "train", shard=0, shard_size=128, temperature=4)
"""

import grpc
import numpy
from distillery.v1 import teacher_service_pb2 as messages
from distillery.v1 import teacher_service_pb2_grpc as stubs
from distillery.v1 import tensor_pb2 as tensors

LOGITS = messages.REPRESENTATION_LOGITS
PROBABILITIES = messages.REPRESENTATION_PROBABILITIES
_TYPES = {tensors.DATA_TYPE_FLOAT32: numpy.float32, tensors.DATA_TYPE_FLOAT16: numpy.float16,
          tensors.DATA_TYPE_UINT8: numpy.uint8, tensors.DATA_TYPE_INT32: numpy.int32,
          tensors.DATA_TYPE_INT64: numpy.int64}
_WIRE = {numpy.dtype(stored): wire for wire, stored in _TYPES.items()}
_AGAIN = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.ABORTED)


def _rows(tensor):
    return numpy.frombuffer(tensor.data, _TYPES[tensor.data_type]).reshape(tuple(tensor.shape))


def _tensor(values):
    """A message of an array; other types than travel become one that holds their numbers."""
    values = numpy.asarray(values)
    if values.dtype == bool:
        values = values.astype(numpy.uint8)
    elif values.dtype not in _WIRE:
        whole = values.dtype.kind in "iu"
        values = values.astype(numpy.int64 if whole else numpy.float32)
    return tensors.Tensor(data_type=_WIRE[values.dtype], shape=list(values.shape),
                          data=numpy.ascontiguousarray(values).tobytes())


class Teacher:
    """One model of a teacher service. Errors are grpc.RpcError, with the status that the contract
    names."""

    def __init__(self, address, credentials=None, timeout=30, model=""):
        """credentials: grpc.ssl_channel_credentials(...) for mutual TLS; None: plain text. model: its
        name; "": the first one."""
        self._channel = (grpc.secure_channel(address, credentials) if credentials
                         else grpc.insecure_channel(address))
        self._stub = stubs.TeacherServiceStub(self._channel)
        self._timeout = timeout
        self._model = model

    def close(self):
        self._channel.close()

    def about(self):
        """Digest, inputs, answer, class names ... (Teacher). Of a model that takes single pictures
        input_shape is set, of another `inputs` and `answer`."""
        return self._stub.GetTeacher(messages.GetTeacherRequest(model_name=self._model),
                                     timeout=self._timeout).teacher

    def compute(self, inputs, temperature, representation=PROBABILITIES, pixel_max=0):
        """Soft targets [n, positions..., classes] of one array, the only input of the model, or of a
        dictionary of arrays by the names of its inputs. All have n rows.

        Pictures are [n, channels, height, width], floats of 0 to 1 or uint8 of 0 to 255, or 0 to
        pixel_max. Arrays go in their own type, which the model must take.
        """
        request = messages.ComputeSoftTargetsRequest(
            temperature=temperature, representation=representation, pixel_max=pixel_max,
            model_name=self._model)
        if isinstance(inputs, dict):
            for name, values in inputs.items():
                request.named_inputs.add(name=name, tensor=_tensor(values))
        else:
            request.inputs.CopyFrom(_tensor(inputs))
        return _rows(self._stub.ComputeSoftTargets(request, timeout=self._timeout).soft_targets)

    def shard(self, dataset, split, shard, shard_size, temperature, representation=LOGITS,
              attempts=5):
        """Soft targets [rows, positions..., classes] of one shard of a data set that the teacher holds.

        A stream that breaks is resumed at the next row, up to `attempts` times.
        """
        parts, received, row_count = [], 0, None
        for attempt in range(attempts):
            request = messages.StreamSoftTargetsRequest(
                dataset=tensors.DatasetSelector(name=dataset, split=split, shard_size=shard_size),
                shard=shard, temperature=temperature, representation=representation,
                start_row=received, model_name=self._model)
            try:
                for message in self._stub.StreamSoftTargets(request, timeout=self._timeout):
                    kind = message.WhichOneof("message")
                    if kind == "header":
                        row_count = message.header.row_count
                    elif kind == "chunk":
                        parts.append(_rows(message.chunk.values))
                        received += len(parts[-1])
                    elif kind == "trailer" and received == row_count:
                        return numpy.concatenate(parts)
            except grpc.RpcError as error:
                if error.code() not in _AGAIN or attempt + 1 == attempts:
                    raise
        raise RuntimeError(f"shard {shard}: {received} of {row_count} rows after {attempts} tries")
