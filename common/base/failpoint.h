// Named places in the programs at which a test ends, stops or slows the process, so that a crash
// lands on the moment it is about and not near it, and a slow disk is as slow as it has to be.
//
//   DISTILLERY_FAILPOINT("coordinator.spool.renamed");
//
// One atomic load while nothing is armed, so release programs keep them: what is tested is what
// ships. Debian's libfiu would have to be linked into every program for that, and it injects return
// values, where all we need is a signal or a pause.
//
// Armed by the environment, read once when a program starts:
//   DISTILLERY_FAILPOINTS=NAME=ACTION[@HIT],...   such as coordinator.spool.renamed=kill@3
//       ACTION   kill (SIGKILL to this process), stop (SIGSTOP; SIGCONT lets it go on) or sleep:MS
//                (the thread that hits the place sleeps for so many milliseconds)
//       HIT      at which hit of the place, from 1 (default); kill and stop act once, sleep acts at
//                this hit and at all later ones
//   DISTILLERY_FAILPOINT_LOG=FILE   gets a line "NAME ACTION PROCESS HIT" before the process is
//                                   ended or stopped
// A name, an action or a form that is not known is refused at start.
//
// Threads: hits come from any; arming comes first.
#pragma once

#include <atomic>
#include <cstddef>
#include <iterator>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace distillery {

// All of them; tests/chaos sees to it that each is hit. The first word is the program; "files" are
// hit in every program that has durable files.
inline constexpr std::string_view kFailpoints[] = {
    "files.renamed",                    // the name is new, the folder not yet on disk
    "files.syncing",                    // written, not yet on disk
    "files.hashing",                    // all bytes are read, their SHA-256 is not yet known
    "coordinator.run.recorded",         // submitted, not yet answered
    "coordinator.lease.granted",        // recorded, not yet answered
    "coordinator.download.chunk",       // weights are partly sent
    "coordinator.upload.chunk",         // a result is partly received
    "coordinator.spool.written",        // checked, not yet on disk
    "coordinator.spool.synced",         // on disk, still among the incoming files
    "coordinator.spool.renamed",        // in its place, not yet recorded
    "coordinator.result.recording",     // within the transaction
    "coordinator.result.recorded",      // committed, not yet answered
    "coordinator.average.fragment",     // new weights are partly written
    "coordinator.average.written",      // on disk under a temporary name
    "coordinator.momentum.renamed",     // the optimizer's state is new, the weights are old
    "coordinator.weights.renamed",      // in their place, the round not yet recorded
    "coordinator.round.recording",      // within the transaction
    "coordinator.round.recorded",       // committed; spooled results are not yet removed
    "coordinator.evaluation.recorded",  // committed, not yet answered
    "coordinator.run.ended",            // committed, files not yet removed
    "teacher.stream.opened",            // the header is made
    "teacher.stream.chunk",             // in the middle of a shard
    "teacher.stream.trailer",           // all rows are sent
    "teacher.cache.rows",               // a file is partly written
    "teacher.cache.written",            // complete under a temporary name
    "teacher.cache.renamed",            // in its place, not yet in the index
    "worker.task.leased",               // nothing done yet
    "worker.initialise.done",           // initial weights are made, not yet sent
    "worker.download.chunk",            // weights are partly received
    "worker.shard.chunk",               // a shard is partly received
    "worker.train.step",                // between two steps
    "worker.upload.begin",              // trained, nothing sent
    "worker.upload.chunk",              // a result is partly sent
    "worker.upload.sent",               // sent, the answer not yet read
    "worker.upload.done",               // the answer is read
    "worker.evaluation.done",           // evaluated, not yet reported
};

// Its place in kFailpoints; their number if it is not there.
constexpr size_t FailpointIndex(std::string_view name) {
  size_t i = 0;
  while (i < std::size(kFailpoints) && kFailpoints[i] != name) ++i;
  return i;
}

// Arms what DISTILLERY_FAILPOINTS names. INVALID_ARGUMENT says what is wrong with it.
absl::Status ArmFailpoints();
// The same for a given text and log ("": none); nothing is armed if it is refused.
absl::Status ArmFailpoints(const std::string& text, const std::string& log_path);
// Nothing is armed any more; for tests within one process. No thread may hit a place meanwhile.
void DisarmFailpoints();

namespace failpoint_internal {
extern std::atomic<bool> armed;
void Hit(size_t index);
}  // namespace failpoint_internal

}  // namespace distillery

#define DISTILLERY_FAILPOINT(name)                                                 \
  do {                                                                             \
    constexpr size_t failpoint = ::distillery::FailpointIndex(name);               \
    static_assert(failpoint < std::size(::distillery::kFailpoints),                \
                  "add the name to kFailpoints");                                  \
    if (::distillery::failpoint_internal::armed.load(std::memory_order_relaxed)) { \
      ::distillery::failpoint_internal::Hit(failpoint);                            \
    }                                                                              \
  } while (false)
