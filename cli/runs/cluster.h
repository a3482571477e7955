// Teacher service, coordinator and workers as real processes on free loopback ports, which end when
// this process does.
//
// Threads: one, which must outlive the object.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/child_process.h"

namespace distillery {

class Cluster {
 public:
  struct Options {
    // Gets state/ (the coordinator's record) and logs/, one file per process.
    std::string folder;
    std::string data_dir;
    std::string teacher_model;
    // Model card (JSON) for a teacher file that carries none.
    std::string teacher_card;
    int workers = 1;
    // Where teacher and workers compute: "cpu", "cuda" or "cuda:N".
    std::string device = "cpu";
    // Longer than a worker may be held up by a busy machine.
    absl::Duration lease = absl::Seconds(10);
  };
  // Returns when the teacher serves and the coordinator listens. UNAVAILABLE if a process ends
  // before that, with the end of its log; CANCELLED after a stop signal.
  static absl::StatusOr<std::unique_ptr<Cluster>> Start(const Options& options);
  // Asks every process to end (workers first: they give their tasks back), waits, then kills.
  ~Cluster();

  const std::string& coordinator_address() const { return coordinator_address_; }
  const std::string& teacher_address() const { return teacher_address_; }
  const std::string& teacher_digest() const { return teacher_digest_; }
  // UNAVAILABLE naming a process that has ended, with the end of its log. Call now and then.
  absl::Status Check();

 private:
  struct Member {
    std::string name;
    std::string log_path;
    ChildProcess process;
  };
  explicit Cluster(Options options) : options_(std::move(options)) {}
  absl::Status StartMember(const std::string& name, std::vector<std::string> arguments);
  static void EndMembers(std::vector<Member>::iterator first, std::vector<Member>::iterator last);
  // Sets teacher_digest_, once the teacher has loaded its model.
  absl::Status AwaitTeacher();
  // The address that a member writes once it listens.
  absl::StatusOr<std::string> AwaitAddress(const std::string& path);
  std::string AddressFile(const std::string& name) const;

  const Options options_;
  std::string coordinator_address_;
  std::string teacher_address_;
  std::string teacher_digest_;
  // In the order in which they were started: teacher_service, coordinator, workers.
  std::vector<Member> members_;
};

}  // namespace distillery
