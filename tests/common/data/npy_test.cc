#include "common/data/npy.h"

#include "tests/common/data/files.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A file of the version with this header.
std::string File(char major, const std::string& header, const std::string& elements) {
  std::string bytes = "\x93NUMPY";
  bytes.push_back(major);
  bytes.push_back('\0');
  for (int i = 0; i < (major == 1 ? 2 : 4); ++i) {
    bytes.push_back(static_cast<char>(header.size() >> (8 * i)));
  }
  return bytes + header + elements;
}

absl::StatusOr<NpyArray> ParseHeader(const std::string& header) {
  static std::string file;
  file = File(1, header, "abcdef");
  return ParseNpy(file, {"|u1"}, "x.npy");
}

TEST(ParseNpy, ReadsAllVersions) {
  for (const char major : {1, 2, 3}) {
    const std::string file =
        File(major, "{'descr': '|u1', 'fortran_order': False, 'shape': (3, 2), }     \n", "abcdef");
    ASSERT_OK_AND_ASSIGN(const NpyArray array, ParseNpy(file, {"<i4", "|u1"}, "x"));
    EXPECT_EQ(array.type, "|u1");
    EXPECT_THAT(array.shape, ElementsAre(3, 2));
    EXPECT_EQ(array.elements, "abcdef");
  }
}

// As numpy.save wrote it, numpy 1.24: np.array([[1, -2], [3, 4]], dtype='<i2').
TEST(ParseNpy, ReadsAFileOfNumpy) {
  const std::string header = "{'descr': '<i2', 'fortran_order': False, 'shape': (2, 2), }";
  const std::string file = std::string("\x93NUMPY\x01\x00\x76\x00", 10) + header +
                           std::string(117 - header.size(), ' ') + "\n" +
                           std::string("\x01\x00\xFE\xFF\x03\x00\x04\x00", 8);
  ASSERT_EQ(file.size(), 128 + 8);
  ASSERT_OK_AND_ASSIGN(const NpyArray array, ParseNpy(file, {"<i2"}, "x"));
  EXPECT_THAT(array.shape, ElementsAre(2, 2));
  EXPECT_EQ(array.Integer(0), 1);
  EXPECT_EQ(array.Integer(1), -2);
  EXPECT_EQ(array.Integer(3), 4);
}

TEST(ParseNpy, IntegersOfEveryTypeHaveTheirSign) {
  const std::string ones(8, '\xFF');
  const auto first = [&](const std::string& type, size_t size) {
    const std::string file = NpyBytes(type, "1,", ones.substr(0, size));
    return ParseNpy(file, {type}, "x")->Integer(0);
  };
  EXPECT_EQ(first("|u1", 1), 255);
  EXPECT_EQ(first("|i1", 1), -1);
  EXPECT_EQ(first("<u2", 2), 65535);
  EXPECT_EQ(first("<i2", 2), -1);
  EXPECT_EQ(first("<u4", 4), 4294967295);
  EXPECT_EQ(first("<i4", 4), -1);
  EXPECT_EQ(first("<i8", 8), -1);
  const std::string file = NpyBytes("<i4", "1,", std::string("\x04\x03\x02\x01", 4));
  EXPECT_EQ(ParseNpy(file, {"<i4"}, "x")->Integer(0), 0x01020304);
}

TEST(ParseNpy, HeadersMayBeWrittenOtherwise) {
  for (const char* const header :
       {"{\"shape\":(6,),\"fortran_order\":False,\"descr\":\"|u1\"}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (6L,), }",  // Python 2
        "  { 'shape' : ( 6 , ) , 'descr' : '|u1' , 'fortran_order' : False , } \n\n"}) {
    EXPECT_THAT(ParseHeader(header), IsOk()) << header;
  }
}

TEST(ParseNpy, OddHeadersAreDataLoss) {
  for (const char* const header :
       {"", "{}", "{", "{'descr': '|u1', 'fortran_order': False}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (6,)",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (6,)} x",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (6)}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (,)}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (6,,)}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (-6,)}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (6.0,)}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (6LL,)}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (6 1,)}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (99999999999999999999,)}",
        "{'descr': '|u1', 'fortran_order': 0, 'shape': (6,)}",
        "{'descr': '|u1' 'fortran_order': False, 'shape': (6,)}",
        "{'descr': [('a', '|u1')], 'fortran_order': False, 'shape': (6,)}",
        "{'descr': '|u1', 'descr': '|u1', 'fortran_order': False, 'shape': (6,)}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (6,), 'more': 1}"}) {
    EXPECT_THAT(ParseHeader(header), StatusIs(kDataLoss, HasSubstr("x.npy"))) << header;
  }
}

TEST(ParseNpy, EveryLengthButTheRightOneIsDataLoss) {
  const std::string file = NpyBytes("|u1", "3, 2", "abcdef");
  for (size_t size = 0; size < file.size(); ++size) {
    EXPECT_THAT(ParseNpy(file.substr(0, size), {"|u1"}, "cut.npy"),
                StatusIs(kDataLoss, HasSubstr("cut.npy")))
        << size;
  }
  EXPECT_THAT(ParseNpy(file + "g", {"|u1"}, "x"), StatusIs(kDataLoss, HasSubstr("7 bytes")));
}

TEST(ParseNpy, OtherTypesAreRefusedWithWhatIsWanted) {
  EXPECT_THAT(ParseNpy(NpyBytes("<f4", "1,", "abcd"), {"|u1", "<i4"}, "f.npy"),
              StatusIs(kInvalid, AllOf(HasSubstr("f.npy"), HasSubstr("type <f4"),
                                       HasSubstr("wanted: |u1, <i4"))));
  EXPECT_THAT(ParseNpy(NpyBytes(">i4", "1,", "abcd"), {"<i4"}, "x"), StatusIs(kInvalid));
}

TEST(ParseNpy, FortranOrderAndOtherVersionsAreRefused) {
  EXPECT_THAT(ParseHeader("{'descr': '|u1', 'fortran_order': True, 'shape': (3, 2), }\n"),
              StatusIs(kInvalid, HasSubstr("ascontiguousarray")));
  std::string file = NpyBytes("|u1", "1,", "a");
  file[6] = 4;
  EXPECT_THAT(ParseNpy(file, {"|u1"}, "x"), StatusIs(kInvalid, HasSubstr("4.0")));
}

TEST(ParseNpy, SizesThatOverflowAreDataLoss) {
  // 2^32 * 2^32 would be 0 if it wrapped.
  EXPECT_THAT(ParseNpy(NpyBytes("|u1", "4294967296, 4294967296", ""), {"|u1"}, "x"),
              StatusIs(kDataLoss));
  EXPECT_THAT(ParseNpy(NpyBytes("<i8", "4294967295,", ""), {"<i8"}, "x"), StatusIs(kDataLoss));
  EXPECT_THAT(ParseNpy(NpyBytes("|u1", "0, 28, 28", ""), {"|u1"}, "x"),
              StatusIs(kDataLoss, HasSubstr("size 0")));
  EXPECT_THAT(ParseNpy(NpyBytes("|u1", "1, 1, 1, 1, 1, 1, 1, 1, 1", "a"), {"|u1"}, "x"),
              StatusIs(kDataLoss));
}

TEST(ParseNpy, HeadersThatAreTooLongAreDataLoss) {
  std::string file = std::string("\x93NUMPY\x02\x00\xFF\xFF\xFF\xFF", 12) + "{}";
  EXPECT_THAT(ParseNpy(file, {"|u1"}, "x"), StatusIs(kDataLoss, HasSubstr("header")));
}

}  // namespace
}  // namespace distillery
