#include "cli/run_folder.h"

#include <google/protobuf/util/json_util.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/student_model.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "student_worker/coordinator_client.h"

namespace distillery {

absl::StatusOr<std::string> ExportStudent(const RunClient& client, const v1::Run& run,
                                          int64_t round, const std::string& path) {
  const bool torchscript = absl::EndsWith(path, ".pt");
  if (!torchscript && !absl::EndsWith(path, ".safetensors")) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot tell the format of ", path, ": end it in .pt or .safetensors"));
  }
  CallCanceller canceller;
  CoordinatorClient downloads(client.channel(), &canceller);
  DISTILLERY_ASSIGN_OR_RETURN(const DownloadedWeights download,
                              downloads.DownloadWeights(run.run_id(), round));
  DISTILLERY_RETURN_IF_ERROR(MakeFolders(FolderOf(path)));
  if (torchscript) {
    DISTILLERY_RETURN_IF_ERROR(SaveStudent(run.spec().student().architecture(),
                                           download.model_card, download.weights, path));
  } else {
    DISTILLERY_RETURN_IF_ERROR(WriteFileDurably(path, download.weights.file()));
  }
  return download.sha256;
}

absl::Status WriteRunFolder(const RunClient& client, const v1::GetRunResponse& run,
                            const std::string& folder) {
  const v1::Run& final = run.run();
  DISTILLERY_RETURN_IF_ERROR(
      ExportStudent(client, final, -1, absl::StrCat(folder, "/student.pt")).status());
  DISTILLERY_RETURN_IF_ERROR(
      ExportStudent(client, final, -1, absl::StrCat(folder, "/student.safetensors")).status());
  DISTILLERY_RETURN_IF_ERROR(
      WriteFileDurably(absl::StrCat(folder, "/metrics.json"), ToJson(run) + "\n"));
  return WriteFileDurably(
      absl::StrCat(folder, "/README.txt"),
      absl::StrCat("Run ", final.spec().name(), ": ",
                   DescribeEvaluation(final.latest_evaluation()), ".\n\n",
                   "student.pt           the student, TorchScript with its model card; ",
                   "torch.jit.load reads it\n",
                   "student.safetensors  the same weights; SHA-256 ", final.weights_sha256(), "\n",
                   "metrics.json         the RunSpec and the figures of each round\n",
                   "state/               the coordinator's record, if the run was made here; ",
                   "safe to delete now\n"));
}

std::string ToJson(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  std::string json;
  const auto status = google::protobuf::util::MessageToJsonString(message, &json, options);
  return status.ok() ? json : "{}";
}

std::string DescribeEvaluation(const v1::EvaluationMetrics& metrics) {
  if (metrics.sample_count() == 0) return "not evaluated";
  const int64_t errors = metrics.sample_count() - metrics.correct_count();
  return absl::StrFormat("accuracy %.2f %% (%d errors of %d)",
                         100.0 * static_cast<double>(metrics.correct_count()) /
                             static_cast<double>(metrics.sample_count()),
                         errors, metrics.sample_count());
}

}  // namespace distillery
