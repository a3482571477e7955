// Early returns for absl::Status and absl::StatusOr.
#pragma once

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

#define DISTILLERY_CONCAT_INNER(a, b) a##b
#define DISTILLERY_CONCAT(a, b) DISTILLERY_CONCAT_INNER(a, b)

#define DISTILLERY_RETURN_IF_ERROR(expression)             \
  do {                                                     \
    absl::Status distillery_status = (expression);         \
    if (!distillery_status.ok()) return distillery_status; \
  } while (false)

#define DISTILLERY_ASSIGN_OR_RETURN(left, expression) \
  DISTILLERY_ASSIGN_OR_RETURN_IMPL(DISTILLERY_CONCAT(distillery_or_, __LINE__), left, expression)
#define DISTILLERY_ASSIGN_OR_RETURN_IMPL(temporary, left, expression) \
  auto temporary = (expression);                                      \
  if (!temporary.ok()) return temporary.status();                     \
  left = std::move(temporary).value()

namespace distillery {

// The same status with "context: " before its message; OK stays OK.
inline absl::Status Annotate(const absl::Status& status, absl::string_view context) {
  if (status.ok()) return status;
  return absl::Status(status.code(), absl::StrCat(context, ": ", status.message()));
}

}  // namespace distillery
