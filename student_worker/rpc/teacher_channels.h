// Channels to the teachers of a TeacherSet, each opened when its teacher is first asked and kept as
// long as the set knows it.
//
// Threads: safe for all.
#pragma once

#include <grpcpp/channel.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "common/rpc/connection.h"
#include "student_worker/teachers/teacher_set.h"

namespace distillery {

class TeacherChannels {
 public:
  using Factory = std::function<absl::StatusOr<std::shared_ptr<Connection>>(const TeacherAddress&)>;
  TeacherChannels(std::unique_ptr<TeacherSet> teachers, Factory factory);

  // To the teachers of a list as TeacherAddresses::Create takes it. `files`: those of `transport`.
  // Errors of that and of CheckTransport. Over TLS also FAILED_PRECONDITION as
  // Connection::Diagnose, for a teacher that is there and cannot be talked to; plain text connects
  // to none yet.
  static absl::StatusOr<std::unique_ptr<TeacherChannels>> Open(
      const std::string& list, const TransportOptions& transport,
      const std::shared_ptr<TlsFileWatch>& files);
  // To one teacher, over a channel that there is. `label` is for people.
  static std::unique_ptr<TeacherChannels> Of(const std::shared_ptr<grpc::Channel>& channel,
                                             const std::string& label);

  struct Teacher {
    TeacherAddress address;
    std::shared_ptr<grpc::Channel> channel;
    std::shared_ptr<Connection> connection;
  };
  // As TeacherSet::Pick. One that was left out is asked anew once its connection has been lost, and
  // one that failed as soon as its connection is there again.
  absl::StatusOr<std::optional<Teacher>> Pick(const TeacherSet::Question& question);

  TeacherSet& set() { return *set_; }

 private:
  struct Link {
    std::shared_ptr<Connection> connection;
    // The connection's when it was last picked.
    std::shared_ptr<grpc::Channel> channel;
    // Seen without a connection since its teacher is in trouble.
    bool lost = false;
  };
  // Tells the set what became of the connections to teachers in trouble.
  void WatchConnections() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::unique_ptr<TeacherSet> set_;
  const Factory factory_;
  Mutex mutex_;
  // By target.
  std::map<std::string, Link> links_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace distillery
