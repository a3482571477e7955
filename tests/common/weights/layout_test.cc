#include "common/weights/layout.h"

#include <algorithm>
#include <functional>
#include <random>
#include <utility>

#include "tests/common/cpu_seconds.h"
#include "tests/common/sanitized.h"
#include "tests/common/status_matchers.h"

namespace distillery {
namespace {

// Sanitizers look at code, of which fewer entries run as much.
constexpr int64_t kEntries = kAddressSanitizer ? 10'000 : 100'000;

using ::testing::HasSubstr;

TensorSpec Spec(const std::string& name, ElementType type, std::vector<int64_t> shape) {
  TensorSpec spec;
  spec.name = name;
  spec.type = type;
  spec.shape = std::move(shape);
  return spec;
}

// Header length, header, `data_bytes` zeros.
std::string File(const std::string& json, size_t data_bytes) {
  const uint64_t size = json.size();
  return std::string(reinterpret_cast<const char*>(&size), sizeof(size)) + json +
         std::string(data_bytes, '\0');
}

std::string Entry(const std::string& name, const std::string& type, const std::string& shape,
                  const std::string& offsets) {
  return "\"" + name + "\":{\"dtype\":\"" + type + "\",\"shape\":" + shape +
         ",\"data_offsets\":" + offsets + "}";
}

TEST(WeightsLayout, CanonicalHeaderIsSortedCompactAndPadded) {
  ASSERT_OK_AND_ASSIGN(const WeightsLayout layout,
                       WeightsLayout::Create({Spec("b", ElementType::kInt64, {}),
                                              Spec("a", ElementType::kFloat32, {2, 3})}));
  const std::string json = R"({"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},)"
                           R"("b":{"dtype":"I64","shape":[],"data_offsets":[24,32]}})";
  const std::string header = layout.Header();
  EXPECT_EQ(header.size() % 8, 0);
  EXPECT_EQ(header.substr(8, json.size()), json);
  EXPECT_EQ(header.find_first_not_of(' ', 8 + json.size()), std::string::npos);
  // The padding is part of the header's length.
  EXPECT_EQ(header.substr(0, 8), File(std::string(header.size() - 8, ' '), 0).substr(0, 8));
  EXPECT_EQ(layout.data_start(), static_cast<int64_t>(header.size()));
  EXPECT_EQ(layout.file_size(), static_cast<int64_t>(header.size()) + 32);
}

TEST(WeightsLayout, CanonicalFileIsReadBackAsCanonical) {
  ASSERT_OK_AND_ASSIGN(const WeightsLayout layout,
                       WeightsLayout::Create({Spec("w", ElementType::kFloat32, {2}),
                                              Spec("empty", ElementType::kFloat32, {0}),
                                              Spec("\"quoted\"\n", ElementType::kBool, {1})}));
  ASSERT_OK_AND_ASSIGN(const WeightsLayout read,
                       WeightsLayout::Parse(layout.Header() + std::string(9, '\0')));
  EXPECT_TRUE(read.canonical());
  EXPECT_EQ(read.Header(), layout.Header());
  EXPECT_NE(read.Find("\"quoted\"\n"), nullptr);
  EXPECT_EQ(read.Find("v"), nullptr);
}

TEST(WeightsLayout, OtherValidFilesAreNotCanonical) {
  const std::string w = Entry("w", "F32", "[1]", "[0,4]");
  const std::string a = Entry("a", "F32", "[1]", "[4,8]");
  // Metadata; places not in the order of names; spaces in the JSON.
  for (const std::string& file : {File("{\"__metadata__\":{\"k\":\"v\"}," + w + "}", 4),
                                  File("{" + w + "," + a + "}", 8), File("{ " + w + "}", 4)}) {
    ASSERT_OK_AND_ASSIGN(const WeightsLayout layout, WeightsLayout::Parse(file));
    EXPECT_FALSE(layout.canonical());
  }
}

