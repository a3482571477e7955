// The folder of an experiment. It holds one experiment on one data set, at one scale, with one
// teacher, so that what it has found of earlier is always of the same kind.
//
//   results.json report.html README.txt           what was found
//   teacher.pt            teacher/                the teacher, and its training if it was trained
//   here runs/NAME-SEED/       students that the results name state/ logs/ cache/   the
//   coordinator's record, what each process said, the teacher's logits experiment.json       what
//   the folder is for, and the time spent on it
//
// Threads: one. Held for one process by a locked file.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/files.h"

namespace distillery {

struct FolderPurpose {
  std::string experiment;
  std::string dataset;
  std::string scale;
  // SHA-256 (hex) of a teacher that was given; "": trained here.
  std::string teacher_sha256;
  // Where it computes; another one has other last bits.
  std::string device = "cpu";
};

class ExperimentFolder {
 public:
  // Makes the folder, or opens it again. FAILED_PRECONDITION naming what differs if it is for
  // something else, or if another process has it; DATA_LOSS for an experiment.json that does not
  // parse.
  static absl::StatusOr<std::unique_ptr<ExperimentFolder>> Open(const std::string& path,
                                                                const FolderPurpose& purpose);

  const std::string& path() const { return path_; }
  std::string File(const std::string& name) const { return path_ + "/" + name; }
  // Time spent by all processes that worked here, as far as they noted it.
  absl::Duration spent() const;
  // Makes it durable; a killed process loses what came after.
  absl::Status NoteSpent() const;
  absl::Status WriteReadme(const std::string& results_text, const std::string& command) const;

 private:
  ExperimentFolder(std::string path, FolderPurpose purpose, std::unique_ptr<FolderLock> lock);

  const std::string path_;
  const FolderPurpose purpose_;
  const std::unique_ptr<FolderLock> lock_;
  const absl::Duration opened_;
  absl::Duration spent_before_;
};

}  // namespace distillery
