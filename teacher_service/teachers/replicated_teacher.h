// One model on several devices, which answers as one teacher.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "teacher_service/teachers/teacher.h"

namespace distillery {

// Batches in a row that one device alone fails on before it is left out.
inline constexpr int kMostFailures = 3;

// One copy, and the name of its device, such as "cuda:1".
struct TeacherReplica {
  std::string device;
  std::shared_ptr<Teacher> teacher;
};

// Each batch goes to the copy with the fewest batches under way, the first of equal ones. A batch
// that fails there is tried on the others in turn; if one answers, the device is to blame, and
// after kMostFailures such batches in a row it is left out, with one line in the log. A batch that
// fails on all of them has the first one's error. A batch that a device has no memory for is the
// caller's to split.
//
// FAILED_PRECONDITION if the digests differ: unlike cards give unlike bits.
// REQUIRES: at least one replica.
absl::StatusOr<std::shared_ptr<Teacher>> MakeReplicatedTeacher(
    std::vector<TeacherReplica> replicas);

}  // namespace distillery
