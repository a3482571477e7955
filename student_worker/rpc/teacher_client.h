// Soft targets over gRPC from whichever teacher is best for a shard.
//
// A shard is asked of its teacher by rendezvous hashing; when that one fails or breaks off, of the
// next at once, from the first row that is missing. Only when none is left does ReadShard wait, and
// says so. A teacher with another digest is left out, with one warning.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "common/rpc/call_canceller.h"
#include "student_worker/rpc/teacher_failover.h"

namespace distillery {

class TeacherClient : public SoftTargetSource {
 public:
  // `waiting` is told what is waited for, and "" when that is over.
  TeacherClient(TeacherChannels* teachers, CallCanceller* canceller,
                std::function<void(const std::string&)> waiting);

  // FAILED_PRECONDITION also if no teacher has the expected digest, naming those found; what a
  // teacher refuses is asked of the others before it is the answer.
  absl::Status ReadShard(ShardRequest* request, const CancelCheck& cancelled,
                         SoftTargetRows* rows) override;

  // Streams that went on, at the same or at another teacher, after some rows of a shard were held.
  int64_t failover_count() const { return failover_count_.load(); }

 private:
  // One stream from the first row that is missing; OK when its trailer has come and all fits.
  AnyTeacher::Answer ReadOnce(const std::shared_ptr<grpc::Channel>& channel, ShardRequest* request,
                              SoftTargetRows* rows);
  // Asks the teacher for its digest. Empty if it does not say.
  std::string DigestOf(const std::shared_ptr<grpc::Channel>& channel);

  CallCanceller* const canceller_;
  AnyTeacher teachers_;
  std::atomic<int64_t> failover_count_{0};
};

}  // namespace distillery
