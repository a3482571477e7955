#include "common/data/gzip.h"

#include "tests/common/data/files.h"
#include "tests/common/temporary_folder.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::string Text(size_t size) {
  std::string text;
  for (size_t i = 0; i < size; ++i) text.push_back(static_cast<char>(i * 31 % 251));
  return text;
}

TEST(GunzipBytes, GivesBackWhatWasCompressed) {
  for (const size_t size : {0, 1, 65'536, 65'537, 1'000'000}) {
    const std::string text = Text(size);
    ASSERT_OK_AND_ASSIGN(const std::string bytes,
                         GunzipBytes(Gzip(text), static_cast<int64_t>(size), "x"));
    EXPECT_TRUE(bytes == text) << size;
  }
}

TEST(GunzipBytes, StopsAtTheLimit) {
  EXPECT_THAT(GunzipBytes(Gzip(Text(1000)), 999, "big.gz"),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("big.gz")));
  // A megabyte of zeros in a thousand bytes.
  EXPECT_THAT(GunzipBytes(Gzip(std::string(1 << 20, '\0')), 4096, "bomb.gz"),
              StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST(GunzipBytes, EveryCutIsDataLoss) {
  const std::string compressed = Gzip(Text(100));
  for (size_t size = 0; size < compressed.size(); ++size) {
    EXPECT_THAT(GunzipBytes(compressed.substr(0, size), 1000, "cut.gz"),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr("cut.gz")))
        << size;
  }
}

TEST(GunzipBytes, DamageIsDataLoss) {
  std::string compressed = Gzip(Text(1000));
  compressed[compressed.size() - 5] ^= 1;  // the stored CRC-32
  EXPECT_THAT(GunzipBytes(compressed, 1000, "x"), StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_THAT(GunzipBytes("no gzip", 1000, "x"), StatusIs(absl::StatusCode::kDataLoss));
}

TEST(GunzipBytes, SeveralMembersAreOneAfterTheOther) {
  const std::string two = Gzip("one ") + Gzip("two");
  EXPECT_EQ(*GunzipBytes(two, 100, "x"), "one two");
  EXPECT_THAT(GunzipBytes(two, 6, "x"), StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(GunzipBytes(two.substr(0, two.size() - 1), 100, "x"),
              StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_EQ(*GunzipBytes(Gzip("one") + std::string(512, '\0'), 100, "padded"), "one");
  EXPECT_THAT(GunzipBytes(Gzip("one") + "rest", 100, "x"), StatusIs(absl::StatusCode::kDataLoss));
}

TEST(GunzipBytes, PlainFilesUnderACompressedNameAreCalledSo) {
  const std::string idx("\0\0\x08\x03\0\0\0\1", 8);
  EXPECT_THAT(GunzipBytes(idx, 100, "images.gz"),
              StatusIs(absl::StatusCode::kDataLoss,
                       AllOf(HasSubstr("images.gz is not gzip-compressed but an IDX file"),
                             HasSubstr("take the .gz off its name"))));
}

TEST(ReadPlainOrGzip, TakesWhicheverIsThere) {
  TemporaryFolder folder;
  EXPECT_THAT(ReadPlainOrGzip(folder.File("a"), 10),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("a.gz")));
  ASSERT_THAT(WriteFileDurably(folder.File("a.gz"), Gzip("packed")), IsOk());
  EXPECT_EQ(*ReadPlainOrGzip(folder.File("a"), 100), "packed");
  ASSERT_THAT(WriteFileDurably(folder.File("a"), "plain"), IsOk());
  EXPECT_EQ(*ReadPlainOrGzip(folder.File("a"), 10), "plain");
}

}  // namespace
}  // namespace distillery
