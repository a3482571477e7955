#include "cli/runs/mnist_download.h"

#include <curl/curl.h>

#include <cstdio>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/runs/progress.h"
#include "common/base/checksum.h"
#include "common/base/clock.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/base/stop_signal.h"
#include "common/base/terminal.h"
#include "common/data/gzip.h"

namespace distillery {
namespace {

constexpr size_t kMaxFileBytes = 32 << 20;
constexpr int64_t kMaxUnpackedBytes = 64 << 20;
constexpr long kConnectSeconds = 10;  // NOLINT: libcurl's interface takes long
constexpr long kStallSeconds = 30;    // NOLINT

struct File {
  const char* name;
  // The SHA-256 of the unpacked file: mirrors may compress differently.
  const char* sha256;
};
constexpr File kFiles[] = {
    {"train-images-idx3-ubyte", "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"},
    {"train-labels-idx1-ubyte", "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"},
    {"t10k-images-idx3-ubyte", "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"},
    {"t10k-labels-idx1-ubyte", "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"}};
constexpr const char* kMirrors[] = {"https://ossci-datasets.s3.amazonaws.com/mnist",
                                    "https://storage.googleapis.com/cvdf-datasets/mnist"};

size_t TakeBytes(char* data, size_t size, size_t count, void* target) {
  auto* const bytes = static_cast<std::string*>(target);
  if (bytes->size() + size * count > kMaxFileBytes) return 0;
  bytes->append(data, size * count);
  return size * count;
}

// Ends the transfer when the user wants to stop.
int CheckStop(void*, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return StopSignal::Requested() ? 1 : 0;
}

absl::StatusOr<std::string> Fetch(const std::string& url) {
  std::string bytes;
  char error[CURL_ERROR_SIZE] = {};
  CURL* const handle = curl_easy_init();
  curl_easy_setopt(handle, CURLOPT_URL, url.c_str());
  curl_easy_setopt(handle, CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(handle, CURLOPT_FAILONERROR, 1L);
  curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
  curl_easy_setopt(handle, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(handle, CURLOPT_LOW_SPEED_TIME, kStallSeconds);
  curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, TakeBytes);
  curl_easy_setopt(handle, CURLOPT_WRITEDATA, &bytes);
  curl_easy_setopt(handle, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(handle, CURLOPT_XFERINFOFUNCTION, CheckStop);
  curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, error);
  const CURLcode code = curl_easy_perform(handle);
  curl_easy_cleanup(handle);
  if (StopSignal::Requested()) return absl::CancelledError("download stopped");
  if (code == CURLE_OK) return bytes;
  return absl::UnavailableError(
      absl::StrCat(url, ": ", error[0] != '\0' ? error : curl_easy_strerror(code)));
}

// Fetches one file from the first mirror that has the right bytes.
absl::Status FetchFile(const File& file, const std::string& folder) {
  const std::string path = absl::StrCat(folder, "/", file.name, ".gz");
  absl::Status status;
  for (const char* const mirror : kMirrors) {
    const absl::Duration start = SteadyNow();
    const absl::StatusOr<std::string> packed = Fetch(absl::StrCat(mirror, "/", file.name, ".gz"));
    status = packed.status();
    if (absl::IsCancelled(status)) return status;
    if (!status.ok()) continue;
    const absl::StatusOr<std::string> bytes = GunzipBytes(*packed, kMaxUnpackedBytes, path);
    if (!bytes.ok() || Sha256Hex(*bytes) != file.sha256) {
      status = absl::DataLossError(
          absl::StrCat(mirror, "/", file.name, ".gz is not MNIST's file: its checksum differs"));
      continue;
    }
    Print(stderr, "downloaded %s.gz, %.1f MB in %s\n", file.name,
          static_cast<double>(packed->size()) / 1e6, ShortDuration(SteadyNow() - start).c_str());
    return WriteFileDurably(path, *packed);
  }
  return status;
}

bool Holds(const std::string& folder, const File& file) {
  const std::string path = absl::StrCat(folder, "/", file.name);
  return FileExists(path) || FileExists(path + ".gz");
}

}  // namespace

absl::Status EnsureMnist(const std::string& data_dir) {
  if (Holds(data_dir, kFiles[0])) return absl::OkStatus();
  const std::string folder = data_dir + "/mnist";
  bool announced = false;
  for (const File& file : kFiles) {
    if (Holds(folder, file)) continue;
    if (!announced) Print(stderr, "MNIST is not in %s: downloading\n", folder.c_str());
    announced = true;
    DISTILLERY_RETURN_IF_ERROR(MakeFolders(folder));
    const absl::Status status = FetchFile(file, folder);
    if (absl::IsUnavailable(status)) {
      return absl::UnavailableError(
          absl::StrCat("cannot download MNIST (", std::string(status.message()), "): put ",
                       file.name, ".gz and its three sisters into ", folder,
                       ", or name the "
                       "folder that holds them with --data-dir"));
    }
    DISTILLERY_RETURN_IF_ERROR(status);
  }
  return absl::OkStatus();
}

}  // namespace distillery