TEST(WeightsLayout, TypesHaveTheSizesOfTheFormat) {
  for (const auto& [name, size] : {std::pair<const char*, int64_t>{"F64", 8},
                                   {"F32", 4},
                                   {"F16", 2},
                                   {"BF16", 2},
                                   {"I64", 8},
                                   {"I32", 4},
                                   {"I16", 2},
                                   {"I8", 1},
                                   {"U8", 1},
                                   {"BOOL", 1}}) {
    const std::string offsets = "[0," + std::to_string(size) + "]";
    EXPECT_THAT(WeightsLayout::Parse(
                    File("{" + Entry("w", name, "[1]", offsets) + "}", static_cast<size_t>(size))),
                IsOk())
        << name;
  }
}

struct MalformedCase {
  const char* name;
  std::string file;
  std::string message;
};

class MalformedTest : public ::testing::TestWithParam<MalformedCase> {};

TEST_P(MalformedTest, IsInvalidArgument) {
  EXPECT_THAT(WeightsLayout::Parse(GetParam().file),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(GetParam().message)));
}

std::string One(const std::string& type, const std::string& shape, const std::string& offsets,
                size_t bytes) {
  return File("{" + Entry("w", type, shape, offsets) + "}", bytes);
}

INSTANTIATE_TEST_SUITE_P(
    Files, MalformedTest,
    ::testing::Values(
        MalformedCase{"Empty", "", "shorter"}, MalformedCase{"SevenBytes", "1234567", "shorter"},
        MalformedCase{"HeaderBeyondTheFile", std::string("\x09\0\0\0\0\0\0\0{}", 10),
                      "header of 9"},
        MalformedCase{"HeaderLengthOverflows", std::string(8, '\xFF') + "{}", "header of"},
        MalformedCase{"NoJson", File("{\"w\":", 0), "not a JSON object"},
        MalformedCase{"EmptyHeader", File("", 0), "not a JSON object"},
        MalformedCase{"Array", File("[]", 0), "not a JSON object"},
        MalformedCase{"BytesAfterTheJson", File("{} x", 0), "not a JSON object"},
        MalformedCase{"DeepNesting", File("{\"w\":" + std::string(100'000, '['), 0),
                      "not a JSON object"},
        MalformedCase{"BadUtf8", File("{\"\xFF\":1}", 0), "not a JSON object"},
        MalformedCase{"EntryIsNoObject", File("{\"w\":1}", 0), "\"w\" needs dtype"},
        MalformedCase{"NoType", File(R"({"w":{"shape":[1],"data_offsets":[0,4]}})", 4), "needs"},
        MalformedCase{"NoShape", File(R"({"w":{"dtype":"F32","data_offsets":[0,4]}})", 4), "needs"},
        MalformedCase{"NoOffsets", File(R"({"w":{"dtype":"F32","shape":[1]}})", 4), "needs"},
        MalformedCase{"UnknownKey",
                      File(R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}})", 4),
                      "alone"},
        MalformedCase{"UnknownType", One("F8", "[1]", "[0,1]", 1), "unknown dtype"},
        MalformedCase{"TypeIsNoText",
                      File(R"({"w":{"dtype":1,"shape":[1],"data_offsets":[0,4]}})", 4), "needs"},
        MalformedCase{"NegativeSize", One("F32", "[-1]", "[0,4]", 4), "bad shape"},
        MalformedCase{"FractionalSize", One("F32", "[1.5]", "[0,6]", 6), "bad shape"},
        MalformedCase{"SizeBeyond64Bits", One("F32", "[18446744073709551616]", "[0,4]", 4),
                      "bad shape"},
        MalformedCase{"NineDimensions", One("F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]", 4),
                      "9 dimensions"},
        MalformedCase{"ProductOverflows", One("F32", "[4294967296,4294967296,4]", "[0,4]", 4),
                      "more than"},
        MalformedCase{"ByteCountOverflows", One("F64", "[2305843009213693952]", "[0,0]", 0),
                      "\"w\""},
        MalformedCase{"OneOffset", One("F32", "[1]", "[0]", 4), "needs"},
        MalformedCase{"OffsetsTooNear", One("F32", "[1]", "[0,3]", 3), "do not hold 4 bytes"},
        MalformedCase{"OffsetsReversed", One("F32", "[1]", "[4,0]", 4), "do not hold 4 bytes"},
        MalformedCase{"NegativeOffset", One("F32", "[1]", "[-4,0]", 4), "do not hold 4 bytes"},
        MalformedCase{"GapAtTheStart", One("F32", "[1]", "[4,8]", 8), "gap or overlap at byte 0"},
        MalformedCase{"Gap",
                      File("{" + Entry("a", "F32", "[1]", "[0,4]") + "," +
                               Entry("b", "F32", "[1]", "[8,12]") + "}",
                           12),
                      "gap or overlap at byte 4"},
        MalformedCase{"Overlap",
                      File("{" + Entry("a", "F32", "[2]", "[0,8]") + "," +
                               Entry("b", "F32", "[1]", "[4,8]") + "}",
                           8),
                      "gap or overlap at byte 8"},
        MalformedCase{"SameName",
                      File("{" + Entry("w", "F32", "[1]", "[0,4]") + "," +
                               Entry("w", "F32", "[1]", "[0,4]") + "}",
                           4),
                      "twice"},
        MalformedCase{"BytesAfterTheData", One("F32", "[1]", "[0,4]", 5), "the data has 5 bytes"},
        MalformedCase{"DataCutShort", One("F32", "[1]", "[0,4]", 3), "the data has 3 bytes"}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(WeightsLayout, EveryCutOfAFileIsInvalid) {
  const std::string file = *[] {
    const auto layout = WeightsLayout::Create({Spec("w", ElementType::kFloat32, {3})});
    return absl::StatusOr<std::string>(layout->Header() + std::string(12, '\x01'));
  }();
  ASSERT_THAT(WeightsLayout::Parse(file), IsOk());
  for (size_t size = 0; size < file.size(); ++size) {
    EXPECT_THAT(WeightsLayout::Parse(file.substr(0, size)),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << size;
  }
}

TEST(WeightsLayout, CreateRefusesWhatCannotBe) {
  const auto refused = StatusIs(absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(WeightsLayout::Create({Spec("", ElementType::kFloat32, {1})}), refused);
  EXPECT_THAT(WeightsLayout::Create({Spec("__metadata__", ElementType::kFloat32, {1})}), refused);
  EXPECT_THAT(WeightsLayout::Create({Spec("w", ElementType::kFloat32, {-1})}), refused);
  EXPECT_THAT(WeightsLayout::Create(
                  {Spec("w", ElementType::kFloat32, {1}), Spec("w", ElementType::kFloat32, {1})}),
              refused);
}

TEST(CheckSameLayout, NamesTheFirstDifference) {
  const WeightsLayout expected = *WeightsLayout::Create(
      {Spec("a", ElementType::kFloat32, {2}), Spec("b", ElementType::kFloat32, {3})});
  const auto check = [&](std::vector<TensorSpec> got) {
    return CheckSameLayout(expected, *WeightsLayout::Create(std::move(got)));
  };
  const auto differs = [](const char* message) {
    return StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr(message));
  };
  const TensorSpec a = Spec("a", ElementType::kFloat32, {2});
  const TensorSpec b = Spec("b", ElementType::kFloat32, {3});
  EXPECT_THAT(check({b, a}), IsOk());
  EXPECT_THAT(check({a}), differs("\"b\" is missing"));
  EXPECT_THAT(check({a, b, Spec("c", ElementType::kFloat32, {1})}),
              differs("\"c\" is not expected"));
  EXPECT_THAT(check({a, Spec("b", ElementType::kFloat32, {1, 3})}),
              differs("\"b\" is F32 [1, 3], expected F32 [3]"));
  EXPECT_THAT(check({Spec("a", ElementType::kInt32, {2}), b}), differs("\"a\" is I32 [2]"));
}

// `count` entries, made from their numbers, in an order that no sort likes.
std::string ManyEntries(int64_t count, const std::function<std::string(int64_t)>& entry,
                        size_t data_bytes = 0) {
  std::vector<int64_t> order(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) order[static_cast<size_t>(i)] = i;
  std::shuffle(order.begin(), order.end(), std::mt19937(54));
  std::string json = "{";
  for (const int64_t i : order) json += (json.size() > 1 ? "," : "") + entry(i);
  return File(json + "}", data_bytes);
}

std::string Number(int64_t i) {
  std::string text = std::to_string(i);
  return std::string(8 - text.size(), '0') + text;
}

// One float32 each, one after the other.
std::string SoundEntry(int64_t i) {
  return Entry(Number(i), "F32", "[1]",
               "[" + std::to_string(4 * i) + "," + std::to_string(4 * i + 4) + "]");
}

struct ManyCase {
  const char* name;
  std::function<std::string(int64_t)> entry;
  // What a header of many is refused with; null: it is taken.
  const char* refused;
  int64_t data_bytes = 0;
};

class Fault54_ManyEntriesTest : public ::testing::TestWithParam<ManyCase> {};

// Sixteen times the entries cost about sixteen times the processor: a scan of the others for each
// entry, be it in the parser, for doubled names, for gaps or in a comparison, would cost 256 times
// as much.
TEST_P(Fault54_ManyEntriesTest, CostInProportionToTheirNumber) {
  constexpr int64_t kMany = kEntries;
  constexpr int64_t kFew = kMany / 16;
  const auto work = [](const std::string& file, const char* refused) {
    return CpuSeconds(3, [&] {
      const absl::StatusOr<WeightsLayout> layout = WeightsLayout::Parse(file);
      if (refused != nullptr) {
        EXPECT_THAT(layout, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(refused)));
        return;
      }
      ASSERT_THAT(layout, IsOk());
      EXPECT_THAT(CheckSameLayout(*layout, *WeightsLayout::Create(layout->tensors())), IsOk());
    });
  };
  const auto file = [&](int64_t count) {
    return ManyEntries(count, GetParam().entry, static_cast<size_t>(count * GetParam().data_bytes));
  };
  const double few = work(file(kFew), GetParam().refused);
  const double many = work(file(kMany), GetParam().refused);
  EXPECT_LT(many, 64 * std::max(few, 1e-4));
}

INSTANTIATE_TEST_SUITE_P(
    Headers, Fault54_ManyEntriesTest,
    ::testing::Values(
        ManyCase{"Sound", SoundEntry, nullptr, 4},
        // As short as can be: the most for its bytes.
        ManyCase{"EmptyObjects", [](int64_t i) { return "\"" + Number(i) + "\":{}"; },
                 "needs dtype"},
        ManyCase{"EmptyLists", [](int64_t i) { return "\"" + Number(i) + "\":[]"; }, "needs dtype"},
        ManyCase{"Numbers", [](int64_t i) { return "\"" + Number(i) + "\":1"; }, "needs dtype"},
        ManyCase{"EmptyTensors", [](int64_t i) { return Entry(Number(i), "F32", "[0]", "[0,0]"); },
                 nullptr},
        ManyCase{"OneName", [](int64_t) { return Entry("w", "F32", "[0]", "[0,0]"); }, "twice"},
        ManyCase{"AllOverlap", [](int64_t i) { return Entry(Number(i), "F32", "[1]", "[0,4]"); },
                 "gap or overlap at byte 4", 4},
        ManyCase{
            "Metadata",
            [](int64_t i) { return i == 0 ? "\"__metadata__\":{\"a\":\"b\"}" : SoundEntry(i - 1); },
            "the data has"},
        ManyCase{"ManyMetadata", [](int64_t) { return std::string("\"__metadata__\":{}"); },
                 "twice"}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(WeightsLayout, Fault54_ManyKeysInsideOfOneEntryCostInProportionToo) {
  const auto seconds = [](int64_t count) {
    std::string keys;
    for (int64_t i = 0; i < count; ++i) {
      keys += (i > 0 ? ",\"" : "\"") + Number(i) + "\":{\"a\":[]}";
    }
    const std::string entry = File("{\"w\":{" + keys + "}}", 0);
    const std::string metadata = File("{\"__metadata__\":{" + keys + "}}", 0);
    return CpuSeconds(3, [&] {
      EXPECT_THAT(WeightsLayout::Parse(entry),
                  StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("needs dtype")));
      EXPECT_THAT(WeightsLayout::Parse(metadata), IsOk());
    });
  };
  EXPECT_LT(seconds(kEntries), 64 * std::max(seconds(kEntries / 16), 1e-4));
}

TEST(WeightsLayout, Fault54_WhatIsBeyondALimitIsRefusedAndWhatIsAtItIsReadAgain) {
  const auto refused = [](const std::string& message) {
    return StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(message));
  };
  const auto empty = [](int64_t i) { return Entry(Number(i), "F32", "[0]", "[0,0]"); };
  ASSERT_OK_AND_ASSIGN(const WeightsLayout most,
                       WeightsLayout::Parse(ManyEntries(kMaxTensors, empty)));
  EXPECT_THAT(WeightsLayout::Parse(ManyEntries(kMaxTensors + 1, empty)),
              refused("more than 131072 tensors"));
  std::vector<TensorSpec> one_more = most.tensors();
  one_more.push_back(Spec("w", ElementType::kFloat32, {0}));
  EXPECT_THAT(WeightsLayout::Create(std::move(one_more)), refused("the most are 131072"));

  const std::string longest(kMaxNameBytes, 'w');
  ASSERT_OK_AND_ASSIGN(const WeightsLayout named,
                       WeightsLayout::Create({Spec(longest, ElementType::kFloat32, {0})}));
  EXPECT_THAT(WeightsLayout::Parse(named.Header()), IsOk());
  EXPECT_THAT(WeightsLayout::Create({Spec(longest + "w", ElementType::kFloat32, {0})}),
              refused("name has 1025 bytes, the most are 1024"));
  EXPECT_THAT(
      WeightsLayout::Parse(File("{" + Entry(longest + "w", "F32", "[0]", "[0,0]") + "}", 0)),
      refused("name has 1025 bytes"));

  const std::string spaces = "{}" + std::string(kMaxHeaderBytes - 8 - 2, ' ');
  EXPECT_THAT(WeightsLayout::Parse(File(spaces, 0)), IsOk());
  EXPECT_THAT(WeightsLayout::Parse(File(spaces + " ", 0)), refused("the most are 33554424"));
}

TEST(WeightsLayout, Fault54_ParsingEndsSoonAfterItIsCancelled) {
  const std::string file = ManyEntries(100'000, SoundEntry, 400'000);
  int64_t asked = 0;
  EXPECT_THAT(WeightsLayout::Parse(file, [&] { return ++asked == 3; }),
              StatusIs(absl::StatusCode::kCancelled));
  EXPECT_EQ(asked, 3);
  EXPECT_THAT(WeightsLayout::Parse(file,
                                   [&] {
                                     ++asked;
                                     return false;
                                   }),
              IsOk());
  EXPECT_GT(asked, 50);
}

TEST(WeightsLayout, AModelsLayoutHasRoomForWhatTrainingAddsToIt) {
  const auto layout = [](int64_t count, const std::string& name) {
    std::vector<TensorSpec> specs;
    for (int64_t i = 0; i < count; ++i) {
      specs.push_back(Spec(name + Number(i), ElementType::kFloat32, {1}));
    }
    return *WeightsLayout::Create(std::move(specs));
  };
  EXPECT_THAT(CheckModelLayout(layout(kMaxModelTensors, "layer.weight")), IsOk());
  EXPECT_THAT(CheckModelLayout(layout(kMaxModelTensors + 1, "layer.weight")),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("the most are 16384")));
  EXPECT_THAT(CheckModelLayout(layout(1, std::string(kMaxModelNameBytes - 8, 'w'))), IsOk());
  EXPECT_THAT(CheckModelLayout(layout(1, std::string(kMaxModelNameBytes - 7, 'w'))),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("513 bytes")));
  EXPECT_THAT(CheckModelLayout(layout(kMaxModelTensors, std::string(300, 'w'))),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("a header of")));
}

}  // namespace
}  // namespace distillery
