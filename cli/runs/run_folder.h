// What a run leaves behind for people: the student, its figures, and a note on each file.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "cli/models/model_export.h"
#include "cli/runs/run_client.h"
#include "distillery/v1/coordinator_service.pb.h"

namespace distillery {

// Downloads W_round (-1: the newest) and writes it to `target` (see model_export.h).
// `student_file`: the TorchScript file of a student that is one; "": the path in the run's spec.
absl::StatusOr<ExportedFile> ExportStudent(const RunClient& client, const v1::Run& run,
                                           int64_t round, const ExportTarget& target,
                                           const std::string& student_file = "");

// Sets the paths of the run's files (teacher, student, initial weights) to those of `spec`, as it
// was given on this machine: a coordinator keeps their names alone.
void SetFilePaths(const RunSpec& spec, v1::Run* run);

// Where the teacher and the data of a run are, as far as this machine has them.
struct RunSources {
  // The teacher's TorchScript file, and a model card (JSON) if it carries none; "": not here.
  std::string teacher_model;
  std::string teacher_card;
  std::string data_dir;
};

// Writes student.pt, student.safetensors, metrics.json, leases.json, tensorboard/ and README.txt of
// a run that succeeded, and student_int8.pt where the student has an int8 form. A student that is a
// file is found by the path in the run's spec (SetFilePaths).
absl::Status WriteRunFolder(const RunClient& client, const v1::GetRunResponse& run,
                            const std::string& folder, const RunSources& sources = {});

}  // namespace distillery
