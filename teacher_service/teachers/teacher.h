// The numeric seam: inputs in, logits out. LibTorch, ensembles and a test's fake stand behind it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/model/card.h"
#include "common/soft_targets/encode.h"
#include "teacher_service/teachers/input_columns.h"

namespace distillery {

// One model's part in an ensemble.
struct EnsembleMember {
  std::string model_name;
  // > 0; those of an ensemble sum to 1.
  double weight = 0;
};

struct TeacherInfo {
  // SHA-256 (hex) over the model files and what else changes outputs.
  std::string digest;
  // Its name in requests.
  std::string model_name;
  ModelCard card;
  int64_t parameter_count = 0;
  std::string numerics_fingerprint;
  // Rows of a shard that are computed together, cut at multiples of it from the start of the shard.
  int64_t batch_rows = 0;
  // Most rows of ad-hoc inputs that are computed together.
  int64_t max_batch_rows = 1024;
  // Logits are rounded to float16: what a float16 cache holds is then what is computed anew.
  bool half_logits = false;
  // Empty: one model.
  std::vector<EnsembleMember> members;
};

// Consecutive rows of a batch that go to one caller, and how.
struct EncodedPart {
  int64_t rows = 0;
  SoftTargetFormat format;
  EncodedBuffers output;
};

// Threads: safe for all; calls may run at the same time.
class Teacher {
 public:
  virtual ~Teacher() = default;
  virtual const TeacherInfo& info() const = 0;
  // A column for each input of info().card.samples: of pictures pixels in 0..1. Writes logits
  // [rows, positions..., classes], card.row_values() for each row. The status is OK even if the
  // model answers a row with NaN or infinity: these stand in that row then, and the other rows are
  // what they would be without it (see finite_rows.h). RESOURCE_EXHAUSTED when the device has no
  // memory; INTERNAL for what the model throws.
  virtual absl::Status ComputeLogits(const InputColumns& inputs, int64_t rows, float* logits) = 0;

  // True if ComputeLogitsOfBytes is there, which then costs less: a quarter of the bytes go to a
  // device, which makes pixels of them. Of single pictures alone.
  virtual bool takes_bytes() const { return false; }
  // ComputeLogits, to the last bit, of bytes / pixel_max. REQUIRES: takes_bytes().
  virtual absl::Status ComputeLogitsOfBytes(const uint8_t* /*bytes*/, int /*pixel_max*/,
                                            int64_t /*rows*/, float* /*logits*/) {
    return absl::UnimplementedError("this teacher takes pixels in float32 alone");
  }

  // True if ComputeSoftTargets is there, which then costs less than logits do: on a device, from
  // which they would have to be copied first.
  virtual bool encodes() const { return false; }
  // The soft targets of `parts`, whose rows add up to `rows`, as EncodeSoftTargets of
  // common/soft_targets/encode.h gives them but for the last place. Returns the status of each
  // part, as CheckFiniteRows of finite_rows.h gives it for the logits of its rows; unless that is
  // OK, the part's output holds nothing of use. Errors as ComputeLogits. REQUIRES: encodes().
  virtual absl::StatusOr<std::vector<absl::Status>> ComputeSoftTargets(
      const InputColumns& /*inputs*/, int64_t /*rows*/, const std::vector<EncodedPart>& /*parts*/) {
    return absl::UnimplementedError("this teacher gives logits alone");
  }
};

}  // namespace distillery
