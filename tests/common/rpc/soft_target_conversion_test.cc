#include "common/rpc/soft_target_conversion.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/base/checksum.h"
#include "common/soft_targets/decode.h"
#include "common/soft_targets/encode.h"
#include "tests/common/soft_targets/random_rows.h"
#include "tests/common/status_matchers.h"

namespace distillery {
namespace {

using ::testing::HasSubstr;
using ::testing::UnorderedElementsAreArray;

constexpr int64_t kRows = 3;
constexpr int64_t kClasses = 10;

SoftTargetFormat Format(Encoding encoding) {
  SoftTargetFormat format;
  format.encoding = encoding;
  format.top_k = encoding == Encoding::kTopK ? 4 : 0;
  return format;
}

void Fill(v1::DataType type, std::initializer_list<int64_t> shape, const std::string& data,
          v1::Tensor* tensor) {
  tensor->set_data_type(type);
  tensor->mutable_shape()->Add(shape.begin(), shape.end());
  tensor->set_data(data);
}

// Three random rows, as the contract says.
v1::SoftTargetChunk ChunkOf(Encoding encoding) {
  const EncodedRows rows =
      EncodeSoftTargets(RandomLogits(kRows, kClasses, 5).data(), kRows, kClasses, Format(encoding));
  v1::SoftTargetChunk chunk;
  v1::Tensor* const values = chunk.mutable_values();
  switch (encoding) {
    case Encoding::kFloat32:
      Fill(v1::DATA_TYPE_FLOAT32, {kRows, kClasses}, rows.values, values);
      break;
    case Encoding::kFloat16:
      Fill(v1::DATA_TYPE_FLOAT16, {kRows, kClasses}, rows.values, values);
      break;
    case Encoding::kInt8:
      Fill(v1::DATA_TYPE_INT8, {kRows, kClasses}, rows.values, values);
      Fill(v1::DATA_TYPE_FLOAT32, {kRows}, rows.row_scales, chunk.mutable_row_scales());
      break;
    case Encoding::kTopK:
      Fill(v1::DATA_TYPE_FLOAT16, {kRows, 4}, rows.values, values);
      Fill(v1::DATA_TYPE_INT16, {kRows, 4}, rows.class_indexes, chunk.mutable_class_indexes());
      Fill(v1::DATA_TYPE_FLOAT16, {kRows}, rows.tail_mass, chunk.mutable_tail_mass());
      break;
  }
  return chunk;
}

const std::vector<Encoding>& AllEncodings() {
  static const auto* const all = new std::vector<Encoding>{Encoding::kFloat32, Encoding::kFloat16,
                                                           Encoding::kInt8, Encoding::kTopK};
  return *all;
}

// `rows` of one row before, which must stay whatever happens.
absl::Status Append(const v1::SoftTargetChunk& chunk, Encoding encoding,
                    int64_t max_row_count = kRows) {
  SoftTargetRows rows;
  const EncodedRows one =
      EncodeSoftTargets(RandomLogits(1, kClasses, 5).data(), 1, kClasses, Format(encoding));
  EXPECT_THAT(AppendDecoded(EncodedView(one), 1, kClasses, Format(encoding), &rows), IsOk());
  const absl::Status status = AppendChunk(chunk, Format(encoding), kClasses, max_row_count, &rows);
  EXPECT_EQ(rows.row_count, status.ok() ? 1 + kRows : 1);
  return status;
}

auto IsDataLoss(const std::string& part) {
  return StatusIs(absl::StatusCode::kDataLoss, HasSubstr(part));
}

TEST(SoftTargetConversion, EncodingsHaveTheNamesOfTheContract) {
  for (const Encoding encoding : AllEncodings()) {
    std::string name = v1::Encoding_Name(ToProto(encoding)).substr(std::string("ENCODING_").size());
    for (char& letter : name) letter = static_cast<char>(std::tolower(letter));
    EXPECT_EQ(name, EncodingName(encoding));
  }
  EXPECT_EQ(ToProto(Representation::kLogits), v1::REPRESENTATION_LOGITS);
  EXPECT_EQ(ToProto(Representation::kProbabilities), v1::REPRESENTATION_PROBABILITIES);
  EXPECT_EQ(ToProto(Representation::kNone), v1::REPRESENTATION_NONE);
}

TEST(SoftTargetConversion, TheTablesHaveEachNumberOfTheContractOnce) {
  const auto numbers = [](const google::protobuf::EnumDescriptor* type) {
    std::vector<int> all;
    for (int i = 0; i < type->value_count(); ++i) all.push_back(type->value(i)->number());
    return all;
  };
  // UNSPECIFIED is no encoding and no type.
  std::vector<int> encodings = {0};
  for (const EncodingSpec& spec : Encodings()) encodings.push_back(spec.wire);
  EXPECT_THAT(encodings, UnorderedElementsAreArray(numbers(v1::Encoding_descriptor())));
  std::vector<int> types = {0};
  for (const ElementTypeSpec& spec : kElementTypes) {
    if (spec.wire == 0) continue;
    types.push_back(spec.wire);
    EXPECT_EQ(
        absl::StrReplaceAll(v1::DataType_Name(ToProto(spec.type)),
                            {{"DATA_TYPE_", ""}, {"FLOAT", "F"}, {"UINT", "U"}, {"INT", "I"}}),
        spec.name);
  }
  EXPECT_THAT(types, UnorderedElementsAreArray(numbers(v1::DataType_descriptor())));
}

TEST(AppendChunk, AppendsTheRowsOfEachEncoding) {
  for (const Encoding encoding : AllEncodings()) {
    EXPECT_THAT(Append(ChunkOf(encoding), encoding), IsOk()) << EncodingName(encoding);
  }
}

TEST(AppendChunk, AChunkOfAnotherEncodingIsDataLoss) {
  for (const Encoding sent : AllEncodings()) {
    for (const Encoding expected : AllEncodings()) {
      if (sent == expected) continue;
      EXPECT_THAT(Append(ChunkOf(sent), expected), IsDataLoss("values is"));
    }
  }
  EXPECT_THAT(
      Append(ChunkOf(Encoding::kFloat16), Encoding::kFloat32),
      IsDataLoss("values is DATA_TYPE_FLOAT16 [3, 10], expected DATA_TYPE_FLOAT32 [3, 10]"));
}

TEST(AppendChunk, TooManyRowsOrNoneAreDataLoss) {
  EXPECT_THAT(Append(ChunkOf(Encoding::kInt8), Encoding::kInt8, 2),
              IsDataLoss("has 3 rows, expected 1 to 2"));
  EXPECT_THAT(Append(v1::SoftTargetChunk(), Encoding::kFloat32), IsDataLoss("has 0 rows"));
  for (const int64_t rows : {int64_t{-1}, int64_t{0}, int64_t{1} << 62}) {
    v1::SoftTargetChunk chunk = ChunkOf(Encoding::kFloat32);
    chunk.mutable_values()->set_shape(0, rows);
    EXPECT_THAT(Append(chunk, Encoding::kFloat32), IsDataLoss(absl::StrCat(rows, " rows")));
  }
}

TEST(AppendChunk, EachTensorsTypeAndShapeAreChecked) {
  const auto check = [](Encoding encoding, const std::string& name,
                        v1::Tensor* (v1::SoftTargetChunk::*tensor)()) {
    v1::SoftTargetChunk chunk = ChunkOf(encoding);
    (chunk.*tensor)()->set_data_type(static_cast<v1::DataType>(99));
    EXPECT_THAT(Append(chunk, encoding), IsDataLoss(name + " is type 99"));
    chunk = ChunkOf(encoding);
    (chunk.*tensor)()->add_shape(1);
    EXPECT_THAT(Append(chunk, encoding), IsDataLoss(name + " is DATA_TYPE"));
    chunk = ChunkOf(encoding);
    (chunk.*tensor)()->mutable_data()->pop_back();
    EXPECT_THAT(Append(chunk, encoding), IsDataLoss(name + " has"));
    chunk = ChunkOf(encoding);
    *(chunk.*tensor)() = v1::Tensor();
    EXPECT_THAT(Append(chunk, encoding),
                IsDataLoss(name == "values" ? "0 rows" : name + " is DATA_TYPE_UNSPECIFIED []"));
  };
  for (const Encoding encoding : AllEncodings()) {
    check(encoding, "values", &v1::SoftTargetChunk::mutable_values);
  }
  check(Encoding::kInt8, "row_scales", &v1::SoftTargetChunk::mutable_row_scales);
  check(Encoding::kTopK, "class_indexes", &v1::SoftTargetChunk::mutable_class_indexes);
  check(Encoding::kTopK, "tail_mass", &v1::SoftTargetChunk::mutable_tail_mass);
}

TEST(AppendChunk, ATensorThatTheFormatDoesNotHaveIsDataLoss) {
  v1::SoftTargetChunk chunk = ChunkOf(Encoding::kFloat32);
  *chunk.mutable_tail_mass() = ChunkOf(Encoding::kTopK).tail_mass();
  EXPECT_THAT(Append(chunk, Encoding::kFloat32), IsDataLoss("tail_mass has 6 bytes"));
}

TEST(ChunkCrc32c, IsOverAllTensorsInTheOrderOfTheirFields) {
  v1::SoftTargetChunk chunk;
  chunk.mutable_labels()->set_data("f");
  chunk.mutable_inputs()->set_data("e");
  chunk.mutable_tail_mass()->set_data("d");
  chunk.mutable_class_indexes()->set_data("c");
  chunk.mutable_row_scales()->set_data("b");
  chunk.mutable_values()->set_data("a");
  EXPECT_EQ(ChunkCrc32c(chunk, Crc32c("before ")), Crc32c("before abcdef"));
}

}  // namespace
}  // namespace distillery
