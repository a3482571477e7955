// What the skins of the teacher service share: requests to domain types, results to messages.
#pragma once

#include <grpcpp/server_context.h>

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/data/augmentation.h"
#include "common/soft_targets/encode.h"
#include "distillery/v1/teacher_service.pb.h"
#include "teacher_service/teachers/teacher.h"

namespace distillery {

// INVALID_ARGUMENT names the field. The enums come as numbers: unknown ones too.
absl::StatusOr<Encoding> ReadEncoding(int encoding);
absl::StatusOr<SoftTargetFormat> ReadFormat(double temperature, int representation, int encoding,
                                            int64_t top_k, const AnswerShape& shape);
absl::StatusOr<View> ReadView(const v1::AugmentationSelector& selector);

// FAILED_PRECONDITION "WHAT digest is ..., expected ..." unless `expected` is empty or `actual`.
absl::Status CheckExpected(absl::string_view what, const std::string& expected,
                           const std::string& actual);

void FillTeacher(const TeacherInfo& info, v1::Teacher* message);
void FillSoftTargets(int64_t rows, const AnswerShape& shape, const SoftTargetFormat& format,
                     EncodedRows encoded, v1::ComputeSoftTargetsResponse* response);

// CANCELLED or DEADLINE_EXCEEDED if nobody waits for the answer any more: work that has queued for
// long must not reach the device. The news of a cancel may lag, the deadline is known.
absl::Status StillWanted(const grpc::ServerContextBase& context);
// The call's deadline on the clock's steady time.
absl::Duration SteadyDeadline(const grpc::ServerContextBase& context, Clock* clock);

}  // namespace distillery
