// Domain types to messages and back.
#pragma once

#include "absl/status/statusor.h"
#include "common/run/run_spec.h"
#include "common/run/task.h"
#include "distillery/v1/coordinator_service.pb.h"

namespace distillery {

v1::RunSpec ToProto(const RunSpec& spec);
// The RunSpec of a message in which every field counts, as in those that ToProto makes: a field
// that is not set is zero. Validated: INVALID_ARGUMENT names the field.
absl::StatusOr<RunSpec> FromProto(const v1::RunSpec& proto);
// The RunSpec of a message from any client: a field that is not set has the default of the YAML
// file, so that a spec with its defaults left out and one with them written out are equal.
// Validated likewise.
absl::StatusOr<RunSpec> SubmittedSpec(const v1::RunSpec& proto);

v1::TaskLease ToProto(const Lease& lease);
// INVALID_ARGUMENT for an unknown kind or an id that is no name.
absl::StatusOr<Lease> FromProto(const v1::TaskLease& proto);

v1::TrainMetrics ToProto(const TrainMetrics& metrics);
TrainMetrics FromProto(const v1::TrainMetrics& proto);
v1::EvaluationMetrics ToProto(const EvaluationMetrics& metrics);
v1::EvaluationMetrics ToProtoWithoutDetails(const EvaluationMetrics& metrics);
EvaluationMetrics FromProto(const v1::EvaluationMetrics& proto);

}  // namespace distillery
