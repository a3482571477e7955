// Files that must not be served: torn, damaged, foreign.
#include <fcntl.h>
#include <sys/stat.h>

#include <cstddef>
#include <cstring>
#include <random>

#include "common/base/checksum.h"
#include "teacher_service/cache/logit_cache_format.h"
#include "tests/teacher_service/cache/logit_cache_fixture.h"

namespace distillery {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class LogitCacheDamageTest : public LogitCacheFixture {
 protected:
  void SetUp() override {
    ASSERT_THAT(Store(*Open(), 1), IsOk());
    sound_ = ReadWholeFile(Path(1));
    ASSERT_EQ(sound_.size(), kFileBytes);
  }
  // Puts `bytes` in the file's place and looks for it as a process that was just started.
  void ExpectRemoved(const std::string& bytes, const std::string& what) {
    WriteWholeFile(Path(1), bytes);
    const auto cache = Open();
    EXPECT_EQ(Find(*cache, 1), nullptr) << what;
    EXPECT_THAT(FilesOnDisk(), IsEmpty()) << what;
    EXPECT_EQ(cache->stats().corrupt, 1) << what;
    EXPECT_EQ(cache->stats().files, 0) << what;
    // Once gone, it is just not there.
    EXPECT_EQ(Find(*cache, 1), nullptr) << what;
    EXPECT_EQ(cache->stats().corrupt, 1) << what;
    EXPECT_EQ(cache->stats().misses, 2) << what;
  }
  // The file with a header changed by `change` and given the right crc.
  template <typename Change>
  std::string WithHeader(Change change) const {
    LogitHeader header;
    std::memcpy(&header, sound_.data(), sizeof(header));
    change(header);
    header.header_crc32c =
        Crc32c({reinterpret_cast<const char*>(&header), offsetof(LogitHeader, header_crc32c)});
    std::string bytes = sound_;
    std::memcpy(bytes.data(), &header, sizeof(header));
    return bytes;
  }

