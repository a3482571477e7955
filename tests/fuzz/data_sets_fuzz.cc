// Any bytes as a data set: the readers of common/data that make samples of arrays, tables and
// texts.
#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/data/array_samples.h"
#include "common/data/npz_source.h"
#include "common/data/table.h"
#include "common/data/texts.h"
#include "tests/fuzz/fuzz_main.h"

namespace distillery {
namespace {

constexpr int64_t kMost = 16 << 20;

// What every reader promises.
void Check(const absl::StatusOr<StoredSamples>& samples) {
  if (!samples.ok()) {
    Require(!samples.status().message().empty());
    return;
  }
  const absl::Status checked = CheckSamples(*samples);
  // A split may be empty, or the names may be no names: others look at that.
  Require(checked.ok() || checked.code() == absl::StatusCode::kInvalidArgument);
  Require(static_cast<int64_t>(samples->records.size()) ==
          samples->size() * samples->record_bytes());
}

// The first part of the bytes, whose length is in their first two, and the rest.
absl::string_view TakePart(absl::string_view* bytes) {
  const size_t high = TakeByte(bytes);
  const size_t low = TakeByte(bytes);
  const size_t length = std::min(bytes->size(), high * 256 + low);
  const absl::string_view part = bytes->substr(0, length);
  bytes->remove_prefix(length);
  return part;
}

class PartInput : public ArrayInput {
 public:
  PartInput(NpyHeader header, absl::string_view bytes)
      : ArrayInput("part", std::move(header)), rest_(bytes) {
    rest_.remove_prefix(static_cast<size_t>(this->header().offset));
  }

 protected:
  absl::Status Read(int64_t bytes, char* output) override {
    Require(bytes <= static_cast<int64_t>(rest_.size()));
    std::copy(rest_.begin(), rest_.begin() + bytes, output);
    rest_.remove_prefix(static_cast<size_t>(bytes));
    return absl::OkStatus();
  }

 private:
  absl::string_view rest_;
};

// NPY files, as parts of the input.
class PartSource : public ArraySource {
 public:
  explicit PartSource(absl::string_view bytes) {
    const uint8_t names = TakeByte(&bytes);
    for (const char* const split : {"train", "test"}) {
      int bit = 1;
      for (const char* const name : {"images", "inputs", "labels", "mask", "tokens"}) {
        if ((names & bit) != 0) parts_[split][name] = TakePart(&bytes);
        bit *= 2;
      }
    }
  }
  absl::StatusOr<std::vector<std::string>> Names(const std::string& split) const override {
    std::vector<std::string> names;
    const auto found = parts_.find(split);
    if (found == parts_.end()) return names;
    for (const auto& entry : found->second) names.push_back(entry.first);
    return names;
  }
  std::string Place(const std::string& split, const std::string& name) const override {
    return absl::StrCat(split, "_", name);
  }
  absl::StatusOr<std::unique_ptr<ArrayInput>> Open(
      const std::string& split, const std::string& name,
      const std::vector<std::string>& wanted_types) const override {
    const auto of_split = parts_.find(split);
    if (of_split == parts_.end()) return absl::NotFoundError("no split");
    const auto found = of_split->second.find(name);
    if (found == of_split->second.end()) return absl::NotFoundError("no array");
    absl::StatusOr<NpyHeader> header = ParseNpyHeader(
        found->second, static_cast<int64_t>(found->second.size()), wanted_types, name);
    if (!header.ok()) return header.status();
    if (const absl::Status rows = CheckRows(*header, name); !rows.ok()) return rows;
    return std::make_unique<PartInput>(*std::move(header), found->second);
  }

 private:
  std::map<std::string, std::map<std::string, absl::string_view>> parts_;
};

void ReadArchive(absl::string_view bytes) {
  absl::StatusOr<Archive> train = Archive::Open(bytes);
  absl::StatusOr<Archive> test = Archive::Open(bytes);
  if (!train.ok() || !test.ok()) return;
  std::set<std::string> files;
  Check(ReadArrays(NpzSource(*std::move(train), *std::move(test)), "", kMost, &files));
}

void TestOneInput(absl::string_view bytes) {
  std::set<std::string> files;
  const uint8_t which = TakeByte(&bytes) % 6;
  if (which == 0) return Check(ReadArrays(PartSource(bytes), "/nowhere", kMost, &files));
  if (which == 1) return ReadArchive(bytes);
  const absl::string_view train = TakePart(&bytes);
  if (which == 2) return Check(ReadTable(train, bytes, {}, kMost));
  if (which == 3) return Check(ReadLanguage(train, bytes, 1 + train.size() % 100, kMost));
  if (which == 4) {
    (void)ParseArrayOptions(std::string(train));
    (void)ParseTextOptions(std::string(train));
    const auto options = ParseTableOptions(std::string(train));
    const absl::string_view table = TakePart(&bytes);
    if (options.ok()) Check(ReadTable(table, bytes, *options, kMost));
    return;
  }
  const bool csv = IsCsvOfTexts(train);
  auto rows = csv ? ParseCsvTexts(train, "train") : ParseJsonlTexts(train, "train");
  auto others = csv ? ParseCsvTexts(bytes, "test") : ParseJsonlTexts(bytes, "test");
  if (!rows.ok() || !others.ok()) return;
  TextOptions options;
  options.length = 8;
  Check(ReadTexts({"train", *std::move(rows)}, {"test", *std::move(others)}, options, kMost));
}

}  // namespace
}  // namespace distillery

DISTILLERY_FUZZ_TARGET(distillery::TestOneInput)
