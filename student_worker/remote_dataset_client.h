// Gets a split of a data set from the teachers, for a worker that has no copy.
//
// The samples come as stored, shard by shard, each from the teacher that rendezvous hashing names or
// from another when that one fails, and go on at the first row that is missing. The Dataset made of
// them is the one that the files would give, bit for bit: its digest is checked. So augmentation,
// order and weights are those of a worker with the files.
//
// Threads: Fetch by one at a time; it blocks, for as long as no teacher answers.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/base/clock.h"
#include "common/rpc/call_canceller.h"
#include "student_worker/any_teacher_client.h"
#include "student_worker/dataset_description_client.h"

namespace distillery {

class RemoteDatasetClient {
 public:
  struct Options {
    // Most bytes of pixels of one split.
    int64_t max_bytes = kMaxStoredBytes;
    // A fetch that takes longer says how far it is, each time this has passed.
    absl::Duration report_period = absl::Seconds(2);
    Clock* clock = Clock::Real();
  };
  // `waiting`: as AnyTeacher.
  RemoteDatasetClient(const Options& options, TeacherChannels* teachers, CallCanceller* canceller,
                      std::function<void(const std::string&)> waiting);

  // `expected_digest` may be empty: any. CANCELLED; NOT_FOUND if the teachers have no such split;
  // FAILED_PRECONDITION if they have another one; RESOURCE_EXHAUSTED if it is too large; DATA_LOSS if
  // what came is damaged, or not what was described.
  absl::StatusOr<std::shared_ptr<const Dataset>> Fetch(const DatasetReference& reference,
                                                       const std::string& expected_digest,
                                                       const CancelCheck& cancelled);

 private:
  class Progress;
  absl::StatusOr<DatasetDescription> Describe(const DatasetReference& reference,
                                              const std::string& expected_digest,
                                              const CancelCheck& cancelled);
  AnyTeacher::Answer DescribeOnce(const std::shared_ptr<grpc::Channel>& channel,
                                  const DatasetReference& reference,
                                  const std::string& expected_digest,
                                  DatasetDescription* description);
  // Appends the shard's rows. REQUIRES: `samples` holds those of the shards before it.
  absl::Status ReadShard(const DatasetReference& reference, const DatasetDescription& description,
                         int64_t shard, const CancelCheck& cancelled, Progress* progress,
                         StoredSamples* samples);

  const Options options_;
  CallCanceller* const canceller_;
  AnyTeacher teachers_;
};

}  // namespace distillery
