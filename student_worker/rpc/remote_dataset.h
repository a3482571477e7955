// Gets a split of a data set from the teachers, for a worker that has no copy.
//
// The samples come as stored, shard by shard, each from the teacher that rendezvous hashing names
// or from another when that one fails, and go on at the first row that is missing. The Dataset made
// of them is the one that the files would give, bit for bit: its digest is checked. So
// augmentation, order and weights are those of a worker with the files. Pixels go into a temporary
// file without a name, in $TMPDIR or /tmp, and are read on demand: memory holds the labels and the
// order alone.
//
// Threads: Fetch by one at a time; it blocks, for as long as no teacher answers.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/base/clock.h"
#include "common/rpc/call_canceller.h"
#include "student_worker/rpc/dataset_messages.h"
#include "student_worker/rpc/teacher_failover.h"

namespace distillery {

class RemoteDatasetClient {
 public:
  struct Options {
    // Most bytes of pixels of one split: what a teacher may ask of this machine's disk.
    int64_t max_bytes = int64_t{64} << 30;
    // Where they are kept; empty: $TMPDIR, or else /tmp.
    std::string spool_folder;
    // A fetch that takes longer says how far it is, each time this has passed.
    absl::Duration report_period = absl::Seconds(2);
    Clock* clock = Clock::Real();
  };
  // `waiting`: as AnyTeacher.
  RemoteDatasetClient(const Options& options, TeacherChannels* teachers, CallCanceller* canceller,
                      std::function<void(const std::string&)> waiting);

  // `expected_digest` may be empty: any. CANCELLED; NOT_FOUND if the teachers have no such split;
  // FAILED_PRECONDITION if they have another one; RESOURCE_EXHAUSTED if it is too large, or the
  // disk is full; DATA_LOSS if what came is damaged, or not what was described; UNAVAILABLE if
  // there is no place for a temporary file.
  absl::StatusOr<std::shared_ptr<const Dataset>> Fetch(const DatasetReference& reference,
                                                       const std::string& expected_digest,
                                                       const CancelCheck& cancelled);

  // The digest that the split has at one of the teachers. UNAVAILABLE if none of them answers; else
  // errors as Fetch.
  absl::StatusOr<std::string> AskDigest(const DatasetReference& reference);

 private:
  class Progress;
  class Received;
  absl::StatusOr<DatasetDescription> Describe(const DatasetReference& reference,
                                              const std::string& expected_digest,
                                              const CancelCheck& cancelled);
  AnyTeacher::Answer DescribeOnce(const std::shared_ptr<grpc::Channel>& channel,
                                  const DatasetReference& reference,
                                  const std::string& expected_digest,
                                  DatasetDescription* description);
  // Appends the shard's rows. REQUIRES: `received` holds those of the shards before it.
  absl::Status ReadShard(const DatasetReference& reference, const DatasetDescription& description,
                         int64_t shard, const CancelCheck& cancelled, Progress* progress,
                         Received* received);

  const Options options_;
  CallCanceller* const canceller_;
  TeacherChannels* const channels_;
  AnyTeacher teachers_;
};

}  // namespace distillery
