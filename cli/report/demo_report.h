// What the demo has to say at its end: a table for people, figures as JSON, a note in the folder.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/models/student_model.h"
#include "cli/report/paired_difference.h"
#include "cli/report/results.h"
#include "cli/runs/rate_search.h"
#include "distillery/v1/coordinator_service.pb.h"

namespace distillery {

struct DemoReport {
  std::string dataset;
  ModelFigures teacher;
  // The figures of the first seed's students.
  ModelFigures hard;
  ModelFigures distilled;
  // The distilled student with int8 weights.
  ModelFigures distilled_int8;
  std::vector<GridPoint> grid;
  // The runs of both students with their rounds, one of each per seed.
  std::vector<v1::GetRunResponse> hard_runs;
  std::vector<v1::GetRunResponse> distilled_runs;
};

// The grid of learning rates, one line per student.
std::string FormatGrid(const std::vector<GridPoint>& grid, const StudentPair& chosen);
// Teacher, both students and the int8 one: parameters, size, accuracy, errors, agreement; then,
// with more than one seed, the paired difference of the errors.
std::string FormatReport(const DemoReport& report);
// Test errors of the hard student minus those of the distilled one, seed by seed.
PairedDifference ErrorDifference(const DemoReport& report);
std::string ReportToJson(const DemoReport& report);
// The table and the grid, for results.json; the runs in hard/ and distilled/.
Results ReportToResults(const DemoReport& report, const std::string& command, double wall_seconds);

}  // namespace distillery
