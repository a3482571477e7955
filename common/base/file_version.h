// What tells that a file has been written or replaced, without opening it.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <optional>
#include <string>

namespace distillery {

// Differs when a file was replaced or its content written, not when it was only read or touched.
struct FileVersion {
  dev_t device = 0;
  ino_t inode = 0;
  int64_t size = 0;
  int64_t modified_ns = 0;

  static FileVersion Of(const struct stat& info) {
    return {info.st_dev, info.st_ino, info.st_size,
            int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec};
  }
  bool operator==(const FileVersion& other) const {
    return device == other.device && inode == other.inode && size == other.size &&
           modified_ns == other.modified_ns;
  }
};

// None if there is no such file. Links are followed.
inline std::optional<FileVersion> VersionOf(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return std::nullopt;
  return FileVersion::Of(info);
}

}  // namespace distillery
