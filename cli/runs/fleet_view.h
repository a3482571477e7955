// What a coordinator, its workers and the teachers do, as lines for a terminal of any size.
//
// Threads: one.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "distillery/v1/coordinator_service.pb.h"
#include "distillery/v1/teacher_service.pb.h"

namespace distillery {

// One look at everything.
struct FleetSnapshot {
  struct TeacherState {
    std::string address;
    absl::StatusOr<v1::ListTeachersResponse> answer = absl::UnknownError("not asked yet");
  };
  absl::Time at;
  std::string coordinator;
  // How the coordinator answered; if not OK, `runs` and `workers` are the last that were known.
  absl::Status status;
  // Newest first.
  std::vector<v1::Run> runs;
  std::vector<v1::Worker> workers;
  std::vector<TeacherState> teachers;
};

// For scripts.
std::string FleetToJson(const FleetSnapshot& snapshot);

class FleetView {
 public:
  // At most `height` lines of at most `width` columns. Runs that have not ended come first, and
  // below each one that stands still it says why. What does not fit is counted. Rates are of the
  // time since the call before.
  std::vector<std::string> Lines(const FleetSnapshot& snapshot, size_t width, size_t height);

 private:
  // How often it happened by when.
  struct Count {
    absl::Time at;
    int64_t value = 0;
  };
  // The rate of the counter named `key`; nothing at its first sight.
  std::optional<double> RateOf(const std::string& key, int64_t value, absl::Time at);

  using Table = std::vector<std::vector<std::string>>;
  // Sets `reasons`, one for each row: why the run stands still, or "".
  Table RunTable(const FleetSnapshot& snapshot, std::vector<std::string>* reasons);
  Table WorkerTable(const FleetSnapshot& snapshot);
  Table TeacherTable(const FleetSnapshot& snapshot);

  std::map<std::string, Count> counts_;
  // When each run was first seen, and its round then.
  std::map<std::string, Count> first_;
};

}  // namespace distillery
