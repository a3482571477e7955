// For a LibTorch before 2.6; compiled_model.cc is for one that has AOTInductor's loader.
#include "absl/strings/str_cat.h"
#include "teacher_service/teachers/compiled_model.h"

namespace distillery {

absl::StatusOr<CompiledModel> LoadCompiledModel(const std::string& path,
                                                const ComputeDevice& /*device*/) {
  return absl::FailedPreconditionError(
      absl::StrCat(path,
                   " is an AOTInductor package: build with LibTorch 2.6 or newer and "
                   "-DDISTILLERY_AOTI=ON, or serve TorchScript (torch.jit.script(m).save)"));
}

}  // namespace distillery