  std::string sound_;
};

TEST_F(LogitCacheDamageTest, AFileWithOneBitFlippedIsRemoved) {
  for (size_t bit = 0; bit < sound_.size() * 8; ++bit) {
    std::string bytes = sound_;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
    ExpectRemoved(bytes, "bit " + std::to_string(bit));
  }
  EXPECT_THAT(Logged().front(), HasSubstr("damaged header"));
  EXPECT_THAT(Logged().back(), HasSubstr("damaged logits"));
}

TEST_F(LogitCacheDamageTest, AFileOfAnotherLengthIsRemoved) {
  for (size_t length = 0; length < sound_.size(); ++length) {
    ExpectRemoved(sound_.substr(0, length), "length " + std::to_string(length));
  }
  ExpectRemoved(sound_ + '\0', "a byte more");
  ExpectRemoved(sound_ + sound_, "twice");
}

TEST_F(LogitCacheDamageTest, AHeaderThatSaysSomethingElseIsNotBelieved) {
  ExpectRemoved(WithHeader([](LogitHeader& header) { header.magic[0] = 'd'; }), "magic");
  ExpectRemoved(WithHeader([](LogitHeader& header) { header.version = 2; }), "version");
  ExpectRemoved(WithHeader([](LogitHeader& header) { header.stored_type = 2; }), "type");
  ExpectRemoved(WithHeader([](LogitHeader& header) { header.rows = INT64_MAX; }), "rows");
  ExpectRemoved(WithHeader([](LogitHeader& header) { header.rows = -6; }), "negative rows");
  ExpectRemoved(WithHeader([](LogitHeader& header) { header.classes = 6; }), "classes");
  ExpectRemoved(WithHeader([](LogitHeader& header) { header.key_digest[9] = '!'; }), "key");
  ExpectRemoved(WithHeader([](LogitHeader& header) { header.reserved[3] = 1; }), "reserved");
  ExpectRemoved(WithHeader([](LogitHeader& header) { header.payload_crc32c ^= 1; }), "crc");
}

TEST_F(LogitCacheDamageTest, ASoundFileUnderAnotherNameIsNotServed) {
  auto cache = Open();
  ASSERT_EQ(rename(Path(1).c_str(), Path(2).c_str()), 0);
  EXPECT_EQ(Find(*cache, 2), nullptr);
  EXPECT_EQ(cache->stats().corrupt, 1);
  EXPECT_THAT(FilesOnDisk(), IsEmpty());
  EXPECT_THAT(Logged(), ElementsAre(HasSubstr("does not hold 6 x 5 logits of teacher \"aaaa")));
}

TEST_F(LogitCacheDamageTest, ASoundFileOfAnotherShapeIsNotServed) {
  const auto cache = Open();
  EXPECT_EQ(cache->Find(Key(1), kClasses, kRows, kType), nullptr);
  EXPECT_EQ(cache->stats().corrupt, 1);
}

TEST_F(LogitCacheDamageTest, ARemovedFileIsWrittenAnew) {
  WriteWholeFile(Path(1), sound_.substr(0, 200));
  const auto cache = Open();
  EXPECT_EQ(Find(*cache, 1), nullptr);
  ASSERT_THAT(Store(*cache, 1), IsOk());
  EXPECT_EQ(All(Find(*cache, 1)), Bytes(1));
  EXPECT_THAT(Logged(), ElementsAre(HasSubstr("removed a file")));
}

TEST_F(LogitCacheDamageTest, ContentIsCheckedOnceAndAgainWhenTheFileHasChanged) {
  const auto cache = Open();
  ASSERT_NE(Find(*cache, 1), nullptr);
  const absl::Time modified = absl::TimeFromTimespec(Stat(Path(1)).st_mtim);
  std::string bytes = sound_;
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  WriteWholeFile(Path(1), bytes);
  SetModified(Path(1), modified);
  const Logits found = Find(*cache, 1);  // so it was not read again
  ASSERT_NE(found, nullptr);
  // But what is read of it is checked.
  std::string rows = Bytes(1);
  EXPECT_THAT(found->Read(0, kRows, rows.data()), StatusIs(absl::StatusCode::kDataLoss));
  SetModified(Path(1), modified + absl::Nanoseconds(1));
  EXPECT_EQ(Find(*cache, 1), nullptr);
  EXPECT_EQ(cache->stats().corrupt, 1);
  // A whole new file in its place.
  ASSERT_THAT(Store(*cache, 1), IsOk());
  WriteWholeFile(Path(2), bytes);
  ASSERT_EQ(rename(Path(2).c_str(), Path(1).c_str()), 0);
  EXPECT_EQ(Find(*cache, 1), nullptr);
  EXPECT_EQ(cache->stats().corrupt, 2);
}

TEST_F(LogitCacheDamageTest, WhatIsNoFileIsNeitherServedNorWaitedFor) {
  auto cache = Open();
  ASSERT_EQ(unlink(Path(1).c_str()), 0);
  ASSERT_EQ(mkfifo(Path(1).c_str(), 0600), 0);
  EXPECT_EQ(Find(*cache, 1), nullptr);
  EXPECT_THAT(FilesOnDisk(), IsEmpty());
  EXPECT_EQ(cache->stats().corrupt, 1);
  // A folder cannot be removed: said once, and others are cached all the same.
  ASSERT_EQ(mkdir(Path(1).c_str(), 0700), 0);
  EXPECT_EQ(Find(*cache, 1), nullptr);
  EXPECT_EQ(Find(*cache, 1), nullptr);
  EXPECT_THAT(Logged(), SizeIs(2));
  EXPECT_THAT(Logged(), ElementsAre(HasSubstr("removed a file"), HasSubstr("cannot remove")));
  ASSERT_THAT(Store(*cache, 2), IsOk());
  EXPECT_EQ(All(Find(*cache, 2)), Bytes(2));
}

std::string Mutated(std::string bytes, std::mt19937& random) {
  const auto below = [&](size_t limit) { return random() % std::max<size_t>(limit, 1); };
  for (size_t change = below(3) + 1; change > 0; --change) {
    const size_t at = below(bytes.size());
    const size_t count = below(std::min<size_t>(bytes.size() - at, 32)) + 1;
    switch (below(7)) {
      case 0:
        bytes[at] = static_cast<char>(random());
        break;
      case 1:
        bytes.erase(at, count);
        break;
      case 2:
        bytes.insert(at, std::string(count, static_cast<char>(random())));
        break;
      case 3:
        bytes.resize(at);
        break;
      case 4:
        bytes.replace(at, std::min(count, bytes.size() - at), count, '\0');
        break;
      case 5:
        bytes += bytes.substr(at);
        break;
      default:
        std::swap(bytes[at], bytes[below(bytes.size())]);
    }
    if (bytes.empty()) break;
  }
  return bytes;
}

TEST_F(LogitCacheDamageTest, Fault50_MutatedFilesAreServedOnlyIfNothingChanged) {
  std::mt19937 random(20);
  int changed = 0;
  for (int round = 0; round < 400; ++round) {
    const std::string bytes = Mutated(sound_, random);
    WriteWholeFile(Path(1), bytes);
    const auto cache = Open();
    const Logits found = Find(*cache, 1);
    changed += bytes != sound_ ? 1 : 0;
    ASSERT_EQ(found != nullptr, bytes == sound_) << "round " << round;
    ASSERT_EQ(cache->stats().corrupt, bytes == sound_ ? 0 : 1);
    if (found != nullptr) {
      ASSERT_EQ(All(found), Bytes(1));
    }
  }
  EXPECT_GT(changed, 300);
}

}  // namespace
}  // namespace distillery
