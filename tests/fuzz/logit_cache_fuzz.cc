// Any bytes as a file of the soft-target cache: no crash, and what is served is the file's own.
//
// The first byte says what is put right before the bytes become the file: bit 0 the header's crc,
// bit 1 the crc of the logits, bit 2 the rest of the header. So the checks behind them are reached
// too.
#include <spdlog/spdlog.h>
#include <stdlib.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include "common/base/checksum.h"
#include "common/base/logging.h"
#include "teacher_service/cache/logit_cache.h"
#include "tests/fuzz/fuzz_main.h"

namespace distillery {
namespace {

constexpr int64_t kRows = 4;
constexpr int64_t kClasses = 3;
constexpr StoredType kType = StoredType::kFloat32;
constexpr size_t kMaxFileBytes = 64 << 10;

// One for the process: a file system in memory, if there is one, since each input writes a file.
const std::string& Folder() {
  static const auto* const folder = [] {
    const bool memory = std::filesystem::is_directory("/dev/shm");
    auto* const path = new std::string(memory ? "/dev/shm/logit-cache-fuzz-XXXXXX"
                                              : "/tmp/logit-cache-fuzz-XXXXXX");
    if (mkdtemp(path->data()) == nullptr) abort();
    atexit([] { std::filesystem::remove_all(Folder()); });
    spdlog::set_level(spdlog::level::off);
    return path;
  }();
  return *folder;
}

LogitKey TheKey() { return {"teacher", "dataset", 1, "none", 0, 0}; }

void Repair(std::string& bytes, uint8_t what) {
  if (bytes.size() < kLogitHeaderBytes) return;
  LogitHeader header;
  std::memcpy(&header, bytes.data(), sizeof(header));
  if ((what & 4) != 0) {
    header = MakeLogitHeader({TheKey(), kRows, kClasses, kType}, header.payload_crc32c);
  }
  if ((what & 2) != 0) {
    header.payload_crc32c = Crc32c(absl::string_view(bytes).substr(kLogitHeaderBytes));
  }
  if ((what & 1) != 0) {
    header.header_crc32c =
        Crc32c({reinterpret_cast<const char*>(&header), offsetof(LogitHeader, header_crc32c)});
  }
  std::memcpy(bytes.data(), &header, sizeof(header));
}

void TestOneInput(const uint8_t* data, size_t size) {
  if (size == 0 || size > kMaxFileBytes) return;
  std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  Repair(bytes, data[0]);
  const std::string path = Folder() + "/" + LogitFilePath(TheKey(), kType);
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;

  LogitCache::Options options;
  options.folder = Folder();
  options.max_bytes = 1 << 20;
  const auto cache = LogitCache::Open(options);
  if (!cache.ok()) abort();
  const auto logits = (*cache)->Find(TheKey(), kRows, kClasses, kType);
  // Either the file was served as it is, or it is gone.
  if (logits == nullptr) {
    if (std::filesystem::exists(path) || (*cache)->stats().corrupt != 1) abort();
  } else {
    std::string read(size_t{kRows * kClasses * 4}, '\0');
    if (!logits->Read(0, kRows, read.data()).ok() || read != bytes.substr(kLogitHeaderBytes)) {
      abort();
    }
  }
}

}  // namespace
}  // namespace distillery

DISTILLERY_FUZZ_TARGET([](absl::string_view input) {
  distillery::TestOneInput(reinterpret_cast<const uint8_t*>(input.data()), input.size());
})
