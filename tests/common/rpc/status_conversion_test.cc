#include "common/rpc/status_conversion.h"

#include <google/protobuf/unknown_field_set.h>

#include <memory>
#include <stdexcept>

#include "common/base/text.h"
#include "tests/common/status_matchers.h"

namespace distillery {
namespace {

using google::protobuf::UnknownFieldSet;

TEST(StatusConversion, KeepsCodeAndMessageBothWays) {
  for (int code = 0; code <= 16; ++code) {
    const absl::Status status(static_cast<absl::StatusCode>(code), code == 0 ? "" : "why");
    const grpc::Status converted = ToGrpcStatus(status);
    EXPECT_EQ(static_cast<int>(converted.error_code()), code);
    EXPECT_EQ(FromGrpcStatus(converted), status);
  }
}

TEST(StatusConversion, Fault69_NobodyAnsweredIsAwayTooLateOrCancelledAndNothingElse) {
  for (int code = 0; code <= 16; ++code) {
    const auto status_code = static_cast<absl::StatusCode>(code);
    EXPECT_EQ(NobodyAnswered(absl::Status(status_code, "why")),
              status_code == absl::StatusCode::kUnavailable ||
                  status_code == absl::StatusCode::kDeadlineExceeded ||
                  status_code == absl::StatusCode::kCancelled)
        << code;
  }
}

TEST(StatusConversion, HidesTheLocalPath) {
  const absl::Status status =
      absl::NotFoundError("cannot open /var/state/weights: /var/state is away");
  EXPECT_EQ(ToGrpcStatus(status, "/var/state").error_message(),
            "cannot open .../weights: ... is away");
  EXPECT_EQ(ToGrpcStatus(status, "").error_message(), std::string(status.message()));
}

TEST(StatusConversion, Fault56_MessagesArePlainTextBothWays) {
  const std::string hostile = "cannot open a\xff\n\x1b[2J";
  const std::string shown = "cannot open a\\xff\\n\\x1b[2J";
  EXPECT_EQ(ToGrpcStatus(absl::NotFoundError(hostile)).error_message(), shown);
  EXPECT_EQ(FromGrpcStatus(grpc::Status(grpc::StatusCode::NOT_FOUND, hostile)).message(), shown);
}

TEST(StatusConversion, Fault56_LongMessagesAreCutBetweenCharactersAndFitIntoTheTrailers) {
  std::string message;
  for (int i = 0; i < 1000; ++i) message += "\xc3\xa9";
  for (const std::string& shifted : {message, "a" + message}) {
    const grpc::Status status = ToGrpcStatus(absl::UnavailableError(shifted));
    EXPECT_TRUE(IsUtf8(status.error_message()));
    EXPECT_LE(status.error_message().size(), 1500);
    // Three bytes for each in grpc-message, four for three in grpc-status-details-bin.
    EXPECT_LT(3 * status.error_message().size() + 4 * status.error_details().size() / 3, 8000);
  }
}

// The field of `number`, which must be there once.
const google::protobuf::UnknownField& Field(const UnknownFieldSet& set, int number) {
  const google::protobuf::UnknownField* found = nullptr;
  for (int i = 0; i < set.field_count(); ++i) {
    if (set.field(i).number() != number) continue;
    EXPECT_EQ(found, nullptr);
    found = &set.field(i);
  }
  if (found == nullptr) throw std::out_of_range("no field " + std::to_string(number));
  return *found;
}
std::unique_ptr<UnknownFieldSet> Parse(const std::string& bytes) {
  auto set = std::make_unique<UnknownFieldSet>();
  EXPECT_TRUE(set->ParseFromString(bytes));
  return set;
}

TEST(StatusConversion, UnavailableSaysWhenToTryAgain) {
  const grpc::Status status = ToGrpcStatus(absl::UnavailableError("not warm yet"));
  // google.rpc.Status{code 1, message 2, details 3: Any{type_url 1, value 2}}; the value is
  // RetryInfo{retry_delay 1: Duration{seconds 1}}.
  const auto outer = Parse(status.error_details());
  EXPECT_EQ(Field(*outer, 1).varint(), 14);  // UNAVAILABLE
  EXPECT_EQ(Field(*outer, 2).length_delimited(), "not warm yet");
  const auto any = Parse(Field(*outer, 3).length_delimited());
  EXPECT_EQ(Field(*any, 1).length_delimited(), "type.googleapis.com/google.rpc.RetryInfo");
  const auto retry = Parse(Field(*any, 2).length_delimited());
  const auto delay = Parse(Field(*retry, 1).length_delimited());
  EXPECT_EQ(Field(*delay, 1).varint(), 1);
}

TEST(StatusConversion, DetailsOfLongMessagesAreWellFormed) {
  const std::string message(300, 'm');  // its length takes two bytes of a varint
  const auto outer = Parse(ToGrpcStatus(absl::UnavailableError(message)).error_details());
  EXPECT_EQ(Field(*outer, 2).length_delimited(), message);
}

TEST(StatusConversion, OtherCodesCarryNoRetryInfo) {
  EXPECT_EQ(ToGrpcStatus(absl::AbortedError("old token")).error_details(), "");
}

}  // namespace
}  // namespace distillery
