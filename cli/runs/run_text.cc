#include "cli/runs/run_text.h"

#include <google/protobuf/util/json_util.h>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/runs/evaluation_text.h"
#include "cli/terminal/text_table.h"
#include "common/rpc/proto_conversion.h"

namespace distillery {

bool HasEnded(const v1::Run& run) {
  return run.state() == v1::RUN_STATE_SUCCEEDED || run.state() == v1::RUN_STATE_FAILED ||
         run.state() == v1::RUN_STATE_CANCELLED;
}

bool StandsStill(const v1::Run& run) {
  return HasEnded(run) || run.state() == v1::RUN_STATE_PAUSED;
}

std::string RunStateName(const v1::Run& run) {
  constexpr size_t kPrefix = sizeof("RUN_STATE_") - 1;
  return absl::AsciiStrToLower(v1::RunState_Name(run.state()).substr(kPrefix));
}

absl::Status RunOutcome(const v1::Run& run, const std::string& go_on) {
  const std::string what =
      absl::StrCat("run ", run.run_id(), " (", run.spec().name(), ") ", RunStateName(run));
  switch (run.state()) {
    case v1::RUN_STATE_SUCCEEDED:
      return absl::OkStatus();
    case v1::RUN_STATE_CANCELLED:
      return absl::AbortedError(what);
    case v1::RUN_STATE_PAUSED: {
      const std::string way =
          go_on.empty() ? absl::StrCat("distillery resume ", run.run_id()) : go_on;
      // By a person. Everything else stops a run again unless what is wrong has been mended.
      if (run.state_reason() == "paused") {
        return absl::AbortedError(absl::StrCat(what, "; to go on: ", way));
      }
      return absl::AbortedError(absl::StrCat(
          what, ": ", run.state_reason(),
          "; if the RunSpec is wrong, change it and begin anew with that; if it is not, mend the "
          "cause, then: ",
          way));
    }
    default:
      return absl::AbortedError(absl::StrCat(what, ": ", run.state_reason()));
  }
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
  const EvaluationMetrics figures = FromProto(metrics);
  if (!figures.of_one_class()) {
    return absl::StrJoin(FigureTexts(figures), ", ",
                         [](std::string* out, const FigureText& figure) {
                           absl::StrAppend(out, figure.name, " ", figure.text);
                         });
  }
  const int64_t errors = metrics.sample_count() - metrics.correct_count();
  return absl::StrCat("accuracy ", FormatShare(metrics.correct_count(), metrics.sample_count()),
                      " (", errors, " errors of ", metrics.sample_count(), ")");
}

}  // namespace distillery
