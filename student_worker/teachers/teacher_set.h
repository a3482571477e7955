// How each teacher fares, and whom to ask for a shard: live ones in rendezvous order. One that
// failed is left alone for a time that grows with each failure; one that serves another digest than
// a run's is left out for that run.
//
// Threads: safe for all. Nothing blocks but AwaitNews.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/base/backoff.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "student_worker/teachers/rendezvous.h"
#include "student_worker/teachers/teacher_addresses.h"

namespace distillery {

class TeacherSet {
 public:
  struct Options {
    // One with another digest is asked again after this: it may have been started anew.
    absl::Duration left_out_for = absl::Seconds(60);
    Clock* clock = Clock::Real();
  };
  TeacherSet(std::unique_ptr<TeacherAddresses> addresses, const Options& options);

  // A shard of one run, and who has refused it already.
  struct Question {
    RendezvousKey key;
    // Empty: any.
    std::string teacher_digest;
    // Targets, with their answers.
    std::map<std::string, absl::Status> refusals;
  };
  // The best one to ask now; nothing if none is worth asking.
  std::optional<TeacherAddress> Pick(const Question& question);

  // What to do when Pick gave nothing.
  struct Outlook {
    // Not OK: no teacher can ever answer. The refusal if there was one, else FAILED_PRECONDITION
    // with the digests.
    absl::Status status;
    // What there is to wait for: "teacher a:1: its reason". Empty while it is too early to tell.
    std::string waiting_for;
    // When to pick again, from now; earlier if there is news.
    absl::Duration wait;
  };
  Outlook Consider(const Question& question);

  // It answered. True if it had failed before.
  bool Succeeded(const std::string& target);
  // It did not answer, or broke off. `progress`: not without having sent something. True if it had
  // been well.
  bool Failed(const std::string& target, const absl::Status& status, bool progress);
  // It serves `found`. True if that is news.
  bool LeaveOut(const std::string& target, const std::string& expected, const std::string& found);
  // Its connection was lost: what digest it serves is open again.
  void ConnectionLost(const std::string& target);
  // And is there again: it need not be left alone any longer.
  void ConnectionBack(const std::string& target);
  // The targets that have failed or were left out.
  std::set<std::string> Troubled();
  bool Knows(const std::string& target);

  // Returns when there is news of addresses, at the latest after `timeout`.
  void AwaitNews(absl::Duration timeout) { addresses_->AwaitNews(timeout); }

 private:
  struct LeftOutFrom {
    absl::Duration until;
    std::string found;
  };
  struct Teacher {
    TeacherAddress address;
    Backoff backoff;
    // OK: live.
    absl::Status failure;
    absl::Duration failed_until;
    // By expected digest.
    std::map<std::string, LeftOutFrom> left_out;
    // (expected, found) that were warned of.
    std::set<std::pair<std::string, std::string>> warned;
  };
  // Takes newcomers in and forgets those that are gone.
  void Refresh() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool IsLeftOut(const Teacher& teacher, const std::string& digest)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status WrongDigests(const std::string& expected) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Options options_;
  const std::unique_ptr<TeacherAddresses> addresses_;
  Mutex mutex_;
  // By target.
  std::map<std::string, Teacher> teachers_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace distillery
