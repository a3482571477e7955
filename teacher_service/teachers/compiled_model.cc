// Compiled with -DDISTILLERY_AOTI=ON alone; docs/gpu.md says where it has run.
#include "teacher_service/teachers/compiled_model.h"

#include <torch/csrc/inductor/aoti_package/model_package_loader.h>

#include <memory>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/nn/numerics.h"

namespace distillery {

absl::StatusOr<CompiledModel> LoadCompiledModel(const std::string& path,
                                                const ComputeDevice& device) {
  std::shared_ptr<torch::inductor::AOTIModelPackageLoader> loader;
  const absl::Status loaded = CatchTorchErrors([&] {
    const c10::OptionalDeviceGuard guard(device.tensors);
    loader = std::make_shared<torch::inductor::AOTIModelPackageLoader>(path);
    return absl::OkStatus();
  });
  if (!loaded.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " is no AOTInductor package: ", loaded.message()));
  }
  return [loader](const std::vector<at::Tensor>& inputs) { return loader->run(inputs); };
}

}  // namespace distillery
