#include "common/data/kept_pictures.h"

#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "common/base/checksum.h"
#include "common/base/files.h"
#include "common/base/logging.h"
#include "common/base/mutex.h"
#include "common/base/regular_file.h"
#include "common/base/status_macros.h"
#include "common/data/side_file.h"

namespace distillery {
namespace {

// The first line of the file, with the spaces after it.
constexpr size_t kStartBytes = 256;

// Removes what processes that were killed had begun to write: it may be gigabytes. One that lives,
// but not in this container, notices that its file is gone, and keeps nothing.
void RemoveAbandoned(const std::string& start) {
  const absl::StatusOr<FolderNames> names = ListFolder(FolderOf(start));
  if (!names.ok()) return;
  for (const std::string& name : names->files) {
    absl::string_view rest = name;
    pid_t process = 0;
    if (!absl::ConsumePrefix(&rest, BaseName(start)) || !absl::SimpleAtoi(rest, &process)) continue;
    if (kill(process, 0) == 0 || errno != ESRCH) continue;
    (void)RemoveFile(absl::StrCat(FolderOf(start), "/", name));
  }
}

absl::Status Write(const std::string& path, absl::string_view start,
                   const std::vector<uint8_t>& pixels) {
  const std::string beginning = absl::StrCat(path, ".tmp-");
  const std::string temporary = absl::StrCat(beginning, getpid());
  DISTILLERY_RETURN_IF_ERROR(MakeFolders(FolderOf(path)));
  RemoveAbandoned(beginning);
  DISTILLERY_ASSIGN_OR_RETURN(const auto file, OutputFile::Create(temporary));
  DISTILLERY_RETURN_IF_ERROR(file->Append(start));
  DISTILLERY_RETURN_IF_ERROR(
      file->Append({reinterpret_cast<const char*>(pixels.data()), pixels.size()}));
  DISTILLERY_RETURN_IF_ERROR(file->Sync());
  DISTILLERY_RETURN_IF_ERROR(file->Keep());
  return RenameDurably(temporary, path);
}

}  // namespace

KeptPictures::KeptPictures(const std::string& folder, const std::string& key)
    : digest_of_key_(Sha256Hex(key)), paths_(SidePaths(folder, "pictures")) {}

std::string KeptPictures::Start(const ImageShape& shape, int64_t count) const {
  std::string start = absl::StrFormat("distillery pictures 1 %s %d %d %d %d\n", digest_of_key_,
                                      shape.channels, shape.height, shape.width, count);
  start.resize(kStartBytes, ' ');
  return start;
}

std::optional<KeptPictures::Content> KeptPictures::Load() const {
  for (const std::string& path : paths_) {
    if (std::optional<Content> content = Open(path)) return content;
  }
  return std::nullopt;
}

std::optional<KeptPictures::Content> KeptPictures::Open(const std::string& path) const {
  absl::StatusOr<InputFile> file = InputFile::Open(path);
  std::string start(kStartBytes, '\0');
  if (!file.ok() || file->size() < static_cast<int64_t>(kStartBytes) ||
      !file->ReadAt(0, kStartBytes, start.data()).ok()) {
    return std::nullopt;
  }
  ImageShape shape;
  int64_t count = 0;
  const int fields = std::sscanf(
      start.c_str(), "distillery pictures 1 %*64s %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64,
      &shape.channels, &shape.height, &shape.width, &count);
  if (fields != 4 || start != Start(shape, count) || count < 1 ||
      !CheckImageSize(shape.height, shape.width, path).ok() || shape.channels < 1 ||
      shape.channels > 3 || (file->size() - static_cast<int64_t>(kStartBytes)) % count != 0 ||
      (file->size() - static_cast<int64_t>(kStartBytes)) / count != shape.size()) {
    return std::nullopt;
  }
  Content content{shape, file->stamp(), nullptr};
  content.records = std::make_shared<const RecordFile>(
      *std::move(file),
      RecordLayout{static_cast<int64_t>(kStartBytes), shape.size(), shape.size(), count});
  return content;
}

std::optional<KeptPictures::Content> KeptPictures::Store(const ImageShape& shape,
                                                         const std::vector<uint8_t>& pixels) const {
  if (pixels.empty()) return std::nullopt;
  const std::string start = Start(shape, static_cast<int64_t>(pixels.size()) / shape.size());
  // Two of this process would write to one temporary file.
  static Mutex* const mutex = new Mutex;
  MutexLock lock(*mutex);
  absl::Status status;
  for (const std::string& path : paths_) {
    status = Write(path, start, pixels);
    if (!status.ok()) continue;
    if (std::optional<Content> content = Open(path)) return content;
  }
  LogWarning("the pictures of a data set are decoded anew each time it is opened: {}",
             std::string(status.message()));
  return std::nullopt;
}

}  // namespace distillery
