// Where the teachers are: a list of addresses, and of names that may stand for several and change.
//
// Threads: safe for all. Nothing blocks on a look-up: each runs in a thread of its own, which a
// resolver that hangs keeps even beyond this object.
//
//   auto addresses = TeacherAddresses::Create("teachers.example:7001", resolver, {});
//   for (const TeacherAddress& teacher : (*addresses)->Current()) ...
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/clock.h"
#include "student_worker/teachers/name_resolver.h"

namespace distillery {

struct TeacherAddress {
  // What is connected to, and hashed: "10.0.0.3:7001".
  std::string target;
  // The name that it was found by, which its certificate must show; empty if it was given as it is.
  std::string host;
  // For people: "10.0.0.3:7001 (teachers.example)".
  std::string label;

  friend bool operator==(const TeacherAddress& a, const TeacherAddress& b) {
    return a.target == b.target && a.host == b.host;
  }
  friend bool operator!=(const TeacherAddress& a, const TeacherAddress& b) { return !(a == b); }
};

class TeacherAddresses {
 public:
  struct Options {
    // A name that is in use is looked up again after this.
    absl::Duration period = absl::Seconds(10);
    // And after a failure, but not more often than this.
    absl::Duration shortest_period = absl::Seconds(1);
    // How long the destructor waits for a look-up under way.
    absl::Duration longest_goodbye = absl::Seconds(1);
    Clock* clock = Clock::Real();
  };
  // `list`: "HOST:PORT[,HOST:PORT...]". IP addresses, "localhost" and unix sockets are taken as
  // they are; other hosts are looked up, and stand for all their addresses. INVALID_ARGUMENT names
  // what is no address.
  static absl::StatusOr<std::unique_ptr<TeacherAddresses>> Create(
      const std::string& list, std::shared_ptr<NameResolver> resolver, const Options& options);
  // One that never changes.
  static std::unique_ptr<TeacherAddresses> Fixed(const TeacherAddress& address);
  ~TeacherAddresses();

  // The entries of the list.
  std::vector<std::string> given() const;
  // Those known now, each target once. Starts a look-up if it is time; never blocks. What is known
  // stays known while look-ups fail.
  std::vector<TeacherAddress> Current();
  // The names that have no address yet: "teachers:7001 (cannot resolve teachers: ...)".
  std::vector<std::string> Missing() const;
  // Something failed: look up again soon.
  void LookAgain();
  // Returns when a look-up has ended, at the latest after `timeout`.
  void AwaitNews(absl::Duration timeout);
  // Look-ups of all names that have ended.
  int64_t look_up_count() const;
  // True while there are names of which nothing can be said yet.
  bool FirstLookUp() const;

 private:
  struct State;
  explicit TeacherAddresses(std::shared_ptr<State> state) : state_(std::move(state)) {}
  static void LookUp(const std::shared_ptr<State>& state);
  // Shared with the thread of a look-up.
  const std::shared_ptr<State> state_;
};

}  // namespace distillery
