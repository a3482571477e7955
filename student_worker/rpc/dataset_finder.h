// The data of a worker's tasks: from its own files, else from the teachers.
//
// Each split is fetched once and kept, the last ones used, as long as all together take no more
// than one may. A kept split is used only if its digest is right: that of the task or, if the task
// names none, the one that the teacher has now. While no teacher can be asked, it is used as it is.
// Threads: one. Find blocks: it reads files, or waits for a teacher.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/data/catalog.h"
#include "student_worker/rpc/remote_dataset.h"

namespace distillery {

class DatasetFinder {
 public:
  struct Options {
    // As DatasetCatalog.
    std::string data_dir;
    RemoteDatasetClient::Options remote;
  };
  // `teachers` may be null: then there are the files alone.
  DatasetFinder(const Options& options, TeacherChannels* teachers);

  // On whose behalf something is looked for.
  struct Seeker {
    CallCanceller* canceller = nullptr;
    // As AnyTeacher.
    std::function<void(const std::string&)> waiting;
    CancelCheck cancelled;
  };
  // Errors of DatasetCatalog::Open, and of RemoteDatasetClient::Fetch if the files have no such
  // data set; NOT_FOUND with the words of both if neither has. `expected_digest`, if not empty:
  // asked of the teachers; the caller compares that of the files.
  absl::StatusOr<std::shared_ptr<const Dataset>> Find(const DatasetReference& reference,
                                                      const std::string& expected_digest,
                                                      const Seeker& seeker);

 private:
  using Fetched = std::list<std::shared_ptr<const Dataset>>;
  void Keep(std::shared_ptr<const Dataset> dataset);

  const Options options_;
  TeacherChannels* const teachers_;
  DatasetCatalog files_;
  // Used last first.
  Fetched fetched_;
};

}  // namespace distillery
