#include "teacher_service/torch_teacher.h"

#include <torch/script.h>

#include <cstring>

#include "absl/strings/str_cat.h"
#include "common/base/checksum.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/model/architecture.h"
#include "common/model/evaluation.h"
#include "common/model/model_file.h"
#include "common/model/numerics.h"

namespace distillery {
namespace {

class TorchTeacher : public Teacher {
 public:
  TorchTeacher(LoadedModel model, const TorchTeacherOptions& options)
      : model_(std::move(model)), compute_threads_(options.compute_threads) {
    info_.model_name = BaseName(options.model_path);
    info_.card = model_.card;
    info_.parameter_count = CountParameters(model_.module);
    info_.numerics_fingerprint =
        absl::StrCat(NumericsFingerprint(), " threads=", options.compute_threads);
    info_.batch_rows = options.batch_rows;
    info_.digest = Sha256Hex(absl::StrCat("distillery teacher 1\n", model_.sha256, "\n",
                                          ModelCardToJson(model_.card), "\nbatch_rows ",
                                          options.batch_rows, "\n", info_.numerics_fingerprint));
  }

  const TeacherInfo& info() const override { return info_; }

  absl::Status ComputeLogits(const float* inputs, int64_t rows, float* logits) override {
    return CatchTorchErrors([&]() -> absl::Status {
      thread_local const bool configured = [this] {
        ConfigureTorch(compute_threads_);
        return true;
      }();
      (void)configured;
      const c10::InferenceMode inference;
      const ImageShape& shape = info_.card.input_shape;
      // from_blob wants a mutable pointer; the module only reads.
      const at::Tensor batch = torch::from_blob(
          const_cast<float*>(inputs),  // NOLINT
          {rows, shape.channels, shape.height, shape.width});
      const at::Tensor output = ForwardLogits(model_.module, info_.card, batch).contiguous();
      std::memcpy(logits, output.data_ptr<float>(),
                  static_cast<size_t>(output.numel()) * sizeof(float));
      return absl::OkStatus();
    });
  }

 private:
  LoadedModel model_;
  const int64_t compute_threads_;
  TeacherInfo info_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Teacher>> LoadTorchTeacher(const TorchTeacherOptions& options) {
  ConfigureTorch(options.compute_threads);
  DISTILLERY_ASSIGN_OR_RETURN(LoadedModel model, LoadModel(options.model_path, options.card));
  return std::make_unique<TorchTeacher>(std::move(model), options);
}

}  // namespace distillery
