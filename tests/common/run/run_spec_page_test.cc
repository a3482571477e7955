// docs/run-spec.md lists every key of a RunSpec with its default, in order, and no other key.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "common/run/run_spec.h"
#include "common/run/sweep.h"

namespace distillery {
namespace {

using ::testing::ElementsAreArray;

using Rows = std::vector<std::pair<std::string, std::string>>;

// Key and default of each row "| `key` | `default` | ..." of the page.
Rows ListedKeys() {
  std::ifstream page(DISTILLERY_SOURCE_DIR "/docs/run-spec.md");
  Rows rows;
  std::string line;
  const std::string begin = "| `", between = "` | `", end = "` |";
  while (std::getline(page, line)) {
    if (line.rfind(begin, 0) != 0) continue;
    const size_t key_end = line.find(between);
    if (key_end == std::string::npos) continue;
    const size_t value = key_end + between.size();
    rows.emplace_back(line.substr(begin.size(), key_end - begin.size()),
                      line.substr(value, line.find(end, value) - value));
  }
  return rows;
}

TEST(RunSpecPage, ListsEveryKeyWithItsDefaultInOrder) {
  EXPECT_THAT(ListedKeys(), ElementsAreArray(FlattenRunSpec(RunSpec())));
}

}  // namespace
}  // namespace distillery
