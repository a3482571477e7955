// Matchers for absl::Status and absl::StatusOr:
//   EXPECT_THAT(store.Put(row), IsOk());
//   EXPECT_THAT(store.Get("x"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("\"x\"")));
#pragma once

#include <gmock/gmock.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

namespace distillery {

// Codes that many tests ask for.
inline constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
inline constexpr auto kNotFound = absl::StatusCode::kNotFound;
inline constexpr auto kDenied = absl::StatusCode::kPermissionDenied;
inline constexpr auto kPrecondition = absl::StatusCode::kFailedPrecondition;
inline constexpr auto kExhausted = absl::StatusCode::kResourceExhausted;
inline constexpr auto kDataLoss = absl::StatusCode::kDataLoss;

inline const absl::Status& StatusOf(const absl::Status& status) { return status; }
template <typename T>
const absl::Status& StatusOf(const absl::StatusOr<T>& value) {
  return value.status();
}

MATCHER(IsOk, "is OK") {
  *result_listener << StatusOf(arg).ToString();
  return StatusOf(arg).ok();
}

MATCHER_P(StatusIs, code, absl::StrCat("has the code ", absl::StatusCodeToString(code))) {
  *result_listener << StatusOf(arg).ToString();
  return StatusOf(arg).code() == code;
}

MATCHER_P2(StatusIs, code, message, absl::StrCat("has the code ", absl::StatusCodeToString(code))) {
  const absl::Status& status = StatusOf(arg);
  *result_listener << status.ToString() << " ";
  return status.code() == code &&
         ::testing::ExplainMatchResult(::testing::Matcher<std::string>(message),
                                       std::string(status.message()), result_listener);
}

}  // namespace distillery

// Declares or sets `left` from a StatusOr; ends the test if it holds an error.
#define ASSERT_OK_AND_ASSIGN(left, expression) \
  ASSERT_OK_AND_ASSIGN_IMPL(DISTILLERY_TEST_CONCAT(status_or_, __LINE__), left, expression)
#define ASSERT_OK_AND_ASSIGN_IMPL(temporary, left, expression) \
  auto temporary = (expression);                               \
  ASSERT_THAT(temporary, ::distillery::IsOk());                \
  left = *std::move(temporary)
#define DISTILLERY_TEST_CONCAT_INNER(a, b) a##b
#define DISTILLERY_TEST_CONCAT(a, b) DISTILLERY_TEST_CONCAT_INNER(a, b)
