#include "cli/run_folder.h"

#include <google/protobuf/util/json_util.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/model_export.h"
#include "cli/text_table.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "student_worker/coordinator_client.h"

namespace distillery {

absl::StatusOr<std::string> ExportStudent(const RunClient& client, const v1::Run& run,
                                          int64_t round, const std::string& path,
                                          const std::string& student_file) {
  DISTILLERY_RETURN_IF_ERROR(CheckExportPath(path));
  CallCanceller canceller;
  CoordinatorClient downloads(client.channel(), &canceller);
  DISTILLERY_ASSIGN_OR_RETURN(const DownloadedWeights download,
                              downloads.DownloadWeights(run.run_id(), round));
  StudentExport student;
  student.architecture = run.spec().student().architecture();
  student.file = student_file.empty() ? run.spec().student().model() : student_file;
  student.digest = run.spec().student().digest();
  student.card = download.model_card;
  student.weights = &download.weights;
  DISTILLERY_RETURN_IF_ERROR(ExportStudentTo(student, path));
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
  return absl::StrCat("accuracy ",
                      FormatShare(metrics.correct_count(), metrics.sample_count()), " (",
                      errors, " errors of ", metrics.sample_count(), ")");
}

}  // namespace distillery
