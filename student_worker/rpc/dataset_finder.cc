#include "student_worker/rpc/dataset_finder.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/logging.h"
#include "common/base/status_macros.h"

namespace distillery {
namespace {

int64_t BytesOf(const Dataset& dataset) { return dataset.size() * dataset.record_bytes(); }

}  // namespace

DatasetFinder::DatasetFinder(const Options& options, TeacherChannels* teachers)
    : options_(options), teachers_(teachers), files_(options.data_dir) {}

absl::StatusOr<std::shared_ptr<const Dataset>> DatasetFinder::Find(
    const DatasetReference& reference, const std::string& expected_digest, const Seeker& seeker) {
  DISTILLERY_RETURN_IF_ERROR(reference.Validate());
  const std::string name = reference.ToString();
  RemoteDatasetClient remote(
      options_.remote, teachers_, seeker.canceller, [&](const std::string& waiting_for) {
        seeker.waiting(waiting_for.empty()
                           ? ""
                           : absl::StrCat("data set ", name, " is not here; ", waiting_for));
      });
  const auto kept = [&](const std::string& digest) {
    return std::find_if(fetched_.begin(), fetched_.end(), [&](const auto& dataset) {
      return dataset->reference().ToString() == name &&
             (digest.empty() || dataset->digest() == digest);
    });
  };
  auto known = kept(expected_digest);
  if (known != fetched_.end() && expected_digest.empty()) {
    // The teacher may have been given other files since. While none can be asked, what is kept
    // serves.
    const absl::StatusOr<std::string> digest = remote.AskDigest(reference);
    if (digest.ok()) known = kept(*digest);
    if (known == fetched_.end()) LogInfo("data set {} has changed at the teacher", name);
  }
  if (known != fetched_.end()) {
    fetched_.splice(fetched_.begin(), fetched_, known);
    return fetched_.front();
  }
  absl::StatusOr<std::shared_ptr<const Dataset>> local = files_.Open(reference);
  if (!absl::IsNotFound(local.status()) || teachers_ == nullptr) return local;
  const std::string why(local.status().message());
  LogInfo("data set {} is not here ({}): asking the teacher for it", name, why);
  absl::StatusOr<std::shared_ptr<const Dataset>> fetched =
      remote.Fetch(reference, expected_digest, seeker.cancelled);
  if (absl::IsResourceExhausted(fetched.status()) && !fetched_.empty()) {
    fetched_.clear();  // they may be what fills the disk
    fetched = remote.Fetch(reference, expected_digest, seeker.cancelled);
  }
  if (absl::IsNotFound(fetched.status())) {
    return absl::NotFoundError(
        absl::StrCat("the worker: ", why, "; the teacher: ", fetched.status().message()));
  }
  if (fetched.ok()) Keep(*fetched);
  return fetched;
}

void DatasetFinder::Keep(std::shared_ptr<const Dataset> dataset) {
  fetched_.push_front(std::move(dataset));
  int64_t bytes = 0;
  for (auto kept = fetched_.begin(); kept != fetched_.end();) {
    bytes += BytesOf(**kept);
    kept = bytes > options_.remote.max_bytes ? fetched_.erase(kept) : std::next(kept);
  }
}

}  // namespace distillery
