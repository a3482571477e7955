// A folder of its own for one test, removed with all that is in it.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace distillery {

class TemporaryFolder {
 public:
  TemporaryFolder() : path_(::testing::TempDir() + "distillery-XXXXXX") {
    if (mkdtemp(path_.data()) == nullptr) ADD_FAILURE() << "cannot make " << path_;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string File(const std::string& name) const { return path_ + "/" + name; }
  // Writes a file, and makes the folders in its name.
  void Write(const std::string& name, const std::string& bytes) const {
    std::error_code ignored;
    std::filesystem::create_directories(std::filesystem::path(File(name)).parent_path(), ignored);
    std::ofstream file(File(name), std::ios::binary);
    if (!(file << bytes).flush()) ADD_FAILURE() << "cannot write " << File(name);
  }

 private:
  std::string path_;
};

}  // namespace distillery
