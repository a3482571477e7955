// Zip archives made by hand.
#pragma once

#include <zip.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/common/status_matchers.h"

namespace distillery {

// The bytes of an archive of these names and contents, stored as they are or compressed.
inline std::string ZipOf(const std::vector<std::pair<std::string, std::string>>& entries,
                         zip_int32_t compression = ZIP_CM_STORE) {
  zip_source_t* const source = zip_source_buffer_create(nullptr, 0, 0, nullptr);
  zip_t* const archive = zip_open_from_source(source, ZIP_CREATE | ZIP_TRUNCATE, nullptr);
  EXPECT_NE(archive, nullptr);
  zip_source_keep(source);
  for (const auto& [name, content] : entries) {
    zip_source_t* const part = zip_source_buffer(archive, content.data(), content.size(), 0);
    const zip_int64_t index = zip_file_add(archive, name.c_str(), part, ZIP_FL_ENC_UTF_8);
    EXPECT_GE(index, 0) << name;
    zip_set_file_compression(archive, static_cast<zip_uint64_t>(index), compression, 0);
  }
  EXPECT_EQ(zip_close(archive), 0);
  zip_stat_t about;
  zip_source_stat(source, &about);
  std::string bytes(about.size, '\0');
  zip_source_open(source);
  EXPECT_EQ(zip_source_read(source, bytes.data(), bytes.size()),
            static_cast<zip_int64_t>(bytes.size()));
  zip_source_close(source);
  zip_source_free(source);
  return bytes;
}

}  // namespace distillery
