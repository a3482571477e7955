#include "common/base/checksum.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

namespace distillery {
namespace {

// FIPS 180-4 examples.
TEST(Sha256, GivesThePublishedDigests) {
  EXPECT_EQ(Sha256Hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Sha256Hex(std::string(1'000'000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, PartsGiveTheDigestOfTheWhole) {
  Sha256 parts;
  parts.Update("a").Update("").Update("bc");
  EXPECT_EQ(parts.HexDigest(), Sha256Hex("abc"));
}

// RFC 3720, appendix B.4, and the check value of the CRC catalogue.
TEST(Crc32c, GivesThePublishedValues) {
  std::string rising(32, '\0');
  std::iota(rising.begin(), rising.end(), '\0');
  std::string falling(rising.rbegin(), rising.rend());
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8a9136aaU);
  EXPECT_EQ(Crc32c(std::string(32, '\xFF')), 0x62a8ab43U);
  EXPECT_EQ(Crc32c(rising), 0x46dd794eU);
  EXPECT_EQ(Crc32c(falling), 0x113fdb5cU);
  EXPECT_EQ(Crc32c("123456789"), 0xe3069283U);
}

TEST(Crc32c, GoesOnFromTheBytesBefore) {
  EXPECT_EQ(Crc32c(""), 0U);
  EXPECT_EQ(Crc32c("", 0x1234U), 0x1234U);
  for (size_t cut = 0; cut <= 9; ++cut) {
    const std::string text = "123456789";
    EXPECT_EQ(Crc32c(text.substr(cut), Crc32c(text.substr(0, cut))), 0xe3069283U) << cut;
  }
}

TEST(Crc32c, OfPartsIsJoinedToThatOfTheWhole) {
  std::string bytes(70'000, '\0');
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 31 + i / 257);
  const absl::string_view all(bytes);
  for (const size_t cut : {size_t{0}, size_t{1}, size_t{7}, size_t{4096}, size_t{65535},
                           size_t{69'999}, size_t{70'000}}) {
    const Crc32cJoin join(static_cast<int64_t>(all.size() - cut));
    EXPECT_EQ(join(Crc32c(all.substr(0, cut)), Crc32c(all.substr(cut))), Crc32c(all)) << cut;
  }
}

}  // namespace
}  // namespace distillery
