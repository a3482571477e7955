#include "common/rpc/status_conversion.h"

#include "absl/strings/str_replace.h"
#include "common/base/proto_wire.h"
#include "common/base/text.h"

namespace distillery {
namespace {

// A call's trailers hold 8 KiB, the message perhaps twice: with three bytes for each that is not
// ASCII (grpc-message), and in the details in base64. A client whose call ends with more sees
// RESOURCE_EXHAUSTED and no reason.
constexpr size_t kLongestMessage = 1500;

// By hand: google/rpc/status.proto is not among Debian's C++ packages.
// google.rpc.Status{code = 1, message = 2, details = 3: Any{type_url = 1, value = 2}} with
// RetryInfo{retry_delay = 1: Duration{seconds = 1}}.
std::string RetryDetails(int code, absl::string_view message) {
  std::string duration;
  AppendVarintField(1, 1, &duration);
  std::string retry_info;
  AppendBytesField(1, duration, &retry_info);
  std::string any;
  AppendBytesField(1, "type.googleapis.com/google.rpc.RetryInfo", &any);
  AppendBytesField(2, retry_info, &any);
  std::string details;
  AppendVarintField(1, static_cast<uint64_t>(code), &details);
  AppendBytesField(2, message, &details);
  AppendBytesField(3, any, &details);
  return details;
}

}  // namespace

grpc::Status ToGrpcStatus(const absl::Status& status, absl::string_view hidden_path) {
  if (status.ok()) return grpc::Status::OK;
  std::string message(status.message());
  if (!hidden_path.empty()) message = absl::StrReplaceAll(message, {{hidden_path, "..."}});
  message = CutText(PlainText(message), kLongestMessage);
  const auto code = static_cast<grpc::StatusCode>(status.code());
  if (code != grpc::StatusCode::UNAVAILABLE) return {code, message};
  return {code, message, RetryDetails(code, message)};
}

absl::Status FromGrpcStatus(const grpc::Status& status) {
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()),
                      PlainText(status.error_message()));
}

bool NobodyAnswered(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) ||
         absl::IsCancelled(status);
}

}  // namespace distillery
