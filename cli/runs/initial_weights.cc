#include "cli/runs/initial_weights.h"

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/backoff.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"
#include "common/nn/weights_file.h"
#include "common/rpc/status_conversion.h"
#include "common/weights/optimizer_state.h"
#include "student_worker/rpc/coordinator_client.h"

namespace distillery {

absl::Status UploadInitialWeights(const RunClient& client, RunSpec* spec) {
  const std::string& path = spec->student.initial_weights;
  if (path.empty()) return absl::OkStatus();
  DISTILLERY_ASSIGN_OR_RETURN(const Weights read, ReadWeights(path));
  const Weights weights = ModelPart(read);
  std::string& sha256 = spec->student.initial_weights_sha256;
  const std::string found = weights.Sha256();
  if (!sha256.empty() && sha256 != found) {
    return absl::InvalidArgumentError(
        absl::StrCat("student.initial_weights_sha256 is ", sha256, ", but ", path, " has ", found));
  }
  sha256 = found;
  CallCanceller canceller;
  CoordinatorClient uploads(client.channel(), &canceller);
  const std::string request_id = RandomHex(16);
  constexpr int kAttempts = 5;
  Backoff backoff;
  for (int attempt = 1;; ++attempt) {
    const absl::Status status = uploads.UploadWeights(request_id, weights.file(), attempt > 1);
    if (!NobodyAnswered(status) || attempt == kAttempts) {
      return Annotate(status, absl::StrCat("sending ", path));
    }
    absl::SleepFor(backoff.Next());
  }
}

}  // namespace distillery
