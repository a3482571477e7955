#include "common/data/pickle.h"

#include "tests/common/data/pickles.h"
#include "tests/common/status_matchers.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using Kind = PickleValue::Kind;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
constexpr auto kLost = absl::StatusCode::kDataLoss;

std::string Bytes(std::initializer_list<int> bytes) {
  std::string result;
  for (const int byte : bytes) result += static_cast<char>(byte);
  return result;
}

TEST(Pickle, ReadsWhatPythonTwoWrites) {
  const std::string bytes = PickleOfTwo("labels", {3, 1}, "\x01\x02\x03\x04\x05\x06", 3);
  ASSERT_OK_AND_ASSIGN(const Pickle pickle, Pickle::Parse(bytes, "x"));
  const PickleValue* const labels = pickle.root().Find("labels");
  ASSERT_NE(labels, nullptr);
  ASSERT_EQ(labels->items.size(), 2U);
  EXPECT_EQ(labels->items[0]->number, 3);
  const PickleValue* const data = pickle.root().Find("data");
  ASSERT_NE(data, nullptr);
  EXPECT_EQ(data->kind, Kind::kArray);
  EXPECT_EQ(data->type, "u1");
  EXPECT_FALSE(data->fortran);
  ASSERT_EQ(data->items.size(), 2U);
  EXPECT_EQ(data->items[0]->number, 2);
  EXPECT_EQ(data->items[1]->number, 3);
  EXPECT_EQ(data->text, "\x01\x02\x03\x04\x05\x06");
  EXPECT_EQ(pickle.root().Find("nothing"), nullptr);
}

// pickle.dumps({"a": [1, -2, None, True], b"b": (300, "x")}, protocol=4)
TEST(Pickle, ReadsWhatPythonThreeWrites) {
  const std::string body = Bytes({'}', 0x94, '(', 0x8C, 1, 'a', 0x94, ']', 0x94, '(', 'K', 1}) +
                           Bytes({'J', 0xFE, 0xFF, 0xFF, 0xFF, 'N', 0x88, 'e', 'C', 1, 'b', 0x94}) +
                           Bytes({'M', 0x2C, 0x01, 0x8C, 1, 'x', 0x94, 0x86, 0x94, 'u', '.'});
  const std::string bytes =
      Bytes({0x80, 4, 0x95, static_cast<int>(body.size()), 0, 0, 0, 0, 0, 0, 0}) + body;
  ASSERT_OK_AND_ASSIGN(const Pickle pickle, Pickle::Parse(bytes, "x"));
  const PickleValue* const a = pickle.root().Find("a");
  ASSERT_NE(a, nullptr);
  ASSERT_EQ(a->items.size(), 4U);
  EXPECT_EQ(a->items[1]->number, -2);
  EXPECT_EQ(a->items[2]->kind, Kind::kNone);
  EXPECT_EQ(a->items[3]->number, 1);
  const PickleValue* const b = pickle.root().Find("b");
  ASSERT_NE(b, nullptr);
  EXPECT_EQ(b->kind, Kind::kTuple);
  EXPECT_EQ(b->items[0]->number, 300);
  EXPECT_EQ(b->items[1]->text, "x");
}

TEST(Pickle, RunsNothing) {
  const std::string evil = Bytes({0x80, 2}) + "cos\nsystem\nU\x04ls /\x85R.";
  EXPECT_THAT(Pickle::Parse(evil, "evil"),
              StatusIs(kInvalid, AllOf(HasSubstr("evil: a pickle, at byte 2"),
                                       HasSubstr("it wants os.system"))));
  const std::string stacked =
      Bytes({0x80, 4, 0x8C, 2, 'o', 's', 0x8C, 6}) + "system" + Bytes({0x93, '.'});
  EXPECT_THAT(Pickle::Parse(stacked, "evil"), StatusIs(kInvalid, HasSubstr("os.system")));
  EXPECT_THAT(Pickle::Parse(Bytes({0x80, 2, 'i'}) + "os\nsystem\n", "x"),
              StatusIs(kInvalid, HasSubstr("opcode 0x69")));
  EXPECT_THAT(Pickle::Parse("(dp0\nS'data'\n", "old"),
              StatusIs(kInvalid, HasSubstr("opcode 0x64")));
  EXPECT_THAT(Pickle::Parse(Bytes({0x80, 6, 'N', '.'}), "new"),
              StatusIs(kInvalid, HasSubstr("protocol 6")));
  EXPECT_THAT(Pickle::Parse(Bytes({0x80, 2, 'N', '.', 'N'}), "long"),
              StatusIs(kInvalid, HasSubstr("more follows")));
}

TEST(Pickle, EveryShorterFileIsRefused) {
  const std::string bytes = PickleOfTwo("labels", {3, 1}, "abcdef", 3);
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_THAT(Pickle::Parse(bytes.substr(0, size), "cut"), StatusIs(kLost, HasSubstr("cut")));
  }
}

TEST(Pickle, ValuesThatAreNotThereAreDamage) {
  for (const std::string& program :
       {Bytes({'.'}), Bytes({'N', 'N', '.'}), Bytes({'(', '.'}), Bytes({'t', '.'}),
        Bytes({0x85, '.'}), Bytes({'h', 7, '.'}), Bytes({'q', 0, '.'}), Bytes({'N', 'N', 'a', '.'}),
        Bytes({']', '(', 'a', '.'}), Bytes({'}', '(', 'N', 'u', '.'}), Bytes({'N', ')', 'R', '.'}),
        Bytes({'N', ')', 'b', '.'}), Bytes({'N', 'N', 0x93, '.'}), Bytes({'e', '.'})}) {
    EXPECT_THAT(Pickle::Parse(Bytes({0x80, 2}) + program, "x"), StatusIs(kLost)) << program;
  }
  // A list that holds itself is one.
  EXPECT_THAT(Pickle::Parse(Bytes({0x80, 2, ']', 'q', 0, 'h', 0, 'a', '.'}), "x"), IsOk());
}

}  // namespace
}  // namespace distillery
