// What coordinator_exchange compares with: bare gRPC streams in both directions, in a process of
// their own, and a bare file.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "distillery/v1/coordinator_service.pb.h"

namespace distillery {

// Serves until a stop signal, under the coordinator's method names: UploadDelta reads messages and
// drops them; DownloadWeights sends what BareDownload asks for.
absl::Status ServeBareExchange(const std::string& address_file);

// Asks for `total_bytes` in messages of `message_bytes`.
v1::DownloadWeightsRequest BareDownload(int64_t message_bytes, int64_t total_bytes);

// Writes `total_bytes` to a new file at `path`, then fdatasync; the seconds it took. The file is
// removed afterwards.
absl::StatusOr<double> WriteBareFile(const std::string& path, int64_t total_bytes);

}  // namespace distillery
