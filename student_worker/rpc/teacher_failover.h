// Asks for something until a teacher has given it: of the best one first; when that one fails or
// breaks off, of the next at once. Only when none is left does it wait, and says so.
//
// Threads: Ask by any; each asks for itself.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "student_worker/rpc/teacher_channels.h"
#include "student_worker/teachers/soft_target_source.h"

namespace distillery {

class AnyTeacher {
 public:
  // `waiting` is told what is waited for, and "" when that is over.
  AnyTeacher(TeacherChannels* teachers, std::function<void(const std::string&)> waiting);

  // How one teacher took it.
  struct Answer {
    absl::Status status;
    // Its digest if it is not the expected one: why `status` is not OK.
    std::string other_digest;
    // Something came, even if not all.
    bool progress = false;
    // It will not answer otherwise later, whatever the code is.
    bool final = false;
  };
  using Call = std::function<Answer(const std::shared_ptr<grpc::Channel>&)>;

  // `what` is for people: "shard 3". `call` may change the question's digest, and goes on where the
  // one before ended. OK once an answer is OK. CANCELLED; FAILED_PRECONDITION if no teacher has the
  // expected digest, naming those found; what a teacher refuses is asked of the others before it is
  // the answer.
  absl::Status Ask(const std::string& what, TeacherSet::Question* question,
                   const CancelCheck& cancelled, const Call& call);

 private:
  // Keeps in mind how the teacher answered.
  void Learn(const std::string& what, const TeacherChannels::Teacher& asked, const Answer& answer,
             TeacherSet::Question* question);

  TeacherChannels* const teachers_;
  const std::function<void(const std::string&)> waiting_;
};

}  // namespace distillery
